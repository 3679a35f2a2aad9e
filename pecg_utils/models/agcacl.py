"""Surface ECG and electrograms read together: the model of AGCACL (arXiv 2509.19315).

The paper's abstract gives the kind of model: two convolutional encoders, attention from each signal
to the other, a light Transformer, a classifier. Every size and every detail here is *ours*. The
loss that the paper is about is in pecg_utils/contrastive.py.

Each signal keeps its own rate, 500 Hz and 977 Hz, up to its encoder, and both are told the time by
one clock: a token stands at the sample that its convolutions are centred on, 16 samples after the
one before it, so that attention can find what the other signal shows at the same moment.

Presence is per window and channel. An absent channel is read as zeros, whatever it holds; a signal
without any channel is left out of the attention and of the sum, so that the other one answers
alone. Which channels are there is not given to the model as a feature of its own: at Leipzig it
would tell patients apart. Zeros still betray it, and a model learns to do without a signal only
where some windows of its training lack it.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.errors import PecgError
from pecg_utils.models import Choice, Entry, Size, Stage
from pecg_utils.models.cnn_ecg_mamba import Stem
from pecg_utils.models.transformer import MeanOverTokens, Positions

BRANCHES = ("both", "ecg", "iegm")


class Answer(NamedTuple):
    """logits (B, C), and embedding (B, D), each row of length one, for the contrastive loss.

    heard: (B, 2) bool, whether ECG and electrograms had a channel that the answer was made from.
    """

    logits: Tensor
    embedding: Tensor
    heard: Tensor


class Encoders(nn.Module):
    """An encoder a signal: (B, L, T) and (B, K, U) to tokens (B, T / 16, D) and (B, U / 16, D).

    Four convolutions that halve the steps, rounded up, each with batch norm and ReLU; then the
    tokens' places in time.
    """

    def __init__(
        self,
        counts: tuple[int, ...],
        paces: tuple[float, ...],
        channels: tuple[int, ...],
        kernels: tuple[int, ...],
        strides: tuple[int, ...],
        dropout: float,
    ) -> None:
        super().__init__()
        self.each = nn.ModuleList(
            nn.Sequential(
                Stem(count, channels, kernels, strides, activation=nn.ReLU),
                Positions(dropout, pace),
            )
            for count, pace in zip(counts, paces, strict=True)
        )

    def forward(self, *signals: Tensor) -> tuple[Tensor, ...]:
        return tuple(encode(x) for encode, x in zip(self.each, signals, strict=True))


class CrossAttention(nn.Module):
    """Each signal asks the other one: (B, S, D) and (B, R, D) to the same.

    What is found is added to what was there, and the sum normed. A window whose other signal is
    not there (`has_*` (B, 1, 1) bool) finds zeros.
    """

    def __init__(self, d_model: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.ecg_asks = nn.MultiheadAttention(d_model, heads, batch_first=True)
        self.iegm_asks = nn.MultiheadAttention(d_model, heads, batch_first=True)
        self.ecg_norm = nn.LayerNorm(d_model)
        self.iegm_norm = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, ecg: Tensor, iegm: Tensor, has_ecg: Tensor, has_iegm: Tensor
    ) -> tuple[Tensor, Tensor]:
        to_ecg, _ = self.ecg_asks(ecg, iegm, iegm, need_weights=False)  # (B, S, D)
        to_iegm, _ = self.iegm_asks(iegm, ecg, ecg, need_weights=False)  # (B, R, D)
        to_ecg = torch.where(has_iegm, self.dropout(to_ecg), 0)
        to_iegm = torch.where(has_ecg, self.dropout(to_iegm), 0)
        return self.ecg_norm(ecg + to_ecg), self.iegm_norm(iegm + to_iegm)


class GatedSum(nn.Module):
    """A share of each signal, by token and feature: (B, S, D) and (B, R, D) to (B, S, D).

    The electrograms' tokens are first brought to the ECG's places: each place gets the weighted
    mean of those near it, the weight falling along a line to 0 at the distance of one token. The
    share is a sigmoid of both; a signal that is not there has none.
    """

    def __init__(self, d_model: int, pace: float) -> None:
        super().__init__()
        self.pace = pace
        self.gate = nn.Linear(2 * d_model, d_model)

    def forward(self, ecg: Tensor, iegm: Tensor, has_ecg: Tensor, has_iegm: Tensor) -> Tensor:
        iegm = self.nearness(ecg.shape[1], iegm) @ iegm  # (B, S, D)
        share = torch.sigmoid(self.gate(torch.cat([ecg, iegm], dim=-1)))  # (B, S, D)
        share = torch.where(has_iegm, share, 1)
        share = torch.where(has_ecg, share, 0)
        return share * ecg + (1 - share) * iegm

    def nearness(self, steps: int, iegm: Tensor) -> Tensor:
        """What part each electrogram token has in each of `steps` places, (S, R), rows sum to 1."""
        own = torch.arange(iegm.shape[1], device=iegm.device) * self.pace  # (R,) in ECG tokens
        place = torch.arange(steps, device=iegm.device).clamp(max=own[-1])  # (S,)
        near = F.relu(max(1.0, self.pace) - (place[:, None] - own).abs())  # (S, R)
        return (near / near.sum(dim=1, keepdim=True)).to(iegm.dtype)


class Agcacl(nn.Module):
    """Two encoders, cross-attention, gated sum, encoder layers, mean over the tokens, a linear one.

    `branches` "ecg" and "iegm" read one signal alone: one encoder, and no fusion. Any length from
    17 samples of each signal (below, the last convolution would see a single step, over which a
    batch of one window has no variance to normalise by); both begin together.

    Raises PecgError when the width is odd or no multiple of `heads`, and when a kernel is even.
    """

    def __init__(
        self,
        n_leads: int,
        n_classes: int,
        *,
        branches: str,
        electrograms: int,
        ecg_fs: int,
        iegm_fs: int,
        channels: tuple[int, ...],
        kernels: tuple[int, ...],
        strides: tuple[int, ...],
        depth: int,
        heads: int,
        feedforward: int,
        dropout: float,
        attention_dropout: float,
    ) -> None:
        super().__init__()
        d_model = channels[-1]
        if d_model % heads or d_model % 2:
            raise PecgError(
                f"The model agcacl was given channels that end with {d_model} and {heads} heads; "
                "give an even width that the heads divide."
            )
        if even := [kernel for kernel in kernels if kernel % 2 == 0]:
            raise PecgError(f"The model agcacl was given the kernel {even[0]}; give odd ones.")
        self.branches = branches
        self.electrograms, self.ecg_fs, self.iegm_fs = electrograms, ecg_fs, iegm_fs
        pace = ecg_fs / iegm_fs  # of the electrograms' tokens, where the ECG's are 1 apart
        of_each = {"ecg": (n_leads, 1.0), "iegm": (electrograms, pace)}
        self.reads = tuple(of_each) if branches == "both" else (branches,)
        counts, paces = zip(*(of_each[name] for name in self.reads), strict=True)
        self.encoders = Encoders(counts, paces, channels, kernels, strides, dropout)
        if branches == "both":
            self.cross = CrossAttention(d_model, heads, dropout)
            self.gate = GatedSum(d_model, pace)
        self.layers = nn.ModuleList()
        for _ in range(depth):
            layer = nn.TransformerEncoderLayer(
                d_model, heads, feedforward, dropout, batch_first=True
            )
            layer.self_attn.dropout = attention_dropout
            self.layers.append(layer)
        self.pool = MeanOverTokens()
        self.head = nn.Linear(d_model, n_classes)
        self.heads = f"{heads} heads of {d_model // heads}"
        self.detail = f"{self.heads}, feed-forward {feedforward}"
        signals = {"ecg": f"{n_leads} leads at {ecg_fs} Hz"}
        signals["iegm"] = f"{electrograms} electrograms at {iegm_fs} Hz"
        self.signals = ", ".join(signals[name] for name in self.reads)

    def forward(
        self,
        ecg: Tensor | None,
        iegm: Tensor | None = None,
        mask: Tensor | None = None,
        leads: Tensor | None = None,
    ) -> Answer:
        """The answer to ecg (B, L, T) and iegm (B, K, U), in normalised units, of the same seconds.

        mask (B, K) and leads (B, L), bool: which channels of each are there; None is all. A signal
        that the branches do not read may be None. Where neither signal has a channel, the answer
        is the same for every window. Raises PecgError when a signal that is read is not given.
        """
        given = {"ecg": (ecg, leads), "iegm": (iegm, mask)}
        signals: list[Tensor] = []
        has: list[Tensor] = []
        for name in self.reads:
            signal, there = given[name]
            if signal is None:
                raise PecgError(
                    f"The model agcacl with branches {self.branches} was given no {name}; give "
                    "zeros, and its mask, where the signal is absent."
                )
            if there is None:
                there = torch.ones(signal.shape[:2], dtype=torch.bool, device=signal.device)
            signals.append(torch.where(there[..., None], signal, 0))  # not times: it may hold NaN
            has.append(there.any(dim=1)[:, None, None])  # (B, 1, 1)
        tokens = self.encoders(*signals)  # (B, T / 16, D), (B, U / 16, D)
        if self.branches == "both":
            tokens = self.cross(*tokens, *has)  # as before
            x = self.gate(*tokens, *has)  # (B, S, D)
        else:
            x = tokens[0]  # (B, S, D)
        for layer in self.layers:
            x = layer(x)  # (B, S, D)
        x = self.pool(x)  # (B, D)
        heard = dict(zip(self.reads, has, strict=True))
        silent = torch.zeros_like(has[0])
        heard_of = [heard.get(name, silent).flatten() for name in ("ecg", "iegm")]  # (B,) each
        fine = x.to(torch.promote_types(x.dtype, torch.float32))  # bf16 has three digits
        return Answer(self.head(x), F.normalize(fine, dim=1), torch.stack(heard_of, dim=1))

    def beside(self, ecg: Tensor) -> tuple[Tensor, ...]:
        """Electrograms of zeros (B, K, U) for the seconds of `ecg` (B, L, T), and their mask."""
        if self.branches == "ecg":
            return ()
        steps = round(ecg.shape[2] * self.iegm_fs / self.ecg_fs)
        iegm = ecg.new_zeros(len(ecg), self.electrograms, steps)
        return iegm, torch.ones(iegm.shape[:2], dtype=torch.bool, device=ecg.device)

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        one = "{0} tokens × {1} features"
        if self.branches == "both":
            two = "{0} and {2} tokens × {1} features"
            rows = [
                Stage("ECG and IEGM encoders", self.encoders, self.signals, two),
                Stage("Cross-attention", self.cross, f"each asks the other, {self.heads}", two),
                Stage("Gated sum", self.gate, "at the places of the ECG's tokens", one),
            ]
        else:
            rows = [Stage(f"{self.branches.upper()} encoder", self.encoders, self.signals, one)]
        rows += [
            Stage(f"Encoder layer {i + 1}", layer, self.detail, one)
            for i, layer in enumerate(self.layers)
        ]
        return [
            *rows,
            Stage("Mean over tokens", self.pool, "", "{0} features"),
            Stage("Linear", self.head, "", "{0} logits"),
        ]


KIND = "arXiv 2509.19315, abstract"
OURS = "not in what is known of the paper"

ENTRY = Entry(
    name="agcacl",
    model=Agcacl,
    what="surface ECG and electrograms: two encoders, attention from each to the other",
    sizes=(
        Size("branches", "both", "paper", KIND + "; one alone is our ablation", BRANCHES),
        Size("electrograms", 7, "ours", "the names that 27 of Leipzig's 39 recordings have"),
        Size("ecg_fs", 500, "ours", OURS + "; keeps what lies below 100 Hz and more"),
        Size("iegm_fs", 977, "ours", "Leipzig's own rate: electrograms reach to 300 Hz"),
        Size("channels", (32, 64, 128, 128), "ours", OURS + "; small, as the patients are few"),
        Size("kernels", (15, 7, 5, 3), "ours", OURS + "; 30 ms of ECG at first"),
        Size("strides", (2, 2, 2, 2), "ours", OURS + "; a token has 32 ms of ECG, 16 ms of IEGM"),
        Size("depth", 2, "ours", KIND + " says a lightweight Transformer, not how deep"),
        Size("heads", 4, "ours", OURS + "; heads of 32"),
        Size("feedforward", 256, "ours", OURS + "; twice the width"),
        Size("dropout", 0.1, "ours", OURS + "; the usual one"),
        Size("attention_dropout", 0.0, "ours", "at 0 torch takes its fused attention"),
    ),
    choices=(
        Choice("encoders", "one convolutional encoder a signal", "paper", KIND),
        Choice("fusion", "attention from each signal to the other", "paper", KIND),
        Choice("sum of both", "shares by a gate, at the ECG's tokens", "ours", OURS),
        Choice("positions", "sines and cosines of the time, one clock", "ours", OURS),
        Choice("absent channel", "zeros; a signal without channels is left out", "ours", OURS),
        Choice("pooling", "mean over tokens", "ours", OURS),
        Choice("embedding", "that mean, scaled to length one", "ours", OURS),
        Choice("head", "one linear layer", "ours", OURS),
    ),
    min_samples=17,
    beside="7 electrograms of the same seconds at 977 Hz, and which of them are there",
)
