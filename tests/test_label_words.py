"""The tables of the shared labels that a page shows: whole, in words, by code."""

import pytest

from pecg_utils.data import label_map
from pecg_utils.descriptors import defined_by, descriptors
from pecg_utils.errors import PecgError
from pecg_utils.label_words import described, mapped, omitted


def test_every_label_of_the_map_is_a_row() -> None:
    table = mapped()
    assert table.index.name == "label"
    assert table.index.tolist() == [pair.code for pair in label_map.pairs()]
    assert list(table) == [
        *("words", "PTB-XL's statements", "ZZU's findings", "the Challenge's codes"),
        *("certainty", "reason"),
    ]
    assert table.loc["SVT"].tolist()[:5] == [
        "Supraventricular tachycardia",
        "SVTAC, PSVT",
        "E55",
        "426761007, 67198005, 251166008, 233897008",
        "broader",
    ]
    assert table.loc["NORM", "the Challenge's codes"] == ""
    assert table.loc["DIG", "reason"].startswith("AHA 205 in both")


def test_what_is_left_out_is_named_with_the_dataset_that_has_it() -> None:
    table = omitted()
    assert len(table) == len(label_map.left_out())
    assert table["dataset"].unique().tolist() == ["PTB-XL", "ZZU-pECG"]
    assert table.index.name == "code"
    assert table.loc["ILMI"].tolist() == [
        "PTB-XL",
        "inferolateral myocardial infarction",
        "M161, M163",
        "Two walls in one statement; ZZU would name both or one, and which cannot be known.",
    ]
    assert table.loc["ILBBB", "nearest"] == ""


@pytest.mark.parametrize("form", ["adult", "child"])
def test_a_label_is_described_along_three_axes(form: str) -> None:
    table = described(["LVH", "NORM"], form)
    assert table.index.tolist() == ["LVH", "NORM"]
    assert table.index.name == "label"
    assert list(table) == ["words", "rhythm", "morphology", "ST-T", "defined by"]
    assert table["words"].tolist() == ["Left ventricular hypertrophy", "Normal ECG"]
    texts = descriptors(form, ["LVH", "NORM"])
    for column, axis in (("rhythm", "rhythm"), ("morphology", "morphology"), ("ST-T", "stt")):
        assert table[column].tolist() == texts[axis].tolist()


def test_the_sources_of_a_label_are_named_once() -> None:
    found = described(["NORM"]).loc["NORM", "defined by"]
    assert found == "norms 1980, norms 2001, ours, conduction 2009, repolarization 2009"
    every = described()["defined by"]
    for label, row in defined_by().iterrows():
        named = every[label].split(", ")
        assert len(set(named)) == len(named)
        assert set(named) == {source for cell in row for source in cell.split(";")}


def test_without_labels_all_are_described_for_a_child() -> None:
    assert described().equals(described([pair.code for pair in label_map.pairs()], "child"))
    assert described([]).shape == (0, 5)


def test_an_unknown_label_or_form_is_refused() -> None:
    with pytest.raises(PecgError, match="no shared label BIGU, X; there are NORM, STACH, "):
        described(["NORM", "BIGU", "X"])
    with pytest.raises(PecgError, match="forms adult and child, not 'baby'"):
        described(["NORM"], "baby")
