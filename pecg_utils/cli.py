"""The pecg command."""

import errno
import sys
from pathlib import Path

import click

from pecg_utils import __version__, places
from pecg_utils.errors import PecgError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def pecg() -> None:
    """Run the book's chapters, look at the data, and write the book's tables."""


@pecg.command()
@click.argument("chapter")
@click.option("--profile", help="smoke, demo (the default), study or paper.")
@click.option("--dataset", help="Whose reader opens the data, as zzu; each chapter has its own.")
@click.option("--data", help="The dataset's folder. Without it, the twin.")
@click.option(
    "-p",
    "given",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="A parameter of the chapter; pecg parameters CHAPTER lists them.",
)
@click.option("--force", is_flag=True, help="Run even if an equal run is recorded.")
def run(
    chapter: str,
    profile: str | None,
    dataset: str | None,
    data: str | None,
    given: tuple[tuple[str, str], ...],
    force: bool,
) -> None:
    """Execute CHAPTER and make it the chapter's page in the book."""
    from pecg_utils import run as running

    named = {"profile": profile, "dataset": dataset, "data": data, **dict(given)}
    ran = running.run(chapter, named, force)
    how = "is recorded already; nothing was run" if ran.skipped else "is done"
    click.echo(f"{chapter} {ran.key} {how}. Record: {ran.folder / 'record.json'}")


@pecg.command()
@click.argument("chapter")
def parameters(chapter: str) -> None:
    """List the parameters of CHAPTER: what each takes, and its value in each profile."""
    from pecg_utils import chapters

    profiles = {
        profile: chapters.parameters(chapter, {"profile": profile}) for profile in chapters.PROFILES
    }
    for name, field in type(profiles["demo"]).model_fields.items():
        click.echo(f"{name}: {chapters.wanted(chapter, name)} ({field.description})")
        values = {profile: getattr(p, name) for profile, p in profiles.items()}
        if len({str(value) for value in values.values()}) == 1:
            click.echo(f"    {values['demo']!r} in every profile")
        else:
            click.echo("    " + ", ".join(f"{p} {value!r}" for p, value in values.items()))


@pecg.command()
@click.argument("key")
def keep(key: str) -> None:
    """Copy the record of the run KEY into book/results, where git keeps it."""
    from pecg_utils import ledger

    click.echo(f"Kept: {ledger.keep(key).relative_to(places.PROJECT)}")


@pecg.command()
def report() -> None:
    """Write the book's generated pages: data cards, models, claims, kept records."""
    from pecg_utils import report as reporting

    for path in reporting.write_all():
        click.echo(f"written: {path.relative_to(places.PROJECT)}")


@pecg.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
def doctor(folders: tuple[Path, ...]) -> None:
    """Print what this machine can do. FOLDERS are searched for datasets."""
    from pecg_utils import machine

    rows = machine.doctor(list(folders))
    width = max(len(what) for what, _ in rows)
    for what, fact in rows:
        click.echo(f"{what:<{width}}  {fact}")


@pecg.group()
def data() -> None:
    """Datasets and their twins, and what is wrong with a folder of recordings."""


@data.command()
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
def fetch(name: str, folder: Path) -> None:
    """Download the dataset NAME into FOLDER; after a break, the same command goes on."""
    from pecg_utils.data import download

    click.echo(download.terms(download.release(name)))
    click.echo(f"{name} is in {download.fetch(name, folder)}.")


@data.command()
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--size", default="demo", help="smoke, demo (the default), study or full.")
@click.option(
    "--seed", default=0, type=click.IntRange(min=0), help="Another seed gives another twin."
)
def twin(name: str, folder: Path, size: str, seed: int) -> None:
    """Write the twin of the dataset NAME into FOLDER."""
    from pecg_utils.twins import TWINS

    amount = _size(name, size)
    TWINS[name].write(folder, amount, seed)
    click.echo(f"The twin of {name} is in {folder}.")


@data.command()
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
def quality(name: str, folder: Path) -> None:
    """Say what is wrong with the recordings of the dataset NAME in FOLDER, each by its name."""
    from pecg_utils.data import open_dataset
    from pecg_utils.data.quality import inspect

    report = inspect(open_dataset(name, folder))
    for fault in report.faults:
        shut = "shut out" if fault.excluded else "noted"
        click.echo(f"{fault.record}  {shut}  {fault.fault}: {fault.detail}")
    out = len(report.excluded)
    click.echo(f"{report.checked} recordings, {report.checked - out} usable, {out} shut out.")
    if out == report.checked:
        raise PecgError(f"No recording in {folder} can be used.")


@data.command()
@click.argument("folder", type=click.Path(path_type=Path))
def check(folder: Path) -> None:
    """Say which dataset FOLDER holds, what of its release is missing, and what that means."""
    from pecg_utils import chapters, sources
    from pecg_utils.data import open_dataset
    from pecg_utils.data.recognise import RELEASES, missing, parts, recognise

    if not folder.is_dir():
        raise PecgError(f"{folder} is no folder.")
    dataset = open_dataset(recognise(folder), folder)
    click.echo(f"{folder} holds {dataset.name}, {dataset.kind}: {len(dataset.table):,} recordings.")
    for sentence in parts(dataset):
        click.echo(sentence)
    whole = "Nothing of the release is missing."
    if dataset.kind == "twin":
        whole = "It is simulated."
    elif dataset.kind != "full" and dataset.name not in RELEASES:
        whole = "There is no release to compare it with."
    for sentence in missing(dataset) or [whole]:
        click.echo(sentence)
    for chapter in chapters.CHAPTERS:
        click.echo(f"{chapter}: {sources.use(chapter, dataset)}")


@data.command()
@click.argument("folders", nargs=-1, required=True, metavar="NAME=FOLDER…")
def survey(folders: tuple[str, ...]) -> None:
    """Open every recording in the folders and keep what was found for the book's page on them."""
    import json

    from pecg_utils import files
    from pecg_utils.data import open_dataset
    from pecg_utils.data.survey import survey as surveyed

    found = surveyed([open_dataset(*pair) for pair in _pairs(folders)])
    files.write_text(places.survey(), json.dumps(found, indent=1) + "\n")
    for row in found["datasets"]:
        click.echo(f"{row['dataset']}, {row['kind']}: {row['recordings']} recordings")
        for site, there in row.get("sites", {}).items():
            carried = {label: count for label, count in there["labels"].items() if count}
            counted = ", ".join(f"{label} {count}" for label, count in carried.items())
            click.echo(f"    {site}: {there['recordings']} recordings; {counted or 'no label'}")
    click.echo(f"Kept: {places.survey()}")


@data.command()
@click.argument("folders", nargs=-1, required=True, metavar="NAME=FOLDER…")
@click.option("--size", default="demo", help="Of the twins: smoke, demo (the default) or more.")
def likeness(folders: tuple[str, ...], size: str) -> None:
    """Measure how like the recordings in the folders their twins are, for the book's page on it.

    The twins are written first where they are not there yet.
    """
    import json

    from pecg_utils import files, sources
    from pecg_utils.data import open_dataset
    from pecg_utils.likeness import compare
    from pecg_utils.twins import writing

    pairs = _pairs(folders)
    compared = []
    for name, folder in pairs:
        twin_folder = sources.twin(name, _size(name, size))
        compared.append(compare(open_dataset(name, folder), open_dataset(name, twin_folder)))
        told = compared[-1]["auroc"]["all of it"][0]
        click.echo(f"{name}: told from its twin with an AUROC of {told:.2f}")
    found = {"simulator": writing.sources(), "size": size, "compared": compared}
    files.write_text(places.likeness(), json.dumps(found, indent=1) + "\n")
    click.echo(f"Kept: {places.likeness()}")


def _size(name: str, size: str) -> int:
    """How large a twin of `size` is. Raises PecgError for an unknown twin or size."""
    from pecg_utils.twins import TWINS

    if name not in TWINS:
        raise PecgError(f"{name!r} has no twin; there is one of {', '.join(TWINS)}.")
    sizes: dict[str, int] = TWINS[name].SIZES
    if size not in sizes:
        raise PecgError(f"There is no size {size!r}; there are {', '.join(sizes)}.")
    return sizes[size]


def _pairs(given: tuple[str, ...]) -> list[tuple[str, str]]:
    """NAME=FOLDER arguments. Raises PecgError for one that is none."""
    if wrong := [one for one in given if "=" not in one]:
        raise PecgError(f"{wrong[0]!r} is no NAME=FOLDER, as in ptbxl=~/ptb-xl.")
    return [(one.partition("=")[0], one.partition("=")[2]) for one in given]


def main() -> None:
    """The command, with errors as sentences: exit code 2 for what the user can put right."""
    from pecg_utils.run import ChapterFailed

    try:
        pecg.main(standalone_mode=False)
    except PecgError as error:
        _leave(str(error), 2)
    except ChapterFailed as error:
        _leave(str(error), 1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _leave("stopped; the same command goes on from here.", 130)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _leave(f"The disk is full: {error.filename or 'a file'} could not be written.", 2)


def _leave(message: str, code: int) -> None:
    click.echo(f"pecg: {message}", err=True)
    sys.exit(code)
