"""How a child's ECG differs from an adult's, by age: rate, axis, right ventricle, juvenile T waves.

At birth the right ventricle is as strong as the left one: the QRS points to the right, with a tall
R in V1. Then the left one outgrows it, the axis moves to the left, and R in V1 gives way to S. T is
negative in V1 to V3 after the first days, and turns upright in V3 first and in V1 last (Rijnbeek et
al. 2001, Eur Heart J 22:702-711; Davignon et al. 1980, Pediatr Cardiol 1:123-131). What is here is
measured on the recordings that are given, of the healthy and the ill. The adult bands, and all
thresholds, are *ours*.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import progress
from pecg_utils.data.recording import people
from pecg_utils.data.windows import Windows
from pecg_utils.errors import PecgError
from pecg_utils.measure import RATE, measure, median_beat
from pecg_utils.subgroups import AGE_BANDS

Floats = npt.NDArray[np.floating[Any]]

_YEAR = 365.25  # days
ADULT = 18 * _YEAR  # days
_LAST = list(AGE_BANDS)[-1]  # over 12 years, which here ends where adults begin
CHILD_BANDS = {name: end for name, end in AGE_BANDS.items() if name != _LAST} | {
    "12 to 18 years": ADULT
}
ADULT_BANDS = {
    "18 to 40 years": 40 * _YEAR,
    "40 to 65 years": 65 * _YEAR,
    "over 65 years": float("inf"),
}
# Ends in days, which are no longer inside: who is 18 in PTB-XL, in whole years, is an adult.
BANDS = CHILD_BANDS | ADULT_BANDS
INVERTED = -0.05  # mV, half a millimetre of paper: a T that is less deep is flat
LEADS = ("V1", "V2", "V6")  # of a typical beat
BEFORE, AFTER = 0.3, 0.5  # s of a typical beat on either side of its QRS
_READ = 0.05  # mV: the least R or S of a ratio
_FEWEST = 3  # recordings in a band
_SECONDS = 10.0  # of a window
_HEIGHTS = {f"{wave}_{lead.lower()}": (wave, lead) for wave, lead in (
    ("r", "V1"), ("s", "V1"), ("r", "V6"), ("t", "V1"), ("t", "V2"), ("t", "V3")
)}  # fmt: skip
_MEASURED = ("rate", "axis", *_HEIGHTS)
_T = ("t_v1", "t_v2", "t_v3")
SUMMED_UP = ("rate", "axis", "r_v1", "s_v1", "ratio_v1", "r_v6", *_T)  # by `by_age`


@dataclass(frozen=True)
class Typical:
    """The typical beat of some recordings: the median of their median beats.

    seconds: (T,) from where the QRS is largest over all leads. leads: those of LEADS that were
    there -> (T,) mV against the level just before the QRS, NaN where fewer than half of the beats
    reach, since another beat is there. The QRS of several hearts does not lie quite on top of each
    other, so that heights are less than the medians of heights. recordings: how many.
    """

    seconds: Floats
    leads: dict[str, Floats]
    recordings: int


def measured(windows: Windows, most: int = 400, seed: int = 0) -> pd.DataFrame:
    """What is measured in each recording's first window, one row a recording.

    windows: whole recordings of 10 s or more. most: how many are measured, drawn evenly over the
    bands of age as far as these go. Columns: record; patient, or what stands in for it; age_days;
    rate (1/min); axis (degrees in (-180, 180]); r_v1, s_v1, r_v6, t_v1, t_v2, t_v3 (mV; R and S are
    positive, T has a sign). NaN where nothing could be measured, and of V2, V3 or V6 where the
    windows lack it: most recordings of newborns have nine leads (NINE_LEADS), which hold all but
    r_v6 and t_v2. Recordings without an age come last; they are not measured, and do not count
    towards `most`.

    Compare windows of one rate: at 100 Hz an R or S is lower than at 500 Hz, a child's by a tenth
    in the median (19 recordings of ZZU-pECG).

    Raises PecgError when the windows lack I, aVF or V1, are short, or are at less than 100 Hz.
    """
    _check(windows)
    firsts, bands = _firsts(windows)
    rows = np.sort(_drawn(firsts, bands, most, seed))
    found = [
        _measure(windows, int(row)) for row in progress.track(rows, len(rows), "measuring ECGs")
    ]
    unknown = firsts[bands == len(BANDS)]
    about = windows.table.assign(patient=people(windows.table)).iloc[[*rows, *unknown]]
    table = about[["record", "patient", "age_days"]].reset_index(drop=True)
    return table.join(pd.DataFrame(found, columns=list(_MEASURED), dtype=float))


def unaged(table: pd.DataFrame) -> int:
    """How many recordings of `table`, as `measured` gives it, are of no known age."""
    return int(table["age_days"].isna().sum())


def ratio(table: pd.DataFrame) -> pd.Series:
    """R over S in V1 of each row. Of both, less than 0.05 mV counts as 0.05 mV, as on paper.

    NaN where there is no QRS in V1.
    """
    waves = table[["r_v1", "s_v1"]]
    read = waves.clip(lower=_READ).where(waves.max(axis=1) > _READ)
    return (read["r_v1"] / read["s_v1"]).rename("ratio_v1")


def by_age(table: pd.DataFrame) -> pd.DataFrame:
    """Medians and quartiles by band of age, of what `measured` gives; the youngest first.

    Columns: band; recordings, in which a beat could be measured; patients; of each of SUMMED_UP the
    median under its name and the quartiles under name_low and name_high; inverted_v1, _v2, _v3: the
    share, 0 to 1, of recordings whose T there is deeper than 0.05 mV. A number that fewer than
    three recordings have is NaN, and a band with fewer than three is left out. Those of no known
    age are in none. The axis goes round: its median and quartiles are taken around its mean
    direction. Its median is in (-180, 180], its quartiles go on from there and may be beyond.
    """
    table = table.assign(ratio_v1=ratio(table))[table["rate"].notna()]
    inside = band_numbers(table["age_days"])
    rows = []
    for number, band in enumerate(BANDS):
        part = table[inside == number]
        if len(part) < _FEWEST:
            continue
        row: dict[str, Any] = {"band": band, "recordings": len(part)}
        row["patients"] = part["patient"].nunique()
        for name in SUMMED_UP:
            values = part[name].dropna().to_numpy()
            of_axis = name == "axis"
            middle, low, high = _around(values) if of_axis else _quartiles(values)
            row |= {name: middle, f"{name}_low": low, f"{name}_high": high}
        for name in _T:
            waves = part[name].dropna()
            share = float((waves < INVERTED).mean()) if len(waves) >= _FEWEST else np.nan
            row["inverted" + name.removeprefix("t")] = share
        rows.append(row)
    each = [f"{name}{end}" for name in SUMMED_UP for end in ("", "_low", "_high")]
    shares = ["inverted" + name.removeprefix("t") for name in _T]
    return pd.DataFrame(rows, columns=["band", "recordings", "patients", *each, *shares])


def beats(
    windows: Windows, bands: Sequence[str] = tuple(BANDS), most: int = 60, seed: int = 0
) -> dict[str, Typical]:
    """The typical beat of each of `bands`, names of BANDS, in their order there.

    windows: as `measured` takes them. most: recordings of a band that it is made of. A band with
    fewer than three is left out.

    Raises PecgError for a band of another name, and as `measured` does.
    """
    _check(windows)
    unknown = [band for band in bands if band not in BANDS]
    if unknown:
        raise PecgError(f"No band of age is called {unknown[0]!r}; there are {', '.join(BANDS)}.")
    firsts, inside = _firsts(windows)
    chosen = [
        (band, int(row))
        for number, band in enumerate(BANDS)
        if band in bands
        for row in _drawn(firsts[inside == number], inside[inside == number], most, seed)
    ]
    around = np.arange(-round(BEFORE * RATE), round(AFTER * RATE) + 1)  # (T,)
    leads = [lead for lead in LEADS if lead in windows.settings.leads]
    columns = [windows.settings.leads.index(lead) for lead in leads]
    found: dict[str, list[Floats]] = {}
    for band, row in progress.track(chosen, len(chosen), "laying beats on each other"):
        one = median_beat(_signal(windows, row), windows.settings.fs)
        if one is None:
            continue
        beat, peak = one  # (w, L)
        at = peak + around
        there = (at >= 0) & (at < len(beat))
        laid = np.full((len(at), len(leads)), np.nan)  # (T, 3)
        laid[there] = beat[at[there]][:, columns]
        found.setdefault(band, []).append(laid)
    return {
        band: Typical(
            around / RATE, dict(zip(leads, _median(np.stack(laid)).T, strict=True)), len(laid)
        )
        for band, laid in found.items()
        if len(laid) >= _FEWEST
    }


def band_numbers(age_days: pd.Series) -> npt.NDArray[np.intp]:
    """The number (n,) of the band in BANDS that each age is in, len(BANDS) where none is known."""
    ages = age_days.to_numpy(dtype=float)
    numbers = np.searchsorted(list(BANDS.values()), ages, side="right")
    return np.asarray(np.where(np.isnan(ages), len(BANDS), numbers), dtype=np.intp)


def _check(windows: Windows) -> None:
    settings = windows.settings
    missing = [lead for lead in ("I", "aVF", "V1") if lead not in settings.leads]
    if missing:
        raise PecgError(
            f"These windows have no lead {', '.join(missing)}, in which children are compared with "
            "adults; prepare windows of nine or twelve leads."
        )
    if settings.seconds < _SECONDS or settings.fs < 100:
        raise PecgError(
            f"These windows are of {settings.seconds:g} s at {settings.fs:g} Hz; prepare whole "
            f"recordings of {_SECONDS:g} s at 100 Hz or more."
        )


def _firsts(windows: Windows) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The row (n,) of each recording's first window, and the number of its band of age."""
    firsts = np.flatnonzero(~windows.table["record"].duplicated())
    return firsts, band_numbers(windows.table["age_days"].iloc[firsts])


def _drawn(
    rows: npt.NDArray[np.intp], bands: npt.NDArray[np.intp], most: int, seed: int
) -> npt.NDArray[np.intp]:
    """At most `most` of `rows` (n,) of known age, from each of their `bands` (n,) in turn."""
    rng = np.random.default_rng(seed)
    known = rng.permutation(np.flatnonzero(bands < len(BANDS)))
    turn = pd.Series(bands[known]).groupby(bands[known]).cumcount().to_numpy()
    return np.asarray(rows[known[np.lexsort((bands[known], turn))][:most]])


def _signal(windows: Windows, row: int) -> npt.NDArray[np.float32]:
    """Window `row`, (T, L) mV, without the zeros after the end of a short recording."""
    signal: npt.NDArray[np.float32] = windows.millivolts(np.array([row]))[0].T
    filled = np.flatnonzero(signal.any(axis=1))
    return signal[: filled[-1] + 1 if filled.size else 0]


def _measure(windows: Windows, row: int) -> dict[str, float]:
    with warnings.catch_warnings():  # a mean of nothing is NaN, as it should be
        warnings.simplefilter("ignore", RuntimeWarning)
        found = measure(_signal(windows, row), windows.settings.fs, windows.settings.leads)
    heights = {
        name: getattr(found, wave).get(lead, np.nan) for name, (wave, lead) in _HEIGHTS.items()
    }
    return {"rate": found.rate, "axis": found.axis, **heights}


def _quartiles(values: Floats) -> tuple[float, float, float]:
    """Median, lower and upper quartile of `values` (n,)."""
    if len(values) < _FEWEST:
        return np.nan, np.nan, np.nan
    middle, low, high = np.quantile(values, (0.5, 0.25, 0.75))
    return float(middle), float(low), float(high)


def _around(degrees: Floats) -> tuple[float, float, float]:
    """The same of angles (n,), which are laid out around their mean direction."""
    mean = float(np.degrees(np.angle(np.exp(1j * np.radians(degrees)).sum())))
    middle, low, high = _quartiles((degrees - mean + 180) % 360 - 180)
    upright = 180 - (180 - (mean + middle)) % 360  # in (-180, 180]
    return upright, upright + low - middle, upright + high - middle


def _median(laid: Floats) -> Floats:
    """The median beat (T, L) of beats (n, T, L), NaN where fewer than half of them reach."""
    reach = 2 * (~np.isnan(laid[:, :, 0])).sum(axis=0) >= len(laid)  # (T,)
    beat = np.full(laid.shape[1:], np.nan)
    beat[reach] = np.nanmedian(laid[:, reach], axis=0)
    return beat
