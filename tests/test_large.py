"""What is left of a large dataset before a small task: other sites, other labels, enough people."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pecg_utils.data import challenge, cpsc2018, large, open_dataset
from pecg_utils.data.recording import UNKNOWN, Dataset, people, sites
from pecg_utils.errors import PecgError

LABELS = {"AF": "fibrillation", "IRBBB": "incomplete block", "LQT": "long QT"}


def made(**columns: list[str]) -> Dataset:
    """Six recordings: AF twice of one person, IRBBB alone, both, LQT, none."""
    flags = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)
    table = {"record": list("abcdef"), "patient": list("ppqrst"), "source": ["x"] * 6, **columns}
    return Dataset(
        name="made",
        root=Path("folder"),
        kind="twin",
        table=pd.DataFrame(table),
        labels=pd.DataFrame(flags, columns=list(LABELS)),
        label_names=LABELS,
        tables=(),
        _read=lambda path, first, last: (np.full((1, 1), ord(path.name[0])), 1.0, ("I",)),
    )


def test_a_site_and_its_labels_go() -> None:
    kept = large.without(made(site=list("iijjij")), "i", ["IRBBB"])
    assert kept.table["record"].tolist() == ["c", "d", "f"]
    assert list(kept.table.index) == list(kept.labels.index) == [0, 1, 2]
    assert list(kept.labels.columns) == list(kept.label_names) == ["AF", "LQT"]
    assert kept.labels.to_numpy().tolist() == [[False, False], [True, False], [False, False]]


def test_a_recording_that_loses_all_labels_stays() -> None:
    kept = large.without(made(), None, ["IRBBB"])
    assert len(kept.table) == 6
    assert not kept.labels.iloc[2].any()


def test_without_a_column_of_sites_the_source_is_the_site() -> None:
    kept = large.without(made(source=list("xyxyxy")), "y", [])
    assert kept.table["record"].tolist() == ["a", "c", "e"]
    assert list(kept.labels.columns) == list(LABELS)


def test_a_site_that_is_not_there_takes_nothing_away() -> None:
    assert len(large.without(made(), "elsewhere", []).table) == 6


def test_the_recordings_are_still_read_by_their_own_labels() -> None:
    dataset = made(path=list("abcdef"), fs=[1.0] * 6, age_days=[1.0] * 6, sex=["male"] * 6)
    read = large.without(dataset, None, ["IRBBB"]).read(3)
    assert (read.record, read.labels, read.signal[0, 0]) == ("d", ("AF",), ord("d"))


@pytest.mark.parametrize(
    ("site", "labels", "why"),
    [
        (None, ["IRBB"], "made has no label IRBB that could be left out; it has AF, IRBBB, LQT"),
        ("x", [], "All 6 recordings in folder were made at the site x"),
        (None, list(LABELS), "No label of made is left"),
    ],
)
def test_what_cannot_be_left_out(site: str | None, labels: list[str], why: str) -> None:
    with pytest.raises(PecgError, match=why):
        large.without(made(), site, labels)


def test_labels_that_enough_people_carry() -> None:
    assert list(large.enough(made(), 2).labels.columns) == ["AF", "IRBBB"]  # AF: three of two
    assert large.enough(made(), 2).label_names == {"AF": LABELS["AF"], "IRBBB": LABELS["IRBBB"]}
    assert list(large.enough(made(), 1).labels.columns) == list(LABELS)
    assert len(large.enough(made(), 2).table) == 6
    with pytest.raises(PecgError, match=r"No label in folder has 3 people .* the most is 2"):
        large.enough(made(), 3)


def test_people_without_a_name_are_counted_by_their_proxies() -> None:
    unnamed = made(patient=[UNKNOWN] * 6, proxy=list("ppqrst"))
    assert list(large.enough(unnamed, 2).labels.columns) == ["AF", "IRBBB"]
    assert list(large.enough(made(patient=[UNKNOWN] * 6), 3).labels.columns) == ["AF"]


def test_what_says_right_is_spelt_as_the_classes_are() -> None:
    known = challenge.class_names(2021)
    classes = {"hospitals": known, "challenge": known, "cpsc2018": cpsc2018.LABELS}
    assert classes.keys() == large.OF_RIGHT.keys()
    for dataset, codes in large.OF_RIGHT.items():
        assert set(codes) <= set(classes[dataset])
        words = [classes[dataset][code].lower() for code in codes]
        assert all("right bundle" in one or one == "bundle branch block" for one in words)
        rest = {code: w.lower() for code, w in classes[dataset].items() if code not in codes}
        assert not [code for code, w in rest.items() if "right bundle" in w or w.startswith("bund")]


SITES = {
    "chapman_shaoxing": 17,
    "cpsc_2018": 43,
    "georgia": 40,
    "ludb": 200,
    "ningbo": 59,
    "ptb": 10,
}


def test_the_real_hospitals_without_ptb_xl(real: Callable[[str], Path]) -> None:
    (root,) = {real(name).parent for name in ("challenge-2021", "ptb-xl", "ludb")}
    whole = open_dataset("hospitals", root)
    kept = large.without(whole, large.SITE, large.OF_RIGHT["hospitals"])
    assert sites(kept.table).value_counts().sort_index().to_dict() == SITES
    assert len(kept.labels.columns) == 23
    assert not kept.table["record"].str.startswith("ptbxl").any()
    small = people(whole.table)[sites(whole.table) == large.SITE]
    assert not set(small) & set(people(kept.table))
    assert kept.read(0).signal.shape[1] == 12
