"""Files of trained weights: what is written comes back, and nothing else is let in."""

import dataclasses
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pecg_utils import files, models, weights
from pecg_utils.chapters.sizes import SIZES
from pecg_utils.data.recording import NINE_LEADS, TWELVE_LEADS
from pecg_utils.errors import PecgError
from pecg_utils.weights import About, Wanted

CLASSES = ("NORM", "MI", "CD")
ABOUT = About(
    model="resnet1d",
    sizes=SIZES["tiny"]["resnet1d"],
    leads=TWELVE_LEADS,
    fs=100.0,
    samples=1000,
    classes=CLASSES,
    normalise="z-score",
    filter="none",
    mean=[0.0] * 12,
    std=[0.25] * 12,
    dataset="ptbxl",
    kind="twin",
    fingerprint="0123456789ab",
    run="abcdefabcdef",
    revision="fedcba987654",
    made="2026-01-02T03:04:05+00:00",
)
WANTED = Wanted("resnet1d", SIZES["tiny"]["resnet1d"], TWELVE_LEADS, 100.0, CLASSES)
LITTLE = {"a": torch.arange(6, dtype=torch.float32).reshape(2, 3), "b": torch.tensor(7)}


def network(classes: int = 3, leads: int = 12, seed: int = 0) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return models.create("resnet1d", leads, classes, 1000, **SIZES["tiny"]["resnet1d"])


def about(**other: Any) -> About:
    return dataclasses.replace(ABOUT, **other)


def fields(**other: Any) -> dict[str, Any]:
    return json.loads(json.dumps(dataclasses.asdict(ABOUT))) | other


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "good.safetensors"
    weights.save(path, network().state_dict(), ABOUT)
    return path


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "little.safetensors"
    weights.save(path, LITTLE, ABOUT)
    return path


def written(path: Path, record: Any, tensors: dict[str, torch.Tensor] = LITTLE) -> Path:
    """A file as `save` writes it, but of any record and any tensors, its digest right."""
    text = record if isinstance(record, str) else json.dumps(record)
    held = {"pecg": text, "sha256": weights._digest(text, tensors)}
    path.write_bytes(safetensors.torch.save(tensors, held))
    return path


def raw(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    """A file with this header, as it is, whether it fits or not."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(
        a[n].dtype == b[n].dtype and a[n].shape == b[n].shape and torch.equal(a[n], b[n]) for n in a
    )


def test_what_is_written_comes_back(good: Path) -> None:
    found, tensors = weights.read(good)
    assert found == ABOUT
    assert found.sizes["channels"] == (16, 32, 64, 128)  # a tuple again
    assert isinstance(found.leads, tuple)
    assert equal(tensors, network().state_dict())
    assert sorted(p.name for p in good.parent.iterdir()) == [good.name]


def test_every_type_comes_back_to_the_bit(tmp_path: Path) -> None:
    numbers = {str(t): torch.tensor([1, 2, 3]).to(t) for t in weights._DTYPES.values()}
    numbers["zeros"] = torch.tensor([-0.0, 0.0])
    numbers["turned"] = torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)
    numbers["shared"] = numbers["zeros"][:1]
    weights.save(tmp_path / "x.safetensors", numbers, about(mean=[], std=[]))
    found, tensors = weights.read(tmp_path / "x.safetensors")
    assert equal(tensors, numbers)
    assert torch.signbit(tensors["zeros"]).tolist() == [True, False]
    assert (found.mean, found.std) == ([], [])


def test_any_library_can_look_at_the_file(little: Path) -> None:
    assert equal(safetensors.torch.load_file(little), LITTLE)


def test_a_symlink_is_followed(little: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(little)
    assert equal(weights.read(tmp_path / "link")[1], LITTLE)


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.safetensors"
    weights.save(path, LITTLE, ABOUT)

    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", broken)
    with pytest.raises(KeyboardInterrupt):
        weights.save(path, {"a": torch.ones(1)}, ABOUT)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert equal(weights.read(path)[1], LITTLE)


@pytest.mark.parametrize(
    ("name", "tensors", "record", "why"),
    [
        ("x.pt", LITTLE, ABOUT, "does not end in .safetensors"),
        ("folder.safetensors", LITTLE, ABOUT, "is a folder"),
        ("x.safetensors", LITTLE, about(fs=float("nan")), "for fs: "),
        ("x.safetensors", {"a": torch.tensor([1.0, float("nan")])}, ABOUT, "1 of 2 numbers"),
        ("x.safetensors", {"a": torch.tensor([1j])}, ABOUT, "a in .* are torch.complex64"),
        ("x.safetensors", {"a": torch.empty(0, 3)}, ABOUT, r"of shape \(0, 3\)"),
    ],
)
def test_what_could_not_be_read_is_not_written(
    tmp_path: Path, name: str, tensors: dict[str, torch.Tensor], record: About, why: str
) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(PecgError, match=why):
        weights.save(tmp_path / name, tensors, record)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.safetensors"]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    for name, why in {
        "none.safetensors": "There is no file",
        "broken": "There is no file",
        "pipe": "There is no file",
        "": "is a folder",
        "empty": "is empty",
        "a\0b": "There is no file|cannot be read",
        "a" * 300: "There is no file|cannot be read",
    }.items():
        with pytest.raises(PecgError, match=why):
            weights.read(tmp_path / name)


class Marker:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


def hostile(marker: Path) -> dict[str, bytes]:
    """Pickles of each protocol, and what torch makes of them."""
    found = {f"protocol {p}": pickle.dumps(Marker(marker), protocol=p) for p in range(6)}
    for zipped in (True, False):
        out = io.BytesIO()
        torch.save({"a": Marker(marker)}, out, _use_new_zipfile_serialization=zipped)
        found[f"torch {zipped}"] = out.getvalue()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("model/data.pkl", found["protocol 2"])
    return {
        **found,
        "zip": out.getvalue(),
        "start": b"\x80",
        "empty zip": b"PK\x05\x06" + bytes(18),
    }


@pytest.mark.parametrize("name", ["x.safetensors", "x", "x.pt", "x.BIN"])
def test_a_file_that_runs_code_is_refused_and_runs_none(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "marker"
    for what, contents in hostile(marker).items():
        (tmp_path / name).write_bytes(contents)
        with pytest.raises(PecgError, match="of torch or pickle, which can run code") as refused:
            weights.read(tmp_path / name)
        assert name in str(refused.value), what
        assert not marker.exists(), what
    pickle.loads(hostile(marker)["protocol 4"])  # it would have
    assert marker.exists()


def test_a_name_of_torch_is_refused_whatever_is_in_it(little: Path, tmp_path: Path) -> None:
    for ending in (*weights.RUNS_CODE, ".PT"):
        (tmp_path / f"x{ending}").write_bytes(little.read_bytes())
        with pytest.raises(PecgError, match="can run code"):
            weights.read(tmp_path / f"x{ending}")


def test_a_header_that_begins_as_a_pickle_does_is_none(tmp_path: Path) -> None:
    # 1,408 bytes are 80 05 in a file, and 80 05 begins a pickle too.
    short = int.from_bytes(written(tmp_path / "x", fields(run="")).read_bytes()[:8], "little")
    path = written(tmp_path / "x", fields(run="r" * (1408 - short)))
    assert path.read_bytes()[:2] == b"\x80\x05"
    assert equal(weights.read(path)[1], LITTLE)


A = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "data", "length", "why"),
    [
        (b"{}", b"", 2**63, "cut short or no .safetensors file"),
        (b"{}", b"", 1000, "says that its header has 1,000 bytes, in a file of 10"),
        (b"{" + b" " * 2**20, b"", None, "at most 1,048,576"),
        (b"", b"", 0, "cut short"),
        (b"{'a': 1}", b"", None, "damaged"),
        (b"[" * 5000, b"", None, "damaged"),
        ({"a": A}, bytes(4), None, "damaged"),
        ({"a": A}, bytes(12), None, "damaged"),
        ({"a": A, "b": A}, bytes(8), None, "damaged"),
        ({"a": A | {"data_offsets": [4, 12]}}, bytes(12), None, "damaged"),
        ({"a": A | {"data_offsets": [8, 0]}}, bytes(8), None, "damaged"),
        ({"a": A | {"shape": [2**62, 2**62]}}, bytes(8), None, "damaged"),
        ({"a": A | {"shape": [3]}}, bytes(8), None, "damaged"),
        ({"a": A | {"dtype": "X"}}, bytes(8), None, "damaged"),
        ({"a": A}, bytes(8), None, "has no record"),
        ({"a": A, "__metadata__": {"format": "pt"}}, bytes(8), None, "has no record"),
        ({"a": A, "__metadata__": {"pecg": "{}"}}, bytes(8), None, "has no record"),
    ],
)
def test_a_header_that_lies(
    tmp_path: Path, header: Any, data: bytes, length: int | None, why: str
) -> None:
    with pytest.raises(PecgError, match=why):
        weights.read(raw(tmp_path / "x", header, data, length))


def test_a_file_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = raw(tmp_path / "x", {"a": A}, bytes(8))
    os.truncate(path, 2**40)  # with a hole, it takes no room
    with pytest.raises(PecgError, match=r"has 1024\.0 GiB"):
        weights.read(path)


@pytest.mark.parametrize("dtype", ["C64", "BOOL", "F8_E4M3", "U64"])
def test_numbers_that_are_no_weights(tmp_path: Path, dtype: str) -> None:
    size = {"C64": 8, "BOOL": 1, "F8_E4M3": 1, "U64": 8}[dtype]
    one = {"dtype": dtype, "shape": [2], "data_offsets": [0, 2 * size]}
    header = {"a": one, "__metadata__": {"pecg": "{}", "sha256": ""}}
    with pytest.raises(PecgError, match=f"a in .* are {dtype} of shape"):
        weights.read(raw(tmp_path / "x", header, bytes(2 * size)))
    empty = {**header, "a": one | {"dtype": "F32", "shape": [0, 2**60], "data_offsets": [0, 0]}}
    with pytest.raises(PecgError, match="at least one number"):
        weights.read(raw(tmp_path / "x", empty))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_finite_numbers(tmp_path: Path, value: float) -> None:
    path = written(tmp_path / "x", fields(), {"a": torch.tensor([0.0, value, value])})
    with pytest.raises(PecgError, match=r"a in .* have 2 of 3 numbers that are NaN or infinite"):
        weights.read(path)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ("", "for the whole: "),
        ("[]", "for the whole: "),
        ("[" * 5000, "for the whole: "),
        (fields(more=1), "for more: "),
        (fields(model="resnet2d"), "that cannot be made: There is no model 'resnet2d'"),
        (fields(model=3), "for model: "),
        (fields(sizes={"depth": 3}), "no size 'depth'"),
        (fields(sizes={"kernel": 4}), "give an odd one"),
        (fields(sizes={"blocks": 5000}), r"for sizes\.blocks: "),
        (fields(sizes={"channels": [1, 2, 3, 5000]}), r"for sizes\.channels: "),
        (fields(leads=[]), "for leads: "),
        (fields(leads=["I", "I"], mean=[], std=[]), "for leads: .* given twice"),
        (fields(leads="I"), "for leads: "),
        (fields(leads=[f"E{n}" for n in range(17)], mean=[], std=[]), "given 17 leads"),
        (fields(fs=float("nan")), "for fs: "),
        (fields(fs=float("inf")), "for fs: "),
        (fields(fs=0), "for fs: "),
        (fields(fs="100"), "for fs: .* not '100'"),
        (fields(samples=10.5), "for samples: "),
        (fields(samples=10), "given 10 samples"),
        (fields(classes=[]), "for classes: "),
        (fields(mean=[0.0]), "has 1 means for 12 leads"),
        (fields(std=[0.0] * 12), r"for std\.0: "),
        (fields(kind="real"), "for kind: "),
        (fields(made="yesterday"), "for made: "),
        *[({k: v for k, v in fields().items() if k != f}, f"for {f}: Field") for f in fields()],
    ],
)
def test_a_record_that_cannot_be(tmp_path: Path, record: Any, why: str) -> None:
    with pytest.raises(PecgError, match=why):
        weights.read(written(tmp_path / "x", record))


def test_what_was_changed_on_the_way_is_noticed(little: Path, tmp_path: Path) -> None:
    data = little.read_bytes()
    for old, new in [(b'"a"', b'"c"'), (b"ptbxl", b"ptbxm"), (b"[2,3]", b"[3,2]")]:
        assert data.count(old) == 1
        (tmp_path / "x").write_bytes(data.replace(old, new))
        with pytest.raises(PecgError, match="was changed since it was written"):
            weights.read(tmp_path / "x")


def refused(path: Path, contents: bytes) -> None:
    path.write_bytes(contents)
    with pytest.raises(PecgError):
        weights.read(path)


FUZZ = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(data=st.data())
def test_no_flipped_bit_goes_unnoticed(little: Path, tmp_path: Path, data: st.DataObject) -> None:
    contents = bytearray(little.read_bytes())
    place = st.integers(0, 8 * len(contents) - 1)
    for bit in data.draw(st.sets(place, min_size=1, max_size=3)):
        contents[bit // 8] ^= 1 << bit % 8
    refused(tmp_path / "x", bytes(contents))


@FUZZ
@given(data=st.data())
def test_no_cut_goes_unnoticed(little: Path, tmp_path: Path, data: st.DataObject) -> None:
    contents = little.read_bytes()
    first = data.draw(st.integers(0, len(contents) - 1))
    last = data.draw(st.integers(first + 1, len(contents)))
    refused(tmp_path / "x", contents[:first])
    refused(tmp_path / "x", contents[:first] + contents[last:])
    refused(tmp_path / "x", contents + contents[first:last])


@FUZZ
@given(start=st.integers(0, 400), contents=st.binary(max_size=300), json_like=st.booleans())
def test_any_bytes_are_refused_with_a_sentence(
    tmp_path: Path, start: int, contents: bytes, json_like: bool
) -> None:
    refused(tmp_path / "x", contents)
    refused(tmp_path / "x", struct.pack("<Q", start) + (b"{" if json_like else b"") + contents)


def test_a_model_begins_with_the_weights_and_a_new_head(good: Path) -> None:
    model = network(classes=2, seed=1)
    new = {k: v.clone() for k, v in model.state_dict().items() if k.startswith("head.")}
    found = weights.begin(model, good, dataclasses.replace(WANTED, classes=None))
    assert found == ABOUT
    old = network().state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, new[name] if name in new else old[name]), name
    same = network(seed=1)
    weights.begin(same, good, WANTED, head="")
    assert equal(dict(same.state_dict()), dict(old))


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"model": "bilstm", "sizes": {}}, "are of the model resnet1d and bilstm is asked"),
        ({"sizes": {}}, r"the size blocks = 1 and 2 is asked"),
        ({"leads": NINE_LEADS}, r"taught 12 leads \(I, II, .*\) and 9 are asked \(I, II, "),
        ({"leads": TWELVE_LEADS[::-1]}, r"in this order and 12 are asked \(V6"),
        ({"fs": 500.0}, "taught at 100 Hz and 500 Hz is asked"),
        ({"classes": ("NORM", "HYP")}, "they lack HYP and have MI, CD too many"),
        ({"classes": ("CD", "MI", "NORM")}, "they have them in another order"),
        ({"classes": (*CLASSES, "HYP")}, "and 4 are asked; they lack HYP[.]"),
    ],
)
def test_weights_of_something_else(good: Path, other: dict[str, Any], why: str) -> None:
    model = network(seed=1)
    with pytest.raises(PecgError, match=why):
        weights.begin(model, good, dataclasses.replace(WANTED, **other))
    assert equal(dict(model.state_dict()), dict(network(seed=1).state_dict()))


def test_sizes_are_the_same_when_one_side_leaves_a_default_out(good: Path) -> None:
    asked = dataclasses.replace(
        WANTED, sizes={"channels": [16, 32, 64, 128], "blocks": 1, "kernel": 7}
    )
    weights.begin(network(), good, asked)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda w: w.pop("stem.0.weight"), "lack stem.0.weight, of "),
        (lambda w: w.update(more=torch.ones(1)), "has not, more, of "),
        (lambda w: w.update({f"m{i}": torch.ones(1) for i in range(6)}), "m3 and 2 more, of "),
        (
            lambda w: w.update({"stem.1.bias": torch.ones(3)}),
            "stem.1.bias in .* are 3 float32, and",
        ),
        (lambda w: w.update({"stem.1.bias": torch.ones(16).long()}), "are 16 int64, and"),
    ],
)
def test_weights_that_do_not_fit(
    tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], Any], why: str
) -> None:
    held = dict(network().state_dict())
    change(held)
    weights.save(tmp_path / "x.safetensors", held, ABOUT)
    model = network(seed=1)
    with pytest.raises(PecgError, match=why):
        weights.begin(model, tmp_path / "x.safetensors", WANTED)
    assert equal(dict(model.state_dict()), dict(network(seed=1).state_dict()))


def test_a_head_that_the_model_has_not(good: Path) -> None:
    with pytest.raises(PecgError, match="resnet1d has no part 'fc' that could stay new"):
        weights.begin(network(), good, WANTED, head="fc")
