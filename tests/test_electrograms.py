"""Atria and ventricles are timed from signals and annotations as the simulator made them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pecg_utils import electrograms
from pecg_utils.data import leipzig as reader
from pecg_utils.data import ludb, open_dataset
from pecg_utils.data.recording import TWELVE_LEADS, Dataset, Recording
from pecg_utils.electrograms import CS
from pecg_utils.errors import PecgError
from pecg_utils.twins import catheter, leipzig
from pecg_utils.twins.leipzig_plan import Course
from pecg_utils.twins.tables import rows

# A left-sided pathway, a right-sided one with a flat ABL12, a node with ART, and no coronary sinus.
BEATS = {
    "x009": {"sinus": 22, "AVRT": 30, "VT": 14},
    "x0027": {"sinus": 12, "AVRT": 30, "VT": 14},
    "x0028": {"sinus": 22, "AVNRT": 30},
    "x102": {"sinus": 10, "VT": 8},
}
MEASURED = {"N": "av", "AVNRT": "va", "AVRT": "va", "VT": "va"}


@dataclass
class Known:
    """A twin, and what its simulator did: record -> its course."""

    dataset: Dataset
    courses: dict[str, Course]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    courses, plan, render = {}, leipzig.course, leipzig.render
    drawn = []

    def course(*given):
        drawn.append(plan(*given))
        return drawn[-1]

    def one(job, root):
        made = render(job, root)
        courses[job.subject["record"]] = drawn[-1]
        return made

    chosen = [row for row in rows("leipzig_subjects.csv") if row["record"] in BEATS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leipzig, "rows", lambda name: chosen)
        patch.setattr(leipzig, "counts", lambda minutes: BEATS)
        patch.setattr(leipzig, "course", course)
        patch.setattr(leipzig, "render", one)
        folder = leipzig.write(tmp_path_factory.mktemp("twin") / "leipzig", 1, seed=5, workers=1)
    assert set(courses) == set(BEATS)
    return Known(open_dataset("leipzig", folder), courses)


def truth(course: Course) -> tuple[np.ndarray, np.ndarray]:
    """The QRS onsets (n,), and the atria under CS90 to CS12 (m, 5), s, as they were simulated."""
    beats = course.beats
    atria = [
        [p + catheter._ATRIUM[kind][lead] for lead in CS]
        for p, kind in zip(beats.p, beats.p_kind, strict=True)
        if np.isfinite(p)
    ]
    atria = sorted(atria, key=min)
    return beats.qrs[np.isfinite(beats.qrs)], np.array(atria)


def compared(known: Known, rhythm: str) -> pd.DataFrame:
    """Each measured beat of a rhythm beside the simulator's: errors in ms, and the right order."""
    found = []
    for piece in electrograms._pieces(known.dataset, [rhythm], 3, "testing"):
        qrs, atria = truth(known.courses[piece.recording.record])
        beats = electrograms.timed(piece.recording, piece.marks, rhythm)
        beats = beats[electrograms._in_span(piece, beats)]
        if not set(CS) & set(piece.recording.leads):
            continue
        for _, beat in beats.iterrows():
            place = int(np.abs(qrs - piece.start - beat["onset"]).argmin())
            onset, onsets = qrs[place], np.append(qrs, np.inf)
            first = atria.min(axis=1)
            if rhythm == "N":
                own = np.flatnonzero(first < onset - 0.02)[-1:]
                true = 1000 * (onset - first[own])
            else:
                own = np.flatnonzero((first >= onset - 0.02) & (first < onsets[place + 1] - 0.02))
                own = own[:1]
                true = 1000 * (first[own] - onset)
            true, cs = (true[0], atria[own[0]]) if len(own) else (np.nan, np.full(5, np.nan))
            seen = beat[list(CS)].to_numpy(float) + piece.start
            found.append(
                {
                    "onset": 1000 * (beat["onset"] + piece.start - onset),
                    "interval": beat[MEASURED[rhythm]] - true,
                    "missed": np.isnan(beat[MEASURED[rhythm]]) != np.isnan(true),
                    "atria": np.abs(1000 * (seen - cs)).max(),
                    "first": beat["first"],
                    "true": "" if not len(own) else CS[0] if cs[0] < cs[-1] else CS[-1],
                }
            )
    return pd.DataFrame(found)


@pytest.mark.parametrize("rhythm", ["N", "AVNRT", "AVRT", "VT"])
def test_intervals_are_the_simulators(known: Known, rhythm: str) -> None:
    table = compared(known, rhythm)
    assert len(table) >= 15
    assert table["onset"].abs().median() < 10
    assert table["interval"].abs().median() < 10
    assert table["interval"].abs().quantile(0.9) < 20
    assert table["atria"].quantile(0.9) < 7
    assert table["missed"].mean() < 0.05
    assert (table["first"] == table["true"]).mean() > 0.95


def test_examples_are_of_the_rhythm_and_quiet(known: Known) -> None:
    found = electrograms.examples(known.dataset)
    assert [stretch.rhythm for stretch in found] == ["N", "AVNRT", "AVRT", "VT"]
    for stretch in found:
        assert stretch.leads[:3] == ("I", "II", "V1")
        assert stretch.leads[3:] == electrograms.CHANNELS
        assert stretch.signal.shape == (round(1.1 * 977), 10)
        assert stretch.beats["onset"].iloc[0] == pytest.approx(0.22, abs=0.002)
        assert len(stretch.beats) >= 2
        assert set(stretch.beats["symbol"]) == {"N" if stretch.rhythm == "N" else "X"}
        marks = reader.annotations(known.dataset.root / stretch.recording)
        first = stretch.start * stretch.fs
        inside = marks[marks["sample"].between(first, first + len(stretch.signal))]
        assert not set(inside["symbol"]) & {"Q", "~", "+"}
        spans = reader.rhythms(marks, 10**9)
        assert (
            spans["rhythm"][np.searchsorted(spans["start"], first, "right") - 1] == stretch.rhythm
        )
    sinus, node, pathway, ventricle = (stretch.beats for stretch in found)
    assert sinus["av"].between(30, 250).all()
    assert node["va"][:-1].max() < 70 < pathway["va"][:-1].min()
    assert set(pathway["first"]) == {"CS12"}
    assert ventricle["va"].max() - ventricle["va"].min() > 20 or ventricle["va"].isna().any()
    again = electrograms.examples(known.dataset)
    assert [(s.recording, s.start) for s in again] == [(s.recording, s.start) for s in found]


def test_no_example_where_a_beat_is_unreadable(
    known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    (before,) = electrograms.examples(known.dataset, ["AVRT"])
    real = reader.annotations
    at = round((before.start + 0.5) * before.fs)
    for symbol in ("Q", "~"):
        more = pd.DataFrame({"sample": [at], "symbol": [symbol], "aux": [""]})

        def spoiled(path: Path, more: pd.DataFrame = more) -> pd.DataFrame:
            marks = real(path)
            if path.name != before.recording:
                return marks
            return pd.concat([marks, more]).sort_values("sample", ignore_index=True)

        monkeypatch.setattr(reader, "annotations", spoiled)
        for stretch in electrograms.examples(known.dataset, ["AVRT"]):
            begin = stretch.start * stretch.fs
            inside = begin <= at < begin + len(stretch.signal)
            assert not inside or stretch.recording != before.recording


def test_the_table_tells_the_rhythms_apart(known: Known) -> None:
    table = electrograms.intervals(known.dataset)
    assert list(dict.fromkeys(table["rhythm"])) == ["N", "AVNRT", "AVRT", "VT"]
    by = table.set_index(["rhythm", "patient"])
    assert by.index.is_unique
    assert by.loc[("AVNRT", "x0028"), "va"] < 70
    assert by.loc[("AVRT", "x009"), "va"] > 70 < by.loc[("AVRT", "x0027"), "va"]
    assert by.loc[("AVRT", "x009"), "first"] == "CS12"
    assert by.loc[("AVRT", "x0027"), "first"] == "CS90"
    assert by.loc[("N", "x009"), "av"] < 250
    assert np.isnan(by.loc[("VT", "x102"), "va"])
    assert by.loc[("VT", "x102"), "cycle"] > 200
    fast = table[table["rhythm"] == "AVRT"]
    assert (fast["va_low"] <= fast["va"]).all()
    assert (fast["va"] <= fast["va_high"]).all()
    assert fast["cycle"].between(250, 400).all()
    assert (electrograms.intervals(known.dataset, most=5)["beats"] <= 5).all()


def test_a_beat_beside_an_unreadable_one_does_not_count(
    known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count() -> int:
        table = electrograms.intervals(known.dataset, ["AVRT"]).set_index("patient")
        return int(table.loc["x009", "beats"])

    real, before = reader.annotations, count()

    def spoiled(path: Path) -> pd.DataFrame:
        marks = real(path)
        marks.loc[marks.index[marks["aux"] == "AVRT"][10:11], "symbol"] = "Q"
        return marks

    monkeypatch.setattr(reader, "annotations", spoiled)
    assert count() == before - 3


def test_what_cannot_be_read_is_passed_over(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    real = reader.annotations

    def broken(path: Path) -> pd.DataFrame:
        if path.name == "x0028":
            raise PecgError("unreadable: x0028.atr")
        return real(path)

    def refuse(path: Path, *span: int | None) -> None:
        raise PecgError(f"unreadable: {path.name}.dat")

    monkeypatch.setattr(reader, "annotations", broken)
    assert "x0028" not in set(electrograms.intervals(known.dataset)["patient"])
    assert [s.rhythm for s in electrograms.examples(known.dataset)] == ["N", "AVRT", "VT"]
    slow = replace(
        known.dataset, _read=lambda *span: (np.zeros((9000, 3)), 500.0, ("I", "II", "V1"))
    )
    assert electrograms.intervals(slow).empty
    nothing = replace(known.dataset, _read=refuse)
    assert electrograms.examples(nothing) == []
    assert electrograms.intervals(nothing).empty
    assert "va_low" in electrograms.intervals(nothing)


def bursts(at: np.ndarray, half: float, seconds: float = 6.0) -> np.ndarray:
    """Four deflections at each moment, as wide as `half` (s): (T,) mV."""
    time = np.arange(round(seconds * 977)) / 977
    signal = np.zeros(len(time))
    for moment in at:
        for k, height in enumerate((0.5, -1.0, 0.8, -0.3)):
            signal += height * np.exp(-0.5 * ((time - moment - (k - 1.5) * 1.7 * half) / half) ** 2)
    return signal


def coronary(**channels: np.ndarray) -> Recording:
    signal = np.stack(list(channels.values()), axis=1)
    noise = 0.005 * np.random.default_rng(0).standard_normal(signal.shape)
    return Recording((signal + noise).astype(np.float32), 977.0, tuple(channels), "x", "x")


def test_a_slow_burst_is_none_of_the_atrium() -> None:
    atria = np.array([0.8, 1.6, 2.4, 3.2, 4.0, 4.8])
    far = bursts(atria + 0.2, 0.006)
    found = electrograms.activations(
        coronary(CS90=bursts(atria, 0.0028) + far, CS78=bursts(atria + 0.01, 0.0028) + far)
    )
    np.testing.assert_allclose(found["CS90"].astype(float), atria, atol=0.004)
    np.testing.assert_allclose(found["CS78"].astype(float), atria + 0.01, atol=0.004)
    np.testing.assert_array_equal(found["time"], found["CS90"])
    assert set(found["first"]) == {""}  # two channels do not tell
    assert found["CS12"].isna().all()


def test_a_bad_channel_is_left_out() -> None:
    atria = np.array([0.8, 1.6, 2.4, 3.2, 4.0, 4.8])
    whole = {lead: bursts(atria + 0.01 * k, 0.0028) for k, lead in enumerate(CS)}
    recording = coronary(**whole)
    recording.signal[:, 0] = 0.25
    recording.signal[100, 4] = np.nan
    found = electrograms.activations(recording)
    assert found[["CS90", "CS12"]].isna().all(axis=None)
    assert found["CS56"].notna().all()
    assert set(found["first"]) == {"CS90"}
    recording.signal[:] = 0.0
    assert electrograms.activations(recording).empty
    assert electrograms.activations(replace(recording, leads=tuple("abcde"))).empty


def test_onsets_are_where_cardiologists_put_them(real: Callable[[str], Path]) -> None:
    dataset = open_dataset("ludb", real("ludb"))
    errors = []
    for row in range(0, 200, 20):
        recording = dataset.read(row)
        marked = [ludb.marks(dataset.path(row), lead) for lead in TWELVE_LEADS]
        marked = [table[table["wave"] == "QRS"].dropna() for table in marked]
        peaks = marked[1]["peak"].to_numpy(float)
        near = [
            [
                table["onset"].to_numpy(float)[np.abs(table["peak"] - peak).argmin()]
                for peak in peaks
            ]
            for table in marked
        ]
        found = electrograms.onsets(recording, peaks / 500)
        errors.append(1000 * found - 2 * np.median(near, axis=0))
    error = np.concatenate(errors)
    assert len(error) > 50
    assert abs(np.median(error)) < 10  # ms, of the median lead's mark
    assert np.quantile(np.abs(error), 0.9) < 20
