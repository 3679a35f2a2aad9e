"""The descriptors of the shared labels: whole, in plain sentences, with sources."""

import re
from importlib import resources
from pathlib import Path

import pytest

from pecg_utils.data.label_map import pairs
from pecg_utils.descriptors import AXES, FORMS, OURS, defined_by, descriptors
from pecg_utils.errors import PecgError

HEADER = "label,axis,adult,child,source"
FILE = resources.files("pecg_utils.data").joinpath("descriptors.csv")


def rows(label: str = "AFIB") -> list[str]:
    return [f"{label},{axis},An adult's {axis}.,A child's {axis}.,ours" for axis in AXES]


def written(root: Path, *lines: str) -> Path:
    path = root / "mine.csv"
    path.write_text("\n".join(["# mine", HEADER, *lines]) + "\n")
    return path


@pytest.mark.parametrize("form", FORMS)
def test_every_shared_label_has_its_three_sentences(form: str) -> None:
    table = descriptors(form)
    assert list(table.index) == [pair.code for pair in pairs()]
    assert tuple(table.columns) == AXES
    for text in table.to_numpy().ravel():
        assert re.fullmatch(r"[A-Z](?:[^.]|\.\d)+\.", text), text  # one sentence, with decimals
        assert 20 < len(text) < 200, text


def test_no_label_is_described_as_another() -> None:
    for form in FORMS:
        joined = descriptors(form).agg(" ".join, axis=1)
        assert joined.is_unique


def test_the_childs_form_differs_and_knows_of_age() -> None:
    adult, child = (descriptors(form) for form in FORMS)
    assert (adult != child).any(axis=1).all()
    of_age = r"\bage\b|child|infant|newborn|adolescen|years|surgery"
    for label, texts in child.iterrows():
        assert re.search(of_age, " ".join(texts)), label
    for text in adult.to_numpy().ravel():
        assert not re.search(r"child|infant|newborn|adolescen", text), text


def test_an_axis_that_a_finding_says_nothing_about_says_so() -> None:
    for form in FORMS:
        table = descriptors(form)
        assert table.loc["LVH", "rhythm"].startswith("The rhythm is not part of this finding")
        assert "QRS complex is not part of this finding" in table.loc["STD", "morphology"]
        assert "T wave are not part of this finding" in table.loc["LAFB", "stt"]


def test_every_source_is_explained_in_the_file() -> None:
    comments = " ".join(
        line for line in FILE.read_text(encoding="utf-8").splitlines() if line.startswith("#")
    )
    explained = set(re.findall(r"(\w+ \d{4}) =", comments)) | {OURS}
    used = {one for cell in defined_by().to_numpy().ravel() for one in cell.split(";")}
    assert used == explained
    table = defined_by()
    for label in table.index:  # no source where nothing is defined
        for axis in AXES:
            texts = {descriptors(form).loc[label, axis] for form in FORMS}
            if all(re.fullmatch(r"The .* (is|are) not part of this finding\.", t) for t in texts):
                assert table.loc[label, axis] == OURS


def test_labels_come_in_the_order_asked_for() -> None:
    assert list(descriptors("child", ["STE", "NORM"]).index) == ["STE", "NORM"]
    assert descriptors("adult", []).shape == (0, 3)


def test_a_label_without_a_descriptor_is_named_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(PecgError, match=r"label BIGU has no text for rhythm, morph.*descriptors\."):
        descriptors("adult", ["NORM", "BIGU"])
    path = written(tmp_path, *rows()[:2])
    with pytest.raises(PecgError, match=r"label AFIB has no text for stt in .*mine\.csv"):
        descriptors("adult", ["AFIB"], path)
    with pytest.raises(PecgError, match="label NORM has no text"):
        descriptors("adult", file=written(tmp_path, *rows()))


def test_no_other_form() -> None:
    with pytest.raises(PecgError, match="forms adult and child, not 'baby'"):
        descriptors("baby")


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    table = descriptors("child", ["AFIB"], written(tmp_path, *rows()))
    assert table.loc["AFIB"].tolist() == [f"A child's {axis}." for axis in AXES]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("AFIB,rhythm,A.,B.,ours", "AFIB has its rhythm twice"),
        ("AFLT,voltage,A.,B.,ours", "AFLT has the axis 'voltage'; there are rhythm"),
        ("AFLT,rhythm,,B.,ours", "AFLT has nothing in the column adult"),
        ("AFLT,rhythm,A., ,ours", "AFLT has nothing in the column child"),
        ("AFLT,rhythm,A.,B.", "AFLT has nothing in the column source"),
        (",rhythm,A.,B.,ours", "row 4 has nothing in the column label"),
    ],
)
def test_a_faulty_table_is_refused(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(PecgError, match=rf"mine\.csv: {reason}"):
        descriptors("adult", ["AFIB"], written(tmp_path, *rows(), line))


def test_a_file_that_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(PecgError, match=r"nowhere\.csv cannot be read"):
        descriptors("adult", file=tmp_path / "nowhere.csv")
    (tmp_path / "mine.csv").write_bytes(b"\xff\xfe\0A")
    with pytest.raises(PecgError, match=r"mine\.csv cannot be read"):
        descriptors("adult", file=tmp_path / "mine.csv")
