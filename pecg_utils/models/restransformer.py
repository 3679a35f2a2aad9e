"""ResTransformer: the trunk of ResNet-18, then a transformer encoder over its steps.

As in the released code of "Are ECGs enough?" (arXiv 2503.08960); the encoder layer and the
positions are those of Vaswani et al. 2017 (arXiv 1706.03762).
"""

from torch import Tensor, nn

from pecg_utils.models import Choice, Entry, Size, Stage
from pecg_utils.models.encoder import EncoderLayer, check_heads
from pecg_utils.models.headed import ATTENTION, CODE, NO_DROP, SETTINGS, Headed, begin
from pecg_utils.models.resnet18_1d import CHANNELS, SHORTEST, TRUNK, Trunk
from pecg_utils.models.transformer import MeanOverTokens, Positions


class ResTransformer(Headed):
    """The trunk, positions, encoder layers, mean over the tokens, head.

    Any length from 33 samples, as for the trunk.

    Raises PecgError when the last of the channels is odd or no multiple of the heads.
    """

    def __init__(
        self,
        n_leads: int,
        n_classes: int,
        *,
        channels: tuple[int, ...],
        heads: int,
        depth: int,
        feedforward: int,
        dropout: float,
    ) -> None:
        super().__init__()
        width = channels[-1]
        check_heads("restransformer", width, heads)
        self.trunk = Trunk(n_leads, channels)
        self.positions = Positions(0.0)
        self.encoder = nn.ModuleList(
            EncoderLayer(width, heads, feedforward * width, dropout) for _ in range(depth)
        )
        self.pool = MeanOverTokens()
        self.head = nn.Linear(width, n_classes)
        begin(self)
        self.detail = f"{heads} heads of {width // heads}, feed-forward {feedforward * width}"

    def features(self, x: Tensor) -> Tensor:
        maps = self.trunk(x)  # (B, 512, T / 32)
        tokens = self.positions(maps.transpose(1, 2))  # (B, T / 32, 512)
        for layer in self.encoder:
            tokens = layer(tokens)  # (B, T / 32, 512)
        pooled: Tensor = self.pool(tokens)  # (B, 512)
        return pooled

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        tokens = "{0} tokens × {1} features"
        return [
            *self.trunk.stages(),
            Stage("Positions", self.positions, "sines and cosines added", tokens),
            *(
                Stage(f"Encoder layer {i + 1}", layer, self.detail, tokens)
                for i, layer in enumerate(self.encoder)
            ),
            Stage("Mean over tokens", self.pool, "", "{0} features"),
            Stage("Head", self.head, "linear", "{0} logits"),
        ]


TRANSFORMERS = CODE + "models/Transformers.py"
# Of both models that have an encoder.
ENCODER_SIZES = (
    Size("heads", 4, "code", SETTINGS),
    Size("depth", 2, "code", SETTINGS),
    Size("feedforward", 4, "code", TRANSFORMERS + "; times the width"),
    Size("dropout", 0.1, "code", SETTINGS),
)
ENCODER_CHOICES = (
    Choice("encoder layer", "norm after the sum, ReLU", "code", "torch's defaults"),
    Choice("positions", "sines and cosines", "code", TRANSFORMERS),
    ATTENTION,
    NO_DROP,
    Choice("pooling", "mean over tokens", "code", TRANSFORMERS),
)

ENTRY = Entry(
    name="restransformer",
    model=ResTransformer,
    what="a ResNet-18's steps, read by a transformer encoder",
    sizes=(CHANNELS, *ENCODER_SIZES),
    choices=(*TRUNK, *ENCODER_CHOICES),
    min_samples=SHORTEST,
)
