"""Trained weights in a file that cannot run code, with a record of what they are of.

torch keeps weights as a pickle, and to open a pickle is to run what it says. A safetensors file is
a header of JSON, then the numbers, so that a file of unknown hands can be looked at. Its header
holds the record here, and a digest over the record and the numbers: what was changed on the way is
noticed. The digest is no signature; it does not say who made the file.
"""

import hashlib
import io
import json
import pickletools
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar

import safetensors
import safetensors.torch
import torch
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from torch import Tensor, nn

from pecg_utils import models
from pecg_utils.errors import PecgError
from pecg_utils.files import whole

SUFFIX = ".safetensors"
RUNS_CODE = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")  # endings of torch's and pickle's
# All three are ours, and far above the book's largest model: 45 million weights in 632 tensors.
MOST_BYTES = 2 * 2**30
MOST_HEADER = 2**20
MOST_SIZE = 4096  # of a model: one of more layers would take minutes to be made, only to be refused
_RECORD, _DIGEST = "pecg", "sha256"
_DTYPES = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
}


def _iso(text: str) -> str:
    datetime.fromisoformat(text)
    return text


def _once(items: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(items)) < len(items):
        raise ValueError("an item is given twice")
    return items


_Word = Annotated[str, Field(min_length=1)]
_Words = Annotated[tuple[_Word, ...], Field(min_length=1), AfterValidator(_once)]
_Count = Annotated[int, Field(ge=1)]
_Size = Annotated[int, Field(le=MOST_SIZE)]
_Fraction = Annotated[float, Field(ge=0, lt=1)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class About:
    """What weights are of.

    model: its name in the registry. sizes: as models.create takes them. leads: names, in order. fs:
    Hz. samples: of a window. classes: the codes, in the order of the logits. normalise, filter: how
    the windows were prepared. mean, std: a lead, mV, or empty where the windows were not scaled by
    such. dataset, kind, fingerprint: what they were taught. run: its key. revision: of the code.
    made: when, ISO 8601.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    model: str
    sizes: dict[str, bool | _Size | _Fraction | str | tuple[_Size, ...]]
    leads: _Words
    fs: _Positive
    samples: _Count
    classes: _Words
    normalise: str
    filter: str
    mean: list[_Number]
    std: list[_Positive]
    dataset: str
    kind: Annotated[str, Field(pattern="^(twin|subset|full)$")]
    fingerprint: str
    run: str
    revision: str
    made: Annotated[str, AfterValidator(_iso)]


@dataclass(frozen=True)
class Wanted:
    """What weights have to be of, in the words of About. classes: None where any will do."""

    model: str
    sizes: Mapping[str, Any]
    leads: tuple[str, ...]
    fs: float
    classes: tuple[str, ...] | None = None


def save(path: Path, weights: Mapping[str, Tensor], about: About) -> None:
    """Write `weights`, by name, with the record `about` to `path`, whole or not at all.

    Raises PecgError where the file could not be read again: the name does not end in .safetensors,
    the record is of no possible model, a weight is no finite number; or it cannot be written.
    """
    if path.suffix != SUFFIX:
        raise PecgError(f"{path} does not end in {SUFFIX}; give the weights such a name.")
    if path.is_dir():
        raise PecgError(f"{path} is a folder, where weights were to be written; rename it.")
    text = json.dumps(asdict(about))
    _record(text, path)
    # Copied: safetensors refuses two names of one memory, and knows no order of axes but one.
    kept = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in weights.items()
    }
    for name, tensor in kept.items():
        if tensor.dtype not in _DTYPES.values():
            raise _unusual(path, name, str(tensor.dtype), tensor.shape)
    _finite(path, kept)
    held = {_RECORD: text, _DIGEST: _digest(text, kept)}
    data = safetensors.torch.save(kept, held)
    with whole(path) as scratch:
        scratch.write_bytes(data)


def read(path: Path) -> tuple[About, dict[str, Tensor]]:
    """The record and the weights in `path`, by name. Nothing in the file is executed.

    Raises PecgError, which says why, when it is no such file, is damaged or was changed, has no
    record or an impossible one, or holds numbers that are no weights.
    """
    data = _contents(path)
    try:
        # It checks each offset against the others and against the size.
        parts = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise PecgError(
            f"{path} is damaged or no {SUFFIX} file: {error}. Copy it again from where it was made."
        ) from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    held = header.get("__metadata__") or {}
    if _RECORD not in held or _DIGEST not in held:
        raise PecgError(
            f"{path} has no record of what its weights are of; only files that "
            "pecg_utils.weights.save wrote can be used."
        )
    weights = {}
    for name, part in parts:
        if part["dtype"] not in _DTYPES or not part["data"]:
            raise _unusual(path, name, part["dtype"], part["shape"])
        flat = torch.frombuffer(part["data"], dtype=_DTYPES[part["dtype"]])
        weights[name] = flat.reshape(part["shape"])
    if _digest(held[_RECORD], weights) != held[_DIGEST]:
        raise PecgError(
            f"{path} was changed since it was written: its weights and its record do not match "
            "their digest. Copy it again from where it was made."
        )
    about = _record(held[_RECORD], path)
    _finite(path, weights)
    return about, weights


def begin(model: nn.Module, path: Path, wanted: Wanted, head: str = "head") -> About:
    """Load the weights in `path` into `model`, but for its part `head`, which stays as it is.

    A new task has classes of its own, so that its head is new. An empty `head` loads all. Nothing
    is loaded before all was checked.
    Raises PecgError when the file cannot be read, is not of what is `wanted`, or does not fit.
    """
    about, weights = read(path)
    _compare(path, about, wanted)

    def own(name: str) -> bool:
        return bool(head) and f"{name}.".startswith(f"{head}.")

    there = model.state_dict()
    if head and not any(map(own, there)):
        raise PecgError(f"The model {wanted.model} has no part {head!r} that could stay new.")
    there = {name: tensor for name, tensor in there.items() if not own(name)}
    given = {name: tensor for name, tensor in weights.items() if not own(name)}
    _named(path, "lack", there.keys() - given.keys(), there)
    _named(path, "have, as the model has not,", given.keys() - there.keys(), given)
    for name, tensor in there.items():
        found = given[name]
        same = found.is_floating_point() == tensor.is_floating_point()
        if found.shape != tensor.shape or not same:
            raise PecgError(
                f"The weights {name} in {path} are {_shape(found)}, and the model {wanted.model} "
                f"has {_shape(tensor)} there. Make the model as the file's record says."
            )
    model.load_state_dict(given, strict=False)
    return about


def _contents(path: Path) -> bytes:
    """All bytes of the file, read once: what is checked is what is used."""
    if path.suffix.lower() in RUNS_CODE:
        raise _runs_code(path)
    try:
        if path.is_dir():
            raise PecgError(f"{path} is a folder, not a file of weights; give the file in it.")
        if not path.is_file():
            raise PecgError(f"There is no file of weights at {path}; see that the name is right.")
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(MOST_HEADER + 8)
            _check_start(path, head, size)
            data = head + file.read(size - len(head))
    except (OSError, ValueError) as error:  # ValueError: no name for a file
        raise PecgError(f"{path} cannot be read: {error}.") from error
    return data


def _check_start(path: Path, head: bytes, size: int) -> None:
    """Refuse what is not the start of a safetensors file, before anything is made by its word."""
    if not head:
        raise PecgError(f"{path} is empty; copy the weights again from where they were made.")
    length = int.from_bytes(head[:8], "little")
    # A header as short as it has to be has zeros in the place of a pickle's third operation.
    plausible = len(head) > 8 and length <= MOST_HEADER
    if not plausible and (head.startswith((b"PK\x03\x04", b"PK\x05\x06")) or _pickled(head)):
        raise _runs_code(path)
    if size > MOST_BYTES:
        raise PecgError(
            f"{path} has {size / 2**30:.1f} GiB, more than the weights of any model here; see that "
            "it is the right file."
        )
    if not plausible or 8 + length > size:
        raise PecgError(
            f"{path} is cut short or no {SUFFIX} file: it says that its header has {length:,} "
            f"bytes, in a file of {size:,}, and at most {MOST_HEADER:,} are read. Copy it again "
            "from where it was made."
        )


def _pickled(head: bytes) -> bool:
    """Whether these bytes are a pickle or its start; looked at, not loaded."""
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":  # since Python 2.3 they begin so
        return True
    seen = 0
    try:
        for _ in pickletools.genops(io.BytesIO(head[:65_536])):
            seen += 1
    except Exception:  # whatever the bytes are, they are no older pickle
        return False
    return seen > 1


def _runs_code(path: Path) -> PecgError:
    return PecgError(
        f"{path} is a file of torch or pickle, which can run code when it is opened; only {SUFFIX} "
        "files are read. Convert it with pecg_utils.weights.save where it was made."
    )


def _unusual(path: Path, name: str, dtype: str, shape: Iterable[int]) -> PecgError:
    return PecgError(
        f"The weights {name} in {path} are {dtype} of shape {tuple(shape)}; weights are at least "
        "one number, floating (16 to 64 bits) or whole (8 to 64)."
    )


def _finite(path: Path, weights: Mapping[str, Tensor]) -> None:
    for name, tensor in weights.items():
        if not tensor.numel():
            raise _unusual(path, name, str(tensor.dtype), tensor.shape)
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            bad = int((~tensor.isfinite()).sum())
            raise PecgError(
                f"The weights {name} in {path} have {bad} of {tensor.numel()} numbers that are NaN "
                "or infinite: the training failed. Train again at a lower learning rate."
            )


def _digest(text: str, weights: Mapping[str, Tensor]) -> str:
    """Over the record and over each tensor's name, type, shape and numbers."""
    digest = hashlib.sha256(json.dumps(text).encode())
    for name in sorted(weights):
        tensor = weights[name]
        digest.update(json.dumps([name, str(tensor.dtype), *tensor.shape]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _record(text: str, path: Path) -> About:
    """The record, checked, with its model tried on."""
    try:
        about = TypeAdapter(About).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"][:2]) or "the whole"
        found = "" if first["type"] == "missing" else f", not {str(first['input'])[:60]!r}"
        raise PecgError(
            f"The record of {path} cannot be used, for {place}: {first['msg']}{found}. "
            "Write the weights again with pecg_utils.weights.save."
        ) from error
    for what, values in (("means", about.mean), ("standard deviations", about.std)):
        if len(values) not in (0, len(about.leads)):
            raise PecgError(
                f"The record of {path} has {len(values)} {what} for {len(about.leads)} leads; "
                "write the weights again with one a lead, or none."
            )
    try:
        with torch.device("meta"):  # no memory, whatever the sizes
            models.create(
                about.model, len(about.leads), len(about.classes), about.samples, **about.sizes
            )
    except PecgError as error:
        raise PecgError(
            f"The record of {path} is of a model that cannot be made: {str(error).rstrip('.')}. "
            "Write the weights again with what pecg_utils.models.create takes."
        ) from error
    return about


def _compare(path: Path, about: About, wanted: Wanted) -> None:
    """Refuse weights that are of something else than is wanted, with both sides named."""
    weights = f"The weights in {path}"
    if about.model != wanted.model:
        raise PecgError(f"{weights} are of the model {about.model} and {wanted.model} is asked.")
    found, asked = _sizes(about.model, about.sizes), _sizes(wanted.model, wanted.sizes)
    for size in sorted(found.keys() | asked.keys()):
        if found.get(size) != asked.get(size):
            raise PecgError(
                f"{weights} are of {about.model} with the size {size} = {found.get(size)} and "
                f"{asked.get(size)} is asked."
            )
    if about.leads != wanted.leads:
        order = " in this order" if set(about.leads) == set(wanted.leads) else ""
        raise PecgError(
            f"{weights} were taught {len(about.leads)} leads ({', '.join(about.leads)}){order} and "
            f"{len(wanted.leads)} are asked ({', '.join(wanted.leads)}). Ask for the same leads, "
            "or take other weights."
        )
    if about.fs != wanted.fs:
        raise PecgError(
            f"{weights} were taught at {about.fs:g} Hz and {wanted.fs:g} Hz is asked. Resample to "
            "that rate, or take other weights."
        )
    if wanted.classes is not None and about.classes != tuple(wanted.classes):
        missing = [code for code in wanted.classes if code not in about.classes]
        more = [code for code in about.classes if code not in wanted.classes]
        differ = [f"lack {', '.join(missing)}"] if missing else []
        differ += [f"have {', '.join(more)} too many"] if more else []
        how = " and ".join(differ) or "have them in another order"
        raise PecgError(
            f"{weights} were taught {len(about.classes)} classes and {len(wanted.classes)} are "
            f"asked; they {how}. Take weights of the same classes, or a new head."
        )


def _sizes(model: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All sizes of a model: those that are given, and the defaults of the rest."""
    every: dict[str, Any] = {size.name: size.default for size in models.entry(model).sizes}
    for name, value in given.items():
        every[name] = tuple(value) if isinstance(value, list) else value
    return every


def _named(path: Path, verb: str, names: Iterable[str], of: Mapping[str, Tensor]) -> None:
    found = sorted(names)
    if found:
        shown = ", ".join(found[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "")
        raise PecgError(
            f"The weights in {path} {verb} {shown}, of {len(of)}. Make the model as the file's "
            "record says."
        )


def _shape(tensor: Tensor) -> str:
    return f"{' × '.join(map(str, tensor.shape)) or 'one'} {str(tensor.dtype).split('.')[-1]}"
