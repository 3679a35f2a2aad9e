"""Models that a trial left in its folders, read back to be asked again. Nothing is trained here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pecg_utils.data.inputs import Inputs, Scale, measure
from pecg_utils.data.windows import Windows
from pecg_utils.protocol import Protocol


def model_and_inputs(
    folder: Path,
    protocol: Protocol,
    sizes: Mapping[str, Any],
    windows: Windows,
    rows: npt.NDArray[np.intp],
    labels: npt.NDArray[np.bool_],
) -> tuple[Any, Inputs]:
    """The model in `folder`, and the windows `rows`, normalised as `protocol` says.

    sizes: that the model was made with. labels: (N, C), of all windows. What the training side told
    comes from where the model lies; what a side or a window tells of itself is measured anew.
    """
    import torch

    from pecg_utils import models

    kept = torch.load(folder / "model.pt", weights_only=True)
    leads = protocol.leads
    model = models.create(
        protocol.model,
        n_leads=len(leads),
        n_classes=labels.shape[1],
        n_samples=protocol.piece(windows),
        **sizes,
    )
    model.load_state_dict(kept["weights"])
    told = Scale(leads, np.array(kept["mean"]), np.array(kept["std"])) if "mean" in kept else None
    taken = measure(windows, rows, leads, protocol.normalise, told)
    return model, Inputs(windows, rows, taken, labels[rows])
