"""A transformer encoder over the samples themselves, after one convolution.

As in the released code of "Are ECGs enough?" (arXiv 2503.08960); the encoder layer and the
positions are those of Vaswani et al. 2017 (arXiv 1706.03762). Each sample looks at each: 4 million
pairs a head and window of 2,048. Fused attention never holds them all in memory, but their
arithmetic stays.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.errors import PecgError
from pecg_utils.models import Entry, Size, Stage
from pecg_utils.models.encoder import EncoderLayer, check_heads
from pecg_utils.models.headed import CODE, FIRST_WEIGHTS, SETTINGS, Headed, begin
from pecg_utils.models.pooled_head import row
from pecg_utils.models.restransformer import ENCODER_CHOICES, ENCODER_SIZES
from pecg_utils.models.transformer import MeanOverTokens, Positions


class Embedding(nn.Module):
    """A convolution from the leads to tokens: (B, L, T) -> (B, T / stride, D), rounded up.

    Zeros stand around the window, so that with a stride, too, every sample is in a token.
    """

    def __init__(self, n_leads: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.stride, self.around = stride, kernel - stride
        self.conv = nn.Conv2d(n_leads, width, (1, kernel), (1, stride))

    def forward(self, x: Tensor) -> Tensor:
        before = self.around // 2
        after = self.around - before + -x.shape[2] % self.stride
        x = self.conv(row(F.pad(x, (before, after))))  # (B, D, 1, T / stride)
        return x.squeeze(2).transpose(1, 2)  # (B, T / stride, D)


class RawTransformer(Headed):
    """A convolution, positions, encoder layers, mean over the tokens, head.

    Raises PecgError when the width is odd or no multiple of the heads, when the kernel is even, of
    which bfloat16 makes wrong numbers on some CPUs, and when a stride leaves samples out.
    """

    def __init__(
        self,
        n_leads: int,
        n_classes: int,
        *,
        width: int,
        kernel: int,
        stride: int,
        heads: int,
        depth: int,
        feedforward: int,
        dropout: float,
    ) -> None:
        super().__init__()
        check_heads("rawtransformer", width, heads)
        if kernel % 2 == 0 or stride > kernel:
            raise PecgError(
                f"The model rawtransformer was given the kernel {kernel} and the stride {stride}; "
                "give an odd kernel, and no longer a stride."
            )
        self.embedding = Embedding(n_leads, width, kernel, stride)
        self.positions = Positions(0.0)
        self.encoder = nn.ModuleList(
            EncoderLayer(width, heads, feedforward * width, dropout) for _ in range(depth)
        )
        self.pool = MeanOverTokens()
        self.head = nn.Linear(width, n_classes)
        begin(self)
        self.first = f"kernel {kernel}" + (f", stride {stride}" if stride > 1 else "")
        self.detail = f"{heads} heads of {width // heads}, feed-forward {feedforward * width}"

    def features(self, x: Tensor) -> Tensor:
        tokens = self.positions(self.embedding(x))  # (B, T / stride, D)
        for layer in self.encoder:
            tokens = layer(tokens)  # (B, T / stride, D)
        pooled: Tensor = self.pool(tokens)  # (B, D)
        return pooled

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        tokens = "{0} tokens × {1} features"
        return [
            Stage("Convolution", self.embedding, self.first, tokens),
            Stage("Positions", self.positions, "sines and cosines added", tokens),
            *(
                Stage(f"Encoder layer {i + 1}", layer, self.detail, tokens)
                for i, layer in enumerate(self.encoder)
            ),
            Stage("Mean over tokens", self.pool, "", "{0} features"),
            Stage("Head", self.head, "linear", "{0} logits"),
        ]


TRANSFORMERS = CODE + "models/Transformers.py"

ENTRY = Entry(
    name="rawtransformer",
    model=RawTransformer,
    what="a transformer encoder over the samples themselves",
    sizes=(
        Size("width", 256, "code", SETTINGS + ", embed_dim"),
        Size("kernel", 3, "code", TRANSFORMERS),
        Size("stride", 1, "code", TRANSFORMERS + "; a longer one is ours, for small machines"),
        *ENCODER_SIZES,
    ),
    choices=(FIRST_WEIGHTS, *ENCODER_CHOICES),
    min_samples=1,
    max_samples=5000,  # attention grows with the square of the length
)
