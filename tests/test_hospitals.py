"""The hospitals side by side: which releases are found, what their statements become, by site."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pecg_utils import cards, measure, places
from pecg_utils.data import (
    challenge,
    hospitals,
    ludb,
    open_dataset,
    ptbxl,
    quality,
    splits,
    windows,
)
from pecg_utils.data.recognise import recognise, releases_in
from pecg_utils.data.recording import TABLE, TWELVE_LEADS, UNKNOWN, Dataset
from pecg_utils.data.survey import survey
from pecg_utils.errors import PecgError
from pecg_utils.twins import challenge as challenge_twin
from pecg_utils.twins import ptbxl as ptbxl_twin
from pecg_utils.twins import tables

Real = Callable[[str], Path]
SHARED = 10  # the first recordings of PTB-XL, which stand in the Challenge's part of it as well
# What only the Challenge's header says of them.
ADDED = {"HR00003": {"IAVB"}, "HR00010": {"SA"}}


@pytest.fixture
def root(real: Real) -> Path:
    """The folder in which all the real recordings lie."""
    (folder,) = {real(name).parent for name in ("challenge-2021", "ptb-xl", "ludb")}
    return folder


@pytest.fixture
def together(root: Path) -> Dataset:
    return open_dataset("hospitals", root)


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small twin of the Challenge and one of PTB-XL. Not to be written to."""
    folder = tmp_path_factory.mktemp("twins")
    challenge_twin.write(folder / "x", 8, workers=1)
    ptbxl_twin.write(folder / "y", 8, workers=1)
    return folder


def carried(dataset: Dataset) -> dict[str, set[str]]:
    """The classes of each recording, by its name."""
    flags = dataset.labels.to_numpy()
    names = [set(dataset.labels.columns[row]) for row in flags]
    return dict(zip(dataset.table["record"], names, strict=True))


def test_every_class_is_a_scored_one_and_none_uncertain_without_a_reason() -> None:
    for row in hospitals.statements():
        assert row.meant in {"", *challenge.class_names(2021)}, row
        assert row.meant or not row.certain, row
        kinds = ("no scored class",) if not row.meant else ("wider", "narrower", "a guess")
        if not row.certain:
            assert row.why.startswith(kinds), row
        else:
            assert row.why.startswith(("same", "the same", "a kind of it", "PhysioNet's")), row


def test_every_statement_of_both_lists_has_exactly_one_row(real: Real) -> None:
    rows = Counter((row.dataset, row.statement) for row in hospitals.statements())
    assert set(rows.values()) == {1}
    listed = pd.read_csv(real("ptb-xl") / "scp_statements.csv", index_col=0).index
    axes = pd.read_csv(real("ptb-xl") / "ptbxl_database.csv")["heart_axis"].dropna().unique()
    assert len(listed) == 71
    expected = {("ptbxl", name) for name in listed}
    expected |= {("ptbxl", hospitals.AXIS + axis) for axis in [*axes, "SAG"]}  # SAG: Wagner 2020
    expected |= {("ludb", name) for name in ludb.LABELS}
    assert set(rows) == expected


def test_the_numbers_in_the_reasons_are_the_challenges() -> None:
    """How many of PTB-XL's recordings are in a class, as the twin of the Challenge has them too."""
    counts = {
        row["abbreviation"]: int(row["ptb-xl"]) for row in tables.rows("challenge_counts.csv")
    }
    for row in hospitals.statements():
        if "translated so" in row.why and not row.statement.startswith(hospitals.AXIS):
            said = row.why.split(": ")[1].replace(",", "").split()
            assert int(said[0]) == int(said[2]) in [counts[n] for n in row.meant.split("|")], row


def test_recordings_of_both_releases_carry_what_their_header_says(together: Dataset) -> None:
    classes = carried(together)
    for i in range(1, SHARED + 1):
        header, stated = classes[f"challenge-HR{i:05}"], classes[f"ptbxl-{i}"]
        assert header - stated == ADDED.get(f"HR{i:05}", set())
        assert stated <= header


def test_the_block_that_only_a_header_states_is_not_to_be_seen(together: Dataset) -> None:
    row = together.table["record"].tolist().index("challenge-HR00003")
    recording = together.read(row)
    assert measure.measure(recording.signal, recording.fs, recording.leads).pr < 160


def test_only_certain_statements_count(together: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    before = together.labels
    assert before.sum().sum() > 1000
    doubted = tuple(
        replace(row, certain=row.certain and row.meant != "AF") for row in hospitals.statements()
    )
    monkeypatch.setattr(hospitals, "statements", lambda: doubted)
    after = open_dataset("hospitals", together.root).labels
    theirs = together.table["record"].str.startswith("challenge").to_numpy()
    assert before.loc[~theirs, "AF"].sum() == 13 + 15
    assert after.loc[~theirs, "AF"].sum() == 0
    pd.testing.assert_frame_equal(after.drop(columns="AF"), before.drop(columns="AF"))
    pd.testing.assert_frame_equal(after[theirs], before[theirs])


def test_classes_are_counted_from_the_releases_own_statements(
    together: Dataset, real: Real
) -> None:
    stated = ptbxl.open_folder(real("ptb-xl"), task="all").labels
    axes = pd.read_csv(real("ptb-xl") / "ptbxl_database.csv")["heart_axis"]
    mine = together.table["record"].str.startswith("ptbxl").to_numpy()
    found = together.labels[mine].reset_index(drop=True)
    assert (found["NSR"] == (stated["SR"] | stated["NORM"])).all()
    assert (found["LAD"] == axes.isin(["LAD", "ALAD"])).all()
    t_waves = stated[["NDT", "LOWT", "NT_", "TAB_"]].any(axis=1)
    assert (found["TAb"] == t_waves).all()
    assert not found[["BBB", "Brady", "PRWP"]].any(axis=None)
    marked = together.labels[together.table["site"].to_numpy() == "ludb"]
    assert marked[["NSR", "SB", "AFL", "PAC|SVPB", "PR", "RAD"]].sum().tolist() == [
        *(143, 25, 3, 7),
        *(0, 3),  # pacing is uncertain, and a vertical axis no deviation
    ]


def test_the_table_of_the_real_folder(together: Dataset, real: Real) -> None:
    table = together.table
    assert list(table.columns) == [*TABLE, "site", "proxy"]
    assert together.kind == "subset"
    assert table["record"].is_unique
    assert table["site"].value_counts().to_dict() == {
        "ptb-xl": 39 + 500,
        "ludb": 200,
        "ningbo": 59,
        "cpsc_2018": 14 + 29,
        "georgia": 40,
        "chapman_shaoxing": 17,
        "ptb": 10,
    }
    named = table[table["patient"] != UNKNOWN]
    assert (named["proxy"] == named["patient"]).all()
    assert len(named) == SHARED + 500 + 200
    by_record = table.set_index("record")["patient"]
    for i in range(1, SHARED + 1):
        assert by_record[f"challenge-HR{i:05}"] == by_record[f"ptbxl-{i}"]
    both = [set(named["patient"][named["site"] == site]) for site in ("ptb-xl", "ludb")]
    assert not both[0] & both[1]
    assert all(name.startswith("ludb-") for name in both[1])
    for record, of in (("ludb-7", "ludb"), ("ptbxl-7", "ptb-xl"), ("challenge-S0001", "")):
        row = table["record"].tolist().index(record)
        assert together.read(row).signal.shape[1] == 12
        assert together.path(row).relative_to(together.root).parts[0] == (of or "challenge-2021")


def test_copies_are_found_and_stay_on_one_side(together: Dataset, tmp_path: Path) -> None:
    """Windows of a few recordings, those of both releases among them, split by proxy and site."""
    wanted = [f"challenge-HR{i:05}" for i in range(1, SHARED + 1)]
    wanted += [f"ptbxl-{i}" for i in range(1, SHARED + 11)] + [f"ludb-{i}" for i in range(1, 11)]
    few = together.only(together.table["record"].isin(wanted).to_numpy())
    made = windows.prepare(few, windows.Settings(TWELVE_LEADS, 100.0, 5.0), tmp_path)
    assert made.table["site"].value_counts().to_dict() == {"ptb-xl": 60, "ludb": 20}
    assert made.report.counts() == {"duplicate": SHARED}
    assert made.table.groupby("same")["record"].nunique().eq(2).sum() == SHARED
    # A copy alone would leave its side with it; here the patient's name does the same.
    alone = made.table.assign(proxy=made.table["record"])
    split = splits.make(alone, made.labels, "proxy", seed=0)
    assert pd.Series(split.side).groupby(alone["same"]).nunique().eq(1).all()
    with pytest.raises(PecgError, match="no published folds"):
        splits.make(made.table, made.labels, "fold", seed=0)


def test_the_real_folder_is_sound_and_surveyed_by_site(
    together: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = np.flatnonzero(together.table["record"].isin(["challenge-HR00007", "ptbxl-7", "ludb-8"]))
    few = together.only(np.isin(np.arange(len(together.table)), keep))
    found = survey([few])
    assert found["datasets"][0]["sites"]["ptb-xl"]["labels"]["LAD"] == 2
    assert found["datasets"][0]["sites"]["ludb"]["recordings"] == 1
    assert [record for _, record, _ in found["copies"][0]] == ["challenge-HR00007", "ptbxl-7"]
    beside = survey([few, open_dataset("ludb", together.root / "ludb").only(np.arange(200) < 8)])
    assert beside["copies"] == []
    monkeypatch.setattr(places, "PROJECT", tmp_path)
    places.survey().parent.mkdir(parents=True)
    places.survey().write_text(json.dumps(found))
    page = cards.pages()["dataset-hospitals.md"]
    assert "{tag}`subset`, 3 recordings" in page
    assert "| `LAD` | 0 | 2 |" in page


def test_the_page_prints_every_row_of_the_table() -> None:
    page = cards.pages()["dataset-hospitals.md"].replace("\\|", "|")
    for row in hospitals.statements():
        meant = f"`{row.meant}`" if row.meant else "none"
        certain = "yes" if row.certain else "no"
        assert f"| `{row.statement}` | {meant} | {certain} | {row.why} |" in page


def test_twins_side_by_side_are_a_twin_and_name_nobody_twice(twins: Path) -> None:
    dataset = open_dataset("hospitals", twins)
    assert dataset.kind == "twin"
    assert {"ptb-xl", "cpsc_2018"} <= set(dataset.table["site"])
    theirs = dataset.table["record"].str.startswith("challenge")
    assert (dataset.table["patient"][theirs] == UNKNOWN).all()
    assert dataset.table["patient"][~theirs].str.startswith("ptbxl-").all()
    assert quality.inspect(dataset).excluded == []


def test_full_only_with_all_three(twins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, expected in (("full", "subset"), ("subset", "subset")):  # LUDB is not there
        for module in (challenge, ptbxl):
            monkeypatch.setattr(module, "kind_of", lambda *given, kind=kind: kind)
        assert open_dataset("hospitals", twins).kind == expected
    monkeypatch.setattr(hospitals, "HOSPITALS", ("challenge", "ptbxl"))
    for module in (challenge, ptbxl):
        monkeypatch.setattr(module, "kind_of", lambda *given: "full")
    assert open_dataset("hospitals", twins).kind == "full"


def test_without_a_column_of_axes_there_is_no_deviation(real: Real, tmp_path: Path) -> None:
    (tmp_path / "ludb").symlink_to(real("ludb"))
    (tmp_path / "xl").mkdir()
    shutil.copy(real("ptb-xl") / "scp_statements.csv", tmp_path / "xl")
    listed = pd.read_csv(real("ptb-xl") / "ptbxl_database.csv", dtype=str)
    listed.drop(columns="heart_axis").to_csv(tmp_path / "xl/ptbxl_database.csv", index=False)
    dataset = open_dataset("hospitals", tmp_path)
    mine = (dataset.table["site"] == "ptb-xl").to_numpy()
    assert dataset.labels[["LAD", "RAD"]][mine].sum().tolist() == [0, 0]
    assert dataset.labels[["LAD", "RAD"]][~mine].sum().tolist() == [66, 3]
    assert (dataset.labels["AF"][mine]).sum() == 13


def test_a_folder_with_too_few_releases_says_what_was_looked_for(
    twins: Path, tmp_path: Path
) -> None:
    asked = r"at least two of challenge, ptbxl, ludb were looked for in its subfolders.*there is "
    with pytest.raises(PecgError, match=asked + "none"):
        open_dataset("hospitals", tmp_path)
    (tmp_path / "letters").mkdir()
    (tmp_path / "mine").symlink_to(twins / "y")
    with pytest.raises(PecgError, match=asked + "only ptbxl"):
        open_dataset("hospitals", tmp_path)
    (tmp_path / "again").symlink_to(twins / "y")
    with pytest.raises(PecgError, match="holds ptbxl twice, in again and mine; take one away"):
        open_dataset("hospitals", tmp_path)


def test_one_damaged_header_does_not_hide_a_release(twins: Path, tmp_path: Path) -> None:
    shutil.copytree(twins / "x", tmp_path / "x")
    first = next((tmp_path / "x").rglob("*.hea"))
    first.unlink()
    first.symlink_to(first.name)
    assert recognise(tmp_path / "x") == "challenge"
    assert releases_in(tmp_path) == {"challenge": tmp_path / "x"}
