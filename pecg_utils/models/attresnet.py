"""AttResNet: the trunk of ResNet-18, whose steps then look at each other.

As in the released code of "Are ECGs enough?" (arXiv 2503.08960). The attention is that of Vaswani
et al. 2017 (arXiv 1706.03762, section 3.2), alone: nothing is added to it and no norm follows.
"""

from torch import Tensor, nn

from pecg_utils.errors import PecgError
from pecg_utils.models import Choice, Entry, Size, Stage
from pecg_utils.models.encoder import SelfAttention
from pecg_utils.models.headed import ATTENTION, CODE, SETTINGS, Headed, begin
from pecg_utils.models.resnet18_1d import CHANNELS, SHORTEST, TRUNK, Trunk
from pecg_utils.models.transformer import MeanOverTokens


class AttResNet(Headed):
    """The trunk, attention among its steps, their mean, head.

    No step is told where it stands. Any length from 33 samples, as for the trunk.

    Raises PecgError when the heads do not divide the last of the channels.
    """

    def __init__(
        self, n_leads: int, n_classes: int, *, channels: tuple[int, ...], heads: int
    ) -> None:
        super().__init__()
        width = channels[-1]
        if width % heads:
            raise PecgError(
                f"The model attresnet was given channels that end with {width} and {heads} heads; "
                "give a width that the heads divide."
            )
        self.trunk = Trunk(n_leads, channels)
        self.attend = SelfAttention(width, heads)
        self.pool = MeanOverTokens()
        self.head = nn.Linear(width, n_classes)
        begin(self)
        self.detail = f"{heads} heads of {width // heads}"

    def features(self, x: Tensor) -> Tensor:
        maps = self.trunk(x)  # (B, 512, T / 32)
        seen = self.attend(maps.transpose(1, 2))  # (B, T / 32, 512)
        pooled: Tensor = self.pool(seen)  # (B, 512)
        return pooled

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        return [
            *self.trunk.stages(),
            Stage("Attention", self.attend, self.detail, "{0} tokens × {1} features"),
            Stage("Mean over tokens", self.pool, "", "{0} features"),
            Stage("Head", self.head, "linear", "{0} logits"),
        ]


ATTRESNET = CODE + "models/AttResNet.py"

ENTRY = Entry(
    name="attresnet",
    model=AttResNet,
    what="a ResNet-18's steps, which look at each other",
    sizes=(
        CHANNELS,
        Size("heads", 8, "code", ATTRESNET),
    ),
    choices=(
        *TRUNK,
        Choice("attention", "alone: no shortcut, no norm, no positions", "code", ATTRESNET),
        ATTENTION,
        Choice("pooling", "mean over tokens", "code", SETTINGS + ", reduction"),
    ),
    min_samples=SHORTEST,
)
