"""What every chapter's parameters have in common."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


def different(items: list[str]) -> list[str]:
    """The items of a list, each once. Raises ValueError when one is there twice."""
    if len(set(items)) < len(items):
        raise ValueError("an item is given twice")
    return items


class Chapter(BaseModel):
    """The parameters that every chapter has, and what they mean for reading and training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: Annotated[
        Literal["smoke", "demo", "study", "paper"],
        Field(description="how much is done: seconds, minutes, an hour, the paper's own sizes"),
    ]
    data: Annotated[str, Field(description="the dataset's folder; empty for the twin")]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="of splits and training")]
    epochs: Annotated[int, Field(ge=1, le=2_000, description="passes over the training side")]
    batch: Annotated[int, Field(ge=2, le=4_096, description="windows a training step")]
    lr: Annotated[float, Field(gt=0, le=1, description="learning rate of AdamW")]
    sizes: Annotated[Literal["tiny", "small", "paper"], Field(description="of the models")]
    resamples: Annotated[int, Field(ge=20, le=100_000, description="of patients, an interval")]
    precision: Annotated[
        Literal["auto", "32", "bf16"], Field(description="of training; auto: bf16 where it is fast")
    ]

    @classmethod
    def usual(cls, dataset: str) -> dict[str, Any]:
        """Values that depend on the dataset, whatever the profile says."""
        return {}

    @property
    def least_patients(self) -> int:
        """How many patients with a label the chapter cannot do without: 7:1:2 over 19 labels."""
        return 60

    @property
    def reading(self) -> dict[str, Any]:
        """What the dataset's reader is told beside the folder."""
        return {}

    @property
    def folders(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Parameters that name the folder of a further dataset -> which, and how it is read."""
        return {}

    @property
    def files(self) -> tuple[str, ...]:
        """Parameters that name a file, whose contents matter and not its name."""
        return ()

    @property
    def twin_helps(self) -> bool:
        """Whether models are trained on the twin where the given data holds too few patients."""
        return False

    @property
    def training(self) -> dict[str, Any]:
        """train.Training's arguments."""
        return {
            "epochs": self.epochs,
            "batch": self.batch,
            "lr": self.lr,
            "seed": self.seed,
            "precision": self.precision,
        }
