"""VGG over time: eight or thirteen convolutions of 3, and three linear layers over what they found.

Nets A and D of Simonyan and Zisserman 2015 (arXiv 1409.1556, table 1), made one-dimensional: VGG-11
with batch norms, VGG-16 without, as in the released code of "Are ECGs enough?" (arXiv 2503.08960).

That code pools with a two-dimensional layer made for images, to 7 × 7. Maps over time are (B, 512,
T), which it takes for one image of 512 rows in B colours: it averages neighbouring channels
together, 74 at a time, as though their order meant something, and 49 numbers remain of a window
(VGGnet.py:23). The size `pool` has this as "as coded"; "time", *ours*, averages each channel over
seven parts of time.

The released VGG-11 gives its convolutions biases that the norms take away again: these never learn
and are left out (*ours*).
"""

from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.models import Choice, Entry, Size, Stage
from pecg_utils.models.alexnet1d import HIDDEN, LOUDER, PoolParts, louder, mean_of_parts
from pecg_utils.models.headed import CODE, FIRST_WEIGHTS, SETTINGS, Headed, begin
from pecg_utils.models.pooled_head import row

LAYERS = {"11": (1, 1, 2, 2, 2), "16": (2, 2, 3, 3, 3)}  # convolutions of each stage
POOLS = ("time", "as coded")
PARTS = 7
HALVINGS = 32  # samples of a step after five max pools


class PoolAsCoded(nn.Module):
    """Means of parts of time and of parts of the channels: (B, D, 1, S) -> (B, 49).

    What torch's AdaptiveAvgPool2d(7) makes of maps (B, D, S).
    """

    def forward(self, x: Tensor) -> Tensor:
        by_time = mean_of_parts(x.squeeze(2), 2, PARTS)  # (B, D, 7)
        return mean_of_parts(by_time, 1, PARTS).flatten(1)


class Vgg(Headed):
    """Five stages of convolutions, each with a max pool, pooling, two hidden layers, head.

    Any length: a window is filled up with zeros at its end to a multiple of 32, so that the max
    pools leave no tail out.
    """

    def __init__(
        self,
        n_leads: int,
        n_classes: int,
        *,
        layers: str,
        channels: tuple[int, ...],
        pool: str,
        hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.normed = layers == "11"
        self.body = nn.ModuleList()
        c_in = n_leads
        for c_out, count in zip(channels, LAYERS[layers], strict=True):
            stage = nn.Sequential()
            for _ in range(count):
                stage.extend(_convolution(c_in, c_out, self.normed))
                c_in = c_out
            self.body.append(stage.append(nn.MaxPool2d((1, 2))))
        self.pool = PoolParts(PARTS) if pool == "time" else PoolAsCoded()
        pooled = PARTS * (c_in if pool == "time" else PARTS)
        self.hidden = nn.Sequential(
            nn.Linear(pooled, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )
        self.head = nn.Linear(hidden, n_classes)
        begin(self)
        louder(self.hidden, hidden)
        self.counts = LAYERS[layers]
        self.parts = f"{PARTS} parts of time" + ("" if pool == "time" else " and of the channels")
        self.detail = f"to {hidden} features, each before dropout"

    def features(self, x: Tensor) -> Tensor:
        x = row(F.pad(x, (0, -x.shape[2] % HALVINGS)))  # (B, L, 1, T)
        for stage in self.body:
            x = stage(x)  # (B, 64..512, 1, T / 2..32)
        found: Tensor = self.hidden(self.pool(x))  # (B, 4096)
        return found

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        rows = []
        for i, (stage, count) in enumerate(zip(self.body, self.counts, strict=True)):
            several = f"{count} convolution" + ("s" if count > 1 else "")
            detail = f"{several} of 3{', norms' if self.normed else ''}, max pool"
            rows.append(Stage(f"Stage {i + 1}", stage, detail, "{0} channels × {2} steps"))
        return [
            *rows,
            Stage("Mean of parts", self.pool, self.parts, "{0} features"),
            Stage("Two linear layers", self.hidden, self.detail, "{0} features"),
            Stage("Head", self.head, "linear", "{0} logits"),
        ]


def _convolution(c_in: int, c_out: int, normed: bool) -> list[nn.Module]:
    conv = nn.Conv2d(c_in, c_out, (1, 3), padding=(0, 1), bias=not normed)
    norm = [nn.BatchNorm2d(c_out)] if normed else []
    return [conv, *norm, nn.ReLU(inplace=True)]


VGG = CODE + "models/VGGnet.py"

ENTRY = Entry(
    name="vgg1d",
    model=Vgg,
    what="thirteen convolutions of 3 and three linear layers",
    sizes=(
        Size("layers", "16", "code", VGG + ", net D; 11 is its net A with norms", tuple(LAYERS)),
        Size("channels", (64, 128, 256, 512, 512), "code", VGG),
        Size("pool", "time", "ours", VGG + ":23 mixes channels; that is: as coded", POOLS),
        Size("hidden", HIDDEN, "code", VGG),
        Size("dropout", 0.5, "code", SETTINGS),
    ),
    choices=(
        Choice("norms", "batch norms with 11 layers, none with 16", "code", VGG),
        Choice("pooling computed", "as means of slices", "ours", "its gradients repeat on a GPU"),
        Choice("biases", "none before a norm, which takes them away", "ours", "they never learn"),
        Choice("tail of a window", "filled with zeros to 32", "ours", "2,048 samples need none"),
        FIRST_WEIGHTS,
        LOUDER,
    ),
    min_samples=1,
)
