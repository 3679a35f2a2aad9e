"""The parameters of notebooks/ecgs_enough.ipynb, and their values in each profile."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pecg_utils.chapters.common import Chapter, different

FS = 500.0  # Hz, of a window, *code*
SECONDS = 10.0  # of a window, out of which pieces are taught
Model = Literal[
    "alexnet",
    "vgg11",
    "vgg16",
    "resnet18",
    "attresnet",
    "crnn lstm",
    "crnn gru",
    "restransformer",
    "transformer",
]
# What a model is called -> its name in the registry and what differs from its usual sizes.
MODELS: dict[str, tuple[str, tuple[tuple[str, Any], ...]]] = {
    "alexnet": ("alexnet1d", ()),
    "vgg11": ("vgg1d", (("layers", "11"),)),
    "vgg16": ("vgg1d", (("layers", "16"),)),
    "resnet18": ("resnet18_1d", ()),
    "attresnet": ("attresnet", ()),
    "crnn lstm": ("crnn", (("cell", "LSTM"),)),
    "crnn gru": ("crnn", (("cell", "GRU"),)),
    "restransformer": ("restransformer", ()),
    "transformer": ("rawtransformer", ()),
}
Filter = Literal["none", "as coded", "as meant", "zero-phase", "wavelet"]
Normalise = Literal["none", "train", "window", "minmax", "median", "l2", "whole"]


class EcgsEnough(Chapter):
    """The parameters of notebooks/ecgs_enough.ipynb."""

    dataset: Annotated[Literal["pe", "ptbxl"], Field(description="whose reader opens the data")]
    source: Annotated[
        Literal["ptbxl", "cpsc2018", "hospitals"],
        Field(description="the large set, on which models are pre-trained"),
    ]
    large: Annotated[str, Field(description="the large set's folder; empty for its twin")]
    ludb: Annotated[
        str, Field(description="LUDB's folder, for what filters do; empty for simulated beats")
    ]
    weights: Annotated[
        str, Field(description="a file of pre-trained weights, for its model; or empty")
    ]
    patients: Annotated[int, Field(ge=60, le=20_000, description="in the small set's twin")]
    others: Annotated[int, Field(ge=60, le=20_000, description="patients in the large set's twin")]
    least: Annotated[int, Field(ge=1, le=100, description="carriers of a label, to be taught")]
    models: Annotated[
        list[Model],
        AfterValidator(different),
        Field(min_length=1, description="that are transferred"),
    ]
    taught: Annotated[
        list[Literal["50", "100", "200", "400"]],
        AfterValidator(different),
        Field(description="recordings of the small set that are taught, beside all of them"),
    ]
    steps: Annotated[int, Field(ge=3, le=100_000, description="of a training on the small set")]
    samples: Annotated[int, Field(ge=1024, le=5000, description="of a piece that is taught")]
    normalise: Annotated[Normalise, Field(description="how a window is normalised")]
    filter: Annotated[Filter, Field(description="how a window is filtered")]
    augment: Annotated[bool, Field(description="whether pieces are changed at random in training")]
    loss: Annotated[Literal["focal", "weighted", "plain"], Field(description="of training")]
    folds: Annotated[int, Field(ge=1, le=10, description="of the small set; 1 divides it once")]
    repeats: Annotated[
        int, Field(ge=1, le=20, description="seeds of training, each with parts of its own")
    ]
    compared: Annotated[
        list[Model],
        AfterValidator(different),
        Field(min_length=1, description="whose preparation is varied"),
    ]
    lengths: Annotated[
        list[Literal["1024", "2048", "3072", "4096", "5000"]],
        AfterValidator(different),
        Field(min_length=1, description="samples of a piece, to be compared"),
    ]
    normalisations: Annotated[
        list[Normalise],
        AfterValidator(different),
        Field(min_length=1, description="to be compared"),
    ]
    draws: Annotated[int, Field(ge=2, le=1_000, description="of a test with random changes")]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.dataset == self.source:
            raise ValueError(
                "The small set is PTB-XL's, so that models cannot be pre-trained on PTB-XL: give "
                "cpsc2018 or hospitals as source."
            )
        return self

    @classmethod
    def usual(cls, dataset: str) -> dict[str, Any]:
        """PTB-XL's own patients teach nothing about it."""
        return {"source": "cpsc2018"} if dataset == "ptbxl" else {}

    @property
    def twin_size(self) -> int:
        """How many patients the small set's twin has."""
        return self.patients

    @property
    def least_patients(self) -> int:
        """Carriers of the label: one in each side of each of a few folds."""
        return 20

    @property
    def reading(self) -> dict[str, Any]:
        """Of PTB-XL the statements of the right heart are the small task."""
        return {"task": "right"} if self.dataset == "ptbxl" else {}

    @property
    def folders(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """The large set's and LUDB's folders."""
        return {"large": (self.source, {}), "ludb": ("ludb", {})}

    @property
    def files(self) -> tuple[str, ...]:
        """The parameters that are files."""
        return ("weights",)

    @property
    def cutting(self) -> dict[str, Any]:
        """windows.Settings' arguments: one window a recording, its first ten seconds."""
        return {"fs": FS, "seconds": SECONDS, "whole": True, "filter": self.filter}

    @property
    def training(self) -> dict[str, Any]:
        """train.Training's arguments; of the large set, the best average precision *ours*."""
        given = {"loss": self.loss, "augment": self.augment, "weight_decay": 1e-3}
        return {**super().training, **given, "keep": "average_precision"}


_COMMON: dict[str, Any] = {
    "dataset": "pe",
    "source": "ptbxl",
    "data": "",
    "large": "",
    "ludb": "",
    "weights": "",
    "seed": 0,
    "least": 5,
    "models": ["alexnet", "resnet18", "crnn lstm", "restransformer"],
    "taught": ["50", "200"],
    "samples": 2048,
    "normalise": "window",
    "filter": "none",
    "augment": True,
    "loss": "focal",
    "batch": 32,
    "lr": 2e-3,
    "folds": 1,
    "repeats": 3,
    "compared": ["resnet18", "crnn lstm"],
    "lengths": ["1024", "2048", "5000"],
    "normalisations": ["none", "train", "window", "minmax", "median", "l2"],
    "draws": 20,
    "resamples": 1000,
    "precision": "auto",
}
PROFILES: dict[str, dict[str, Any]] = {
    "smoke": {
        **_COMMON,
        "patients": 100,
        "others": 100,
        "epochs": 1,
        "steps": 3,
        "sizes": "tiny",
        "models": ["resnet18", "crnn gru"],
        "taught": ["50"],
        "samples": 1024,
        "repeats": 1,
        "compared": ["resnet18"],
        "lengths": ["1024"],
        "normalisations": ["none", "window"],
        "draws": 2,
        "resamples": 100,
    },
    "demo": {
        **_COMMON,
        "patients": 200,
        "others": 200,
        "epochs": 5,
        "steps": 24,
        "sizes": "tiny",
        "models": ["resnet18", "crnn lstm"],
        "taught": ["50"],
        "repeats": 2,
        "compared": ["resnet18"],
        "lengths": ["1024", "2048"],
        "normalisations": ["none", "window", "minmax"],
        "draws": 5,
    },
    "study": {
        **_COMMON,
        "patients": 927,
        "others": 1200,
        "epochs": 15,
        "steps": 120,
        "sizes": "small",
        "folds": 2,
    },
    "paper": {
        **_COMMON,
        "patients": 927,
        "others": 18_869,
        "models": list(MODELS),
        "epochs": 50,
        "steps": 500,
        "sizes": "paper",
        "taught": ["50", "100", "200", "400"],
        "folds": 5,
        "filter": "as meant",
        "batch": 64,
        "lr": 1e-4,
        "lengths": ["1024", "2048", "3072", "4096", "5000"],
    },
}
