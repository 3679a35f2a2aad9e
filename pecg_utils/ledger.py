"""The ledger: what a run did, written down by the run itself.

A chapter's first cell calls `start`, its last `finish`. In between, the run opens the data,
prepares the windows and carries out the trials, each through a method of Run, so that nothing is
shown that is not in the record. A run that is stopped is continued by starting it again: what was
finished is read back, what was half trained goes on.
"""

import json
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from pecg_utils import chapters, files, keys, machine, places, progress
from pecg_utils.chapters.sizes import SIZES
from pecg_utils.data import open_dataset, pairs
from pecg_utils.data.pairs import Pairs
from pecg_utils.data.recording import UNKNOWN, Dataset, people
from pecg_utils.data.windows import Settings, Windows, data_fingerprint, prepare
from pecg_utils.errors import PecgError
from pecg_utils.protocol import Protocol
from pecg_utils.sources import Sources, open_sources, twin
from pecg_utils.trial import Outcome, carry_out, judge


def key_of(chapter: str, parameters: Any, sources: Sources) -> str:
    """The key of a run of `chapter`."""
    settled = {k: v for k, v in parameters.model_dump().items() if k not in parameters.folders}
    settled |= sources.files
    beside = [f"{name} {mark}" for name, (_, mark) in sources.beside.items()]
    data = sorted([*sources.fingerprints.values(), *beside])
    return keys.run_key(places.notebook(chapter), settled, data)


def start(chapter: str, namespace: Mapping[str, Any]) -> "Run":
    """Begin, or go on with, the run that the notebook's own variables describe.

    namespace: the notebook's globals(). Every plain value in it is a parameter, so that one
    that papermill was given and the chapter does not know is refused here.
    """
    plain = (str, int, float, bool, list, type(None))
    given = {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_") and type(value) in plain and name not in ("In", "Out")
    }
    parameters = chapters.parameters(chapter, given)
    from pecg_utils import train

    train.settle()
    sources = open_sources(parameters)
    key = key_of(chapter, parameters, sources)
    folder = places.runs() / chapter / key
    folder.mkdir(parents=True, exist_ok=True)
    return Run(chapter, parameters, sources, key, folder)


@dataclass
class Run:
    """A chapter while it runs. given and training: its datasets. folder: where it keeps things.

    reports: what was wrong with the recordings that were read, by set. tables: what else goes into
    the record, by name.
    """

    chapter: str
    parameters: Any
    sources: Sources
    key: str
    folder: Path
    _outcomes: dict[str, Outcome] = field(default_factory=dict, repr=False)
    _beside: dict[Path, tuple[Dataset, str]] = field(default_factory=dict, repr=False)
    reports: dict[str, Any] = field(default_factory=dict, repr=False)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False)
    _begun: float = field(default_factory=time.perf_counter, repr=False)

    @property
    def given(self) -> Dataset:
        """What the chapter is asked about."""
        return self.sources.given

    @property
    def training(self) -> Dataset:
        """What the models are trained on."""
        return self.sources.training

    def beside(self, name: str, size: int, **how: Any) -> Dataset:
        """The twin of another dataset that the chapter needs beside what it was given."""
        found = (known for known, _ in self._beside.values() if known.name == name)
        twins = [known for known in found if known.kind == "twin"]
        if not twins:
            dataset = open_dataset(name, twin(name, size), **how)
            self._beside[dataset.root] = dataset, data_fingerprint(dataset)
            return dataset
        return twins[0]

    def further(self, parameter: str) -> Dataset | None:
        """The dataset in the folder that a parameter names, beside `data`; None where none is."""
        if parameter not in self.sources.beside:
            return None
        found = self.sources.beside[parameter]
        self._beside[found[0].root] = found
        return found[0]

    def _fingerprint(self, dataset: Dataset) -> str:
        if dataset.root in self._beside:
            return self._beside[dataset.root][1]
        return self.sources.fingerprints[dataset.kind]

    def windows(
        self,
        dataset: Dataset,
        leads: Sequence[str],
        *,
        labelled: bool = True,
        needed: bool = False,
        part: str = "",
        **other: Any,
    ) -> Windows | None:
        """The windows of the recordings of `dataset` that have just as many leads as asked for.

        labelled: leave out recordings that carry none of the labels; of PTB-XL they stay. part:
        which of the recordings `dataset` holds, in words, where the run reads others too. other:
        what differs from the run's settings, as `antialias` or `seconds`.
        None when there is no such recording at all, or PecgError where they are `needed`.
        """
        has = (dataset.table["n_leads"] == len(leads)).to_numpy()
        if needed and not has.any():
            raise PecgError(f"No recording in {dataset.root} has {len(leads)} leads.")
        if labelled and dataset.name != "ptbxl":
            has = has & dataset.labels.any(axis=1).to_numpy()
        if not has.any():
            return None
        settings = Settings(tuple(leads), **{**self.parameters.cutting, **other})
        prepared = prepare(
            dataset.only(has), settings, places.windows(), self._fingerprint(dataset)
        )
        of = f"{dataset.name}, " if dataset.root in self._beside else ""
        how = "".join(f", {word}" for word in (settings.timing, part) if word)
        self.reports[f"{of}{dataset.kind}, {len(leads)} leads{how}"] = prepared.report.as_json()
        return prepared

    def pairs(self) -> Pairs:
        """The windows of two signals of the data that models are trained on."""
        dataset = self.training
        found = self._fingerprint(dataset)
        prepared = pairs.prepare(dataset, places.windows(), self.parameters.grouped, found)
        self.reports[dataset.kind] = prepared.report.as_json()
        return prepared

    def trials(
        self,
        prepared: Windows | Pairs | None,
        plan: Sequence[Protocol],
        weights: pd.DataFrame | None = None,
        of: Dataset | None = None,
        watch: bool = False,
    ) -> list[Outcome]:
        """Each protocol of `plan` carried out on the windows, or read back if it was before.

        weights: the Challenge's, where its metric is to be reckoned. of: the dataset that the
        windows are of, where it is not what models are trained on. watch: as in train.Training.
        Nothing where there are no such windows.
        """
        if prepared is None:
            return []
        from pecg_utils.train import Training

        p = self.parameters
        training = Training(**p.training, watch=watch)
        outcomes = []
        for protocol in progress.track(plan, len(plan), f"{self.chapter}: model"):
            outcome = carry_out(
                prepared,
                protocol,
                (of or self.training).kind,
                self.sizes(protocol.model),
                training,
                self.folder / "trials",
                p.resamples,
                weights,
            )
            self._outcomes[outcome.folder.name] = outcome
            outcomes.append(outcome)
        return outcomes

    def more(self, name: str, table: pd.DataFrame) -> pd.DataFrame:
        """Put rows into the table `name` of the record, in place of those of the same names.

        table: with the column name. Gives it back.
        """
        if (before := self.tables.get(name)) is not None:
            kept = before[~before["name"].isin(table["name"])]
            self.tables[name] = pd.concat([kept, table], ignore_index=True)
        else:
            self.tables[name] = table
        return table

    def also(self, outcome: Outcome) -> Outcome:
        """Put an outcome that came of asking trained models again into the record."""
        self._outcomes[outcome.protocol.name] = outcome
        return outcome

    def judged(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Models trained on the twin, tested as they are on all recordings that were given.

        Recordings without any label are in it. An empty list where the models were trained on
        the given data itself.
        """
        if self.given is self.training:
            return []
        found = []
        for outcome in outcomes:
            prepared = self.windows(self.given, outcome.protocol.leads, labelled=False)
            if prepared is None:
                continue
            sizes = self.sizes(outcome.protocol.model)
            other = judge(outcome, prepared, self.given.kind, sizes, self.parameters.resamples)
            self._outcomes[f"{outcome.folder.name} on {self.given.kind}"] = other
            found.append(other)
        return found

    def sizes(self, model: str) -> dict[str, Any]:
        """The sizes of a model in this run's profile; empty for the paper's own."""
        return SIZES[self.parameters.sizes][model]

    def record(self) -> dict[str, Any]:
        """The run's record, as far as the run has come."""
        return {
            "chapter": self.chapter,
            "key": self.key,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "profile": self.parameters.profile,
            "parameters": {**self.parameters.model_dump(), **self._folders()},
            "data": [self._about(dataset) for dataset in self._datasets()],
            "beside": [self._about(dataset) for dataset, _ in self._beside.values()],
            "quality": self.reports,
            "versions": machine.versions(),
            "revision": machine.revision(),
            "machine": machine.facts(),
            "seconds": round(time.perf_counter() - self._begun, 1),
            "training_seconds": round(self._training_seconds(), 1),
            "peak_memory_mib": machine.peak_memory_mib(),
            "trials": [_written(outcome) for outcome in self._outcomes.values()],
            "tables": {name: table.to_dict("list") for name, table in self.tables.items()},
        }

    def finish(self) -> pd.DataFrame:
        """Write the run's record. Gives the facts that a reader wants to see, as a table."""
        record = self.record()
        files.write_text(self.folder / "record.json", json.dumps(_finite(record), allow_nan=False))
        shown = ["chapter", "key", "profile", "revision", "seconds", "peak_memory_mib"]
        rows = {name: record[name] for name in shown}
        rows["data"] = "; ".join(
            f"{d['dataset']}, {d['kind']}, {d['recordings']} recordings" for d in record["data"]
        )
        if record["beside"]:
            rows["beside it"] = "; ".join(
                f"{d['dataset']}, {d['kind']}, {d['recordings']} recordings"
                for d in record["beside"]
            )
        rows["machine"] = f"{record['machine']['processor']}, GPU {record['machine']['gpu']}"
        rows["state-space models by"] = record["machine"]["state_space"]
        return pd.DataFrame({"of this run": rows})

    def _folders(self) -> dict[str, str]:
        """The parameters that are folders or files, by their name alone."""
        p, beside = self.parameters, self.sources.beside.items()
        named = {name: Path(getattr(p, name)).name for name in self.sources.files}
        named |= {name: d.root.name for name, (d, _) in beside}
        return {"data": self.given.root.name, **named}

    def _datasets(self) -> list[Dataset]:
        same = self.given is self.training
        return [self.given] if same else [self.given, self.training]

    def _about(self, dataset: Dataset) -> dict[str, Any]:
        return {
            "dataset": dataset.name,
            "kind": dataset.kind,
            "fingerprint": self._fingerprint(dataset),
            "recordings": len(dataset.table),
            "patients": int(people(dataset.table).nunique()),
            "named": bool((dataset.table["patient"] != UNKNOWN).all()),
        }

    def _training_seconds(self) -> float:
        done: dict[Path, float] = {}  # models that are asked again were trained once
        for outcome in self._outcomes.values():
            done[outcome.folder] = max(done.get(outcome.folder, 0.0), outcome.facts["seconds"])
        return float(sum(done.values()))


def rows(trials: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The scores of some trials of a record, one row a (trial, metric, label).

    Columns: name, data, windows (of the test side), metric, label, value, low, high, positives.
    """
    parts = []
    for trial in trials:
        part = pd.DataFrame(trial["scores"])
        part.insert(0, "name", trial["name"])
        part.insert(1, "data", trial["data"])
        part.insert(2, "windows", trial["split"]["windows"]["test"])
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    return table.astype({"value": float, "low": float, "high": float})


def scores(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """The scores of some outcomes, as `rows` gives them."""
    return rows([_written(outcome) for outcome in outcomes])


def faults(reports: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Recordings a fault, for each set of recordings that was read: a table to show."""
    found = []
    for name, report in reports.items():
        listed = pd.DataFrame(report["faults"], columns=["record", "fault", "detail", "excluded"])
        row: dict[str, Any] = {"recordings": name, "looked at": report["checked"]}
        row["shut out"] = listed.loc[listed["excluded"].astype(bool), "record"].nunique()
        for fault, part in listed.groupby("fault"):
            row[str(fault)] = part["record"].nunique()
        found.append(row)
    table = pd.DataFrame(found).set_index("recordings").fillna(0).astype(int)
    return table.rename_axis(None)


def named(reports: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Every fault that was found: recording, fault, detail, and whether it was shut out for it."""
    found = [fault for report in reports.values() for fault in report["faults"]]
    table = pd.DataFrame(found, columns=["record", "fault", "detail", "excluded"])
    table["excluded"] = table["excluded"].map({True: "yes", False: "no"})
    return table.set_axis(["recording", "fault", "detail", "shut out"], axis=1).set_index(
        "recording"
    )


def _written(outcome: Outcome) -> dict[str, Any]:
    """An outcome as a record has it: facts, and the scores column by column."""
    columns = {name: outcome.scores[name].tolist() for name in outcome.scores.columns}
    return {**outcome.facts, "protocol": asdict(outcome.protocol), "scores": columns}


def _finite(value: Any) -> Any:
    """`value` with None for every number that JSON cannot write, NaN and the infinities, and
    numbers with six digits, which is more than any of them is worth."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


def read_record(path: Path) -> dict[str, Any]:
    """A record. Raises PecgError when the file is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not {"chapter", "key", "trials", "data"} <= set(record):
            raise ValueError("it lacks the parts of a record")
    except (OSError, ValueError, TypeError) as error:
        raise PecgError(f"{path} is no run's record ({error}).") from error
    return dict(record)


def kept(chapter: str) -> list[dict[str, Any]]:
    """The records of `chapter` in book/results, oldest first."""
    found = [read_record(path) for path in sorted(places.results().glob(f"{chapter}-*.json"))]
    return sorted(found, key=lambda record: str(record["made"]))


def keep(key: str) -> Path:
    """Copy the record of the run `key` into book/results. Raises PecgError when there is none.

    The file is named after the chapter, the profile, the dataset and the kind of its data; an
    older record of the same name is replaced.
    """
    found = sorted(places.runs().glob(f"*/{key}*/record.json"))
    if len(found) != 1:
        raise PecgError(
            f"{len(found) or 'No'} finished runs have a key that begins with {key!r}; "
            f"look in {places.runs()}."
        )
    record = read_record(found[0])
    given = record["data"][0]
    name = f"{record['chapter']}-{record['profile']}-{given['dataset']}-{given['kind']}.json"
    target = places.results() / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.whole(target) as scratch:
        shutil.copyfile(found[0], scratch)
    return target
