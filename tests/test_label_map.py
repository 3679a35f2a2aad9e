"""The label map between PTB-XL's statements and ZZU's findings: its tables, its checks, its use."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pecg_utils.data import challenge, label_map, open_dataset, zzu_findings
from pecg_utils.data.label_map import occurring, parse, shared, unstated
from pecg_utils.data.recording import Dataset
from pecg_utils.errors import PecgError
from pecg_utils.twins import ptbxl as ptbxl_twin
from pecg_utils.twins.tables import rows

HEADER = "code,words,scp,aha,snomed,certainty,overlaps,reason"
GOOD = "AFIB,Fibrillation,AFIB,E50,164889003,same,,because"


def made(name: str, columns: list[str], carried: list[set[str]], root: Path = Path("x")) -> Dataset:
    return Dataset(
        name=name,
        root=root,
        kind="twin",
        table=pd.DataFrame({"record": [f"r{n}" for n in range(len(carried))]}),
        labels=pd.DataFrame(
            {c: [c in of_one for of_one in carried] for c in columns},
            index=range(len(carried)),
            dtype=bool,
        ),
        label_names={c: c for c in columns},
        tables=(),
        _read=lambda *_: pytest.fail("no signal is needed"),
    )


def statements() -> dict[str, str]:
    return {row["statement"]: row["description"] for row in rows("ptbxl_statements.csv")}


def adults(*carried: set[str]) -> Dataset:
    return made("ptbxl", list(statements()), list(carried))


def children(*carried: set[str]) -> Dataset:
    columns = [*zzu_findings.names(zzu_findings.release()), "L145+Modifier362"]
    return made("zzu", columns, list(carried))


def more_adults(*carried: set[str]) -> Dataset:
    return made("challenge", sorted(set().union(*carried)), list(carried))


def codes(dataset: Dataset) -> list[set[str]]:
    return [set(dataset.labels.columns[flags]) for flags in dataset.labels.to_numpy()]


def test_every_statement_and_every_finding_stands_in_one_of_the_two_tables() -> None:
    out = label_map.left_out()
    for name, side, known in (
        ("ptbxl", "scp", statements()),
        ("zzu", "aha", zzu_findings.names(zzu_findings.release())),
    ):
        mapped = {
            code.partition("+Modifier")[0] for p in label_map.pairs() for code in getattr(p, side)
        }
        others = [row.code for row in out if row.dataset == name]
        assert len(set(others)) == len(others)
        assert not mapped & set(others)
        assert mapped | set(others) == set(known)
        assert {row.code: row.words for row in out if row.dataset == name} == {
            code: known[code] for code in others
        }


def test_what_is_left_out_has_a_reason_and_its_nearest_is_known() -> None:
    known = {
        "zzu": set(statements()),
        "ptbxl": set(zzu_findings.names(zzu_findings.release())),
    }
    for row in label_map.left_out():
        assert row.reason.endswith("."), row.code
        bases = {code.partition("+Modifier")[0] for code in row.nearest}
        assert bases <= known[row.dataset], row.code


def test_the_map_is_of_39_labels_each_with_a_sentence() -> None:
    pairs = label_map.pairs()
    assert len(pairs) == 39
    for pair in pairs:
        assert pair.reason.endswith("."), pair.code
        assert pair.reason.count(". ") == 0, pair.code
    certainties = [pair.certainty for pair in pairs]
    assert [certainties.count(name) for name in label_map.CERTAINTIES] == [31, 3, 5]


def test_the_numbers_that_a_reason_gives_stand_in_both_releases(
    real: Callable[[str], Path],
) -> None:
    table = pd.read_csv(real("ptb-xl") / "scp_statements.csv", index_col=0)
    said = 0
    for pair in label_map.pairs():
        if number := re.match(r"AHA (\d+) ", pair.reason):
            numbers = table.loc[list(pair.scp), "AHA code"].dropna().astype(int).astype(str)
            assert number[1] in set(numbers), pair.code
            assert any(code.endswith(number[1]) for code in pair.aha), pair.code
            said += 1
    assert said > 20


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",Words,AFLT,E51,,same,,because", "label has no code"),
        ("AFLT,,AFLT,E51,,same,,because", "AFLT has no words"),
        ("AFLT,Words,,E51,,same,,because", "AFLT has no scp"),
        ("AFLT,Words,AFLT,;,,same,,because", "AFLT has no aha"),
        ("AFLT,Words,AFLT,E51,,same,,", "AFLT has no reason"),
        ("AFLT,Words,AFLT,E51,,uncertain,,because", "'uncertain'; what is none of same, broader"),
        ("AFLT,Words,AFLT;AFLT,E51,,same,,because", "AFLT has AFLT twice"),
        ("AFLT,Words,AFLT,E51; E51,,same,,because", "AFLT has E51 twice"),
        ("AFLT,Words,AFLT,E51,6374002;6374002,same,,because", "AFLT has 6374002 twice"),
        ("AFLT,Words,AFLT,E51,123,same,,because", "names 123, which the Challenge has not"),
        ("AFLT,Words,AFLT,E51,164889003,same,AFIB,because", "AFIB and AFLT the same partners"),
        ("AFLT,Words,AFLT,E51,164889003;6374002,same,,because", "AFIB shares.*with AFLT, and"),
        ("AFLT,Words,AFLT,Z51,,same,,because", "names Z51, which ZZU has not"),
        ("AFLT,Words,AFLT,E51+Modifier1,,same,,because", r"names E51\+Modifier1, which ZZU"),
        ("AFIB,Words,AFLT,E51,,same,,because", "has the label AFIB twice"),
        ("AFLT,Words,AFIB,E51,,same,AFIB,because", "AFIB and AFLT the same partners"),
        ("AFLT,Words,AFLT,E50,,same,AFIB,because", "AFIB and AFLT the same partners"),
        ("AFLT,Words,AFLT,E50;E51,,same,,because", "AFIB shares statements.*with AFLT, and"),
        ("AFLT,Words,AFLT,E50+Modifier346,,same,,because", "AFIB shares statements.*with AFLT"),
        ("AFLT,Words,AFLT,E51,,same,AFIB,because", "AFLT shares.*with no other, and.*says AFIB"),
    ],
)
def test_a_faulty_map_is_refused(line: str, reason: str) -> None:
    assert len(parse(["# a comment", HEADER, GOOD])) == 1
    with pytest.raises(PecgError, match=reason):
        parse([HEADER, GOOD, line])


def test_a_map_without_a_column_is_refused() -> None:
    with pytest.raises(PecgError, match="no column 'certainty'"):
        parse([HEADER.replace("certainty", "other"), GOOD])


def test_both_sides_get_the_same_labels() -> None:
    a = shared(adults({"PSVT", "SR"}, {"STD_", "LOWT"}, {"SR", "ABQRS"}))
    b = shared(children({"E55"}, {"L145", "L145+Modifier362", "L147"}, {"L146", "J120"}))
    assert codes(a) == [{"SVT"}, {"ST", "STD", "T"}, set()]
    assert codes(b) == [{"SVT"}, {"ST", "STD", "T"}, {"ST", "T"}]
    assert list(a.labels) == list(b.labels) == [pair.code for pair in label_map.pairs()]
    assert a.label_names == b.label_names
    assert list(a.labels.dtypes.unique()) == [bool]
    assert len(a.table) == 3


def test_each_partner_alone_carries_its_label() -> None:
    pairs = label_map.pairs()
    findings = sorted({code for pair in pairs for code in pair.aha})
    columns = [*zzu_findings.names(zzu_findings.release())]
    columns += [code for code in findings if code not in columns]
    a = shared(adults(*({code} for code in statements())))  # one recording a statement
    b = shared(made("zzu", columns, [{code} for code in columns]))
    numbers = list(challenge.code_names())
    c = shared(more_adults(*({number} for number in numbers)))
    for pair in pairs:
        assert [list(statements())[n] for n in a.labels.index[a.labels[pair.code]]] == sorted(
            pair.scp, key=list(statements()).index
        )
        assert {columns[n] for n in b.labels.index[b.labels[pair.code]]} == set(pair.aha)
        assert {numbers[n] for n in c.labels.index[c.labels[pair.code]]} == set(pair.snomed)


def test_a_label_that_does_not_occur_is_named() -> None:
    a = shared(adults({"NORM"}, {"NORM"}, {"AFIB"}))
    b = shared(children({"A1"}, {"C21"}))
    table = occurring(a, b)
    assert table.loc["NORM"].tolist() == ["Normal ECG", 2, 1, ""]
    assert table.loc["AFIB"].tolist() == ["Atrial fibrillation", 1, 0, "b"]
    assert table.loc["STACH", "lacks"] == "a"
    assert table.loc["PMI", "lacks"] == "a and b"
    with pytest.raises(PecgError, match="ptbxl and zzu have different labels"):
        occurring(a, children({"A1"}))


def test_another_dataset_or_other_labels_are_refused(tmp_path: Path, twin: Dataset) -> None:
    with pytest.raises(PecgError, match="ludb is none of them"):
        shared(made("ludb", ["NORM"], [{"NORM"}]))
    with pytest.raises(PecgError, match="No shared label is told by ludb"):
        unstated(made("ludb", ["NORM"], [{"NORM"}]))
    with pytest.raises(PecgError, match=r"lack SNOMED codes of the label map.*labels='codes'"):
        shared(made("challenge", ["NSR", "STach"], [{"NSR"}]))
    with pytest.raises(PecgError, match="open it with labels='findings'"):
        shared(twin)
    with pytest.raises(PecgError, match=r"lack .* and others of the label map.*task='all'"):
        shared(made("ptbxl", ["NORM", "MI"], [{"MI"}]))
    columns = [code for code in statements() if code != "WPW"]
    with pytest.raises(PecgError, match="lack WPW of the label map"):
        shared(made("ptbxl", columns, [{"NORM"}], tmp_path))


def test_the_twins_of_both_are_mapped(twin_folder: Path, tmp_path: Path) -> None:
    b = shared(open_dataset("zzu", twin_folder, labels="findings"))
    root = ptbxl_twin.write(tmp_path / "ptbxl", 12, seed=1, workers=1)
    a = shared(open_dataset("ptbxl", root, task="all"))
    assert (a.kind, b.kind) == ("twin", "twin")
    table = occurring(a, b)
    assert (table[["a", "b"]].sum() > 0).all()


def test_the_real_recordings(real: Callable[[str], Path]) -> None:
    a = shared(open_dataset("ptbxl", real("ptb-xl"), task="all"))
    b = shared(open_dataset("zzu", real("zzu-pecg"), labels="findings"))
    table = occurring(a, b)
    assert table.loc["NORM", ["a", "b"]].tolist() == [297, 5]
    assert table.loc["LVH", ["a", "b"]].tolist() == [35, 3]
    assert table.loc["1AVB", ["a", "b"]].tolist() == [11, 0]  # 10 and 3, in two of them both
    assert table.loc["STE"].tolist() == ["ST elevation", 0, 1, "a"]
    assert (table["lacks"] == "").sum() == 15
    recording = b.read(b.table["record"].tolist().index("P02189_E01"))
    assert recording.labels == ("STACH", "RAE", "LVH", "RVH")


def test_the_challenges_codes_carry_what_they_are_called() -> None:
    """A sinus rhythm is no normal ECG, an infarction without a wall none of a wall."""
    carried = [
        {"426783006"},
        {"164865005"},
        {"164873001", "426177001"},
        {"55827005"},
        {"704997005", "59931005"},
        {"164930006", "428750005", "63593006", "11157007"},
        {"251266004", "54016002"},
        set(),
    ]
    c = shared(more_adults(*carried))
    expected = [set(), set(), {"LVH", "SBRAD"}, {"LVHV"}, {"ST", "STD", "T", "TINV"}, set()]
    assert codes(c) == [*expected, {"PACE", "2AVB"}, set()]
    assert list(c.labels) == [pair.code for pair in label_map.pairs()]
    assert list(c.labels.dtypes.unique()) == [bool]
    assert codes(shared(more_adults(set(), set()))) == [set(), set()]  # not a code among all


def test_what_a_dataset_is_silent_about() -> None:
    assert unstated(adults({"NORM"})) == unstated(children({"A1"})) == ()
    c = more_adults({"426783006"})
    assert unstated(c) == unstated(shared(c)) == ("NORM", "IMI", "ASMI", "LMI", "PMI", "DIG")


def test_ptb_xls_own_part_of_the_challenge_has_the_labels_of_ptb_xl(
    real: Callable[[str], Path],
) -> None:
    """Its first ten recordings, of an older release, in which two carried one statement more."""
    a = shared(open_dataset("ptbxl", real("ptb-xl"), task="all"))
    c = shared(open_dataset("challenge", real("challenge-2021"), labels="codes"))
    sides = []
    for dataset, names in ((a, map(str, range(1, 11))), (c, (f"HR{i:05}" for i in range(1, 11)))):
        table = dataset.labels.set_axis(dataset.table["record"]).drop(columns=list(unstated(c)))
        sides.append([set(table.columns[flags]) for flags in table.loc[list(names)].to_numpy()])
    theirs, ours = sides
    assert [ours[n] - theirs[n] for n in range(10) if ours[n] != theirs[n]] == [{"1AVB"}, {"SARRH"}]
    assert [sorted(found) for found in theirs[:3]] == [["LOWV"], ["SBRAD"], []]


def test_the_real_recordings_of_the_challenge(real: Callable[[str], Path]) -> None:
    c = shared(open_dataset("challenge", real("challenge-2021"), labels="codes"))
    assert c.labels.sum()[["STACH", "PAC", "RBBB", "T", "LVH", "NORM"]].tolist() == [
        *(29, 25, 14, 26, 10, 0),
    ]
    of = c.table["source"].to_numpy()
    assert c.labels["LVHV"].groupby(of).sum().loc[["ningbo", "chapman_shaoxing"]].tolist() == [7, 2]
    assert not c.labels.loc[of == "ptb-xl", "LVHV"].any()
    assert (~c.labels.any(axis=1)).sum() == 66
