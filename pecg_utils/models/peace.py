"""An ECG asked about labels by their texts: the model of PEACE (arXiv 2605.00647).

*paper*, at second hand, as only a digest of the page could be read: a label-query network, in which
the labels' text embeddings attend over the tokens of the ECG and over three axis tokens (rhythm,
morphology, ST-T), composed from the texts of the record's own positive labels; at inference the ECG
alone. *ours*: the encoder, every size, and each equation of the parts. The loss is in
pecg_utils/alignment.py, which also composes the tokens.

No weight belongs to a label. A label is its text vector, a buffer that `set_labels` exchanges, and
a logit is reckoned from it in the same way for all, without regard to the other labels: so that a
model that learned one set of labels answers another one.

The axis tokens are made from the answer. `forward` takes them in training alone and refuses them in
evaluation; `leaked`, for the audit, shows what they would tell.

What the model is compared with answers otherwise from the same encoder, and has no part that it
does not use (both *ours*): "linear", a row of weights for each label and no text at all, the plain
network; "nearness", how near each label's text lies to the ECG, as in CLIP (arXiv 2103.00020).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.errors import PecgError
from pecg_utils.models import Choice, Entry, Size, Stage
from pecg_utils.models.gates import normed
from pecg_utils.models.peace_parts import TEMPERATURE, Nearness, Query, Residual, Tokens
from pecg_utils.models.pooled_head import row
from pecg_utils.models.transformer import MeanOverTokens
from pecg_utils.precise import precise

AXES = ("path", "beside")  # where the axis tokens are seen in training
ANSWERS = ("queries", "linear", "nearness")


class Answer(NamedTuple):
    """logits (B, C), and what the losses need, each row of the next three of length one.

    embedding: (B, D), of the ECG. labels: (C, D), of the labels' texts. text: (B, D), of the
    record's own text, where it was given. auxiliary: (B, C), the logits with the axis tokens in
    sight, where they were given beside the path. features: (B, D), the mean over the ECG's tokens,
    for the losses that bring domains together; always there.

    With the answer "linear", embedding is that mean and labels are the readout's rows.
    """

    logits: Tensor
    embedding: Tensor
    labels: Tensor
    text: Tensor | None = None
    auxiliary: Tensor | None = None
    features: Tensor | None = None


class Peace(nn.Module):
    """Residual stages to tokens, label queries over these, one linear readout for all labels.

    Without `set_labels` the labels' vectors are the rows of the identity, (C, text): one-hot, and
    so orthonormal, of no meaning. Any length from 17 samples: each halving rounds up. (Below, the
    last stage would see a single step, over which a batch of one window has no variance to be
    normed by.)

    All weights learn from the logits but, with the answer "queries", those of `embed`, which learn
    from the alignment alone. Only this answer reads the sizes depth, heads, feedforward, dropout
    and axes; "linear" does not read text either.

    Raises PecgError when a kernel is even, when the heads do not divide the width, and when there
    are more classes than numbers in a text vector; the last two only where these are used.
    """

    labels: Tensor

    def __init__(
        self,
        n_leads: int,
        n_classes: int,
        *,
        channels: tuple[int, ...],
        blocks: int,
        kernel: int,
        stem_kernel: int,
        text: int,
        depth: int,
        heads: int,
        feedforward: int,
        dropout: float,
        axes: str,
        answer: str,
    ) -> None:
        super().__init__()
        width = channels[-1]
        if answer == "queries" and width % heads:
            raise PecgError(
                f"The model peace was given channels that end with {width} and {heads} heads; "
                "give a width that the heads divide."
            )
        for name, value in (("kernel", kernel), ("stem_kernel", stem_kernel)):
            if value % 2 == 0:
                raise PecgError(
                    f"The size {name} of the model peace was given as {value}; give an odd one."
                )
        if answer != "linear" and n_classes > text:
            raise PecgError(
                f"The model peace was given {n_classes} classes and the text {text}, too few "
                "numbers to tell so many labels apart by one-hot vectors; give a larger text."
            )
        self.axes, self.answer, self.width, self.frozen = axes, answer, width, False
        self.blocks, self.kernel, self.stem_kernel = blocks, kernel, stem_kernel
        self.stem = normed(n_leads, channels[0], stem_kernel, 2)
        self.body = nn.ModuleList()
        c_in = channels[0]
        for i, c_out in enumerate(channels):
            first = Residual(c_in, c_out, kernel, 1 if i == 0 else 2)
            rest = [Residual(c_out, c_out, kernel, 1) for _ in range(blocks - 1)]
            self.body.append(nn.Sequential(first, *rest))
            c_in = c_out
        self.tokens = Tokens(width)
        self.mean = MeanOverTokens()
        if answer == "linear":
            self.readout = nn.Linear(width, n_classes)
        else:
            self.embed = nn.Linear(width, width)
            self.text = nn.Sequential(nn.Linear(text, width), nn.LayerNorm(width))
        if answer == "nearness":
            self.nearness = Nearness()
        if answer == "queries":
            self.layers = nn.ModuleList(
                Query(width, heads, feedforward, dropout) for _ in range(depth)
            )
            self.readout = nn.Linear(width, 1)
        self.register_buffer("labels", torch.eye(n_classes, text))
        self.detail = f"{heads} heads of {width // heads}, feed-forward {feedforward}"
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor, axes: Tensor | None = None, fused: Tensor | None = None) -> Answer:
        """The answer to the ECG, windows (B, L, T) in normalised units.

        In training, perhaps: axes (B, K, E), K text vectors of each record, usually three, and
        fused (B, E), its one. With the size `axes` "path" the queries see the axis tokens too, and
        the logits are made of both; with "beside" these are of the ECG alone, and other ones, the
        auxiliary, of both. The answer "nearness" takes fused alone, "linear" neither: a text that
        could not count is refused, and not passed over.

        Raises PecgError when axes or fused are given in evaluation, and ValueError when they are
        given in training to an answer that takes no such text.
        """
        if not self.training and (axes is not None or fused is not None):
            raise PecgError(
                "The model peace was given a record's own text in evaluation, which is made of "
                "its labels; give the ECG alone."
            )
        if axes is not None:
            self._needs_queries()
        if fused is not None and self.answer == "linear":
            raise ValueError("the model peace with the answer linear takes no text")
        tokens = self.encode(x)  # (B, S, D)
        features = self.mean(tokens)  # (B, D)
        if self.answer == "linear":
            rows = _unit(self.readout.weight)  # (C, D)
            return Answer(self.readout(features), _unit(features), rows, features=features)
        queries = self.text(self.labels[None])  # (1, C, D)
        ecg, labels = _unit(self.embed(features)), _unit(queries[0])  # (B, D), (C, D)
        text = None if fused is None else _unit(self.text(fused))  # (B, D)
        if self.answer == "nearness":
            return Answer(self.nearness(ecg, labels), ecg, labels, text, features=features)
        logits, auxiliary = None, None
        if axes is not None:
            both = self._ask(queries, self._joined(tokens, axes))  # (B, C)
            if self.axes == "path":
                logits = both
            else:
                auxiliary = both
        if logits is None:
            logits = self._ask(queries, tokens)  # (B, C)
        return Answer(logits, ecg, labels, text, auxiliary, features)

    def freeze(self) -> None:
        """From now on the readout alone learns: a linear probe. The norms keep their statistics.

        Raises ValueError for the answer "nearness", which has no readout.
        """
        if self.answer == "nearness":
            raise ValueError(
                "the model peace with the answer nearness has no readout to probe with"
            )
        self.requires_grad_(False)
        self.readout.requires_grad_(True)
        self.frozen = True

    def train(self, mode: bool = True) -> "Peace":
        """As nn.Module has it, but that what is frozen stays in evaluation."""
        super().train(mode)
        if self.frozen:
            for part in self.children():
                part.train(mode and part is self.readout)
        return self

    def encode(self, x: Tensor) -> Tensor:
        """Windows (B, L, T) to tokens (B, T / 16, D)."""
        x = self.stem(row(x))  # (B, 64, 1, T / 2)
        for stage in self.body:
            x = stage(x)  # (B, 64..256, 1, T / 2..16)
        tokens: Tensor = self.tokens(x)
        return tokens

    def leaked(self, x: Tensor, axes: Tensor) -> Tensor:
        """The logits (B, C) with the axis tokens (B, K, E) in sight, in evaluation too.

        For the audit, which shows by it what the tokens tell of the answer; for nothing else.
        Raises ValueError when the answer is not "queries", as nothing else sees them.
        """
        self._needs_queries()
        return self._ask(self.text(self.labels[None]), self._joined(self.encode(x), axes))

    def set_labels(self, vectors: Tensor) -> None:
        """From now on answer these labels: text vectors (C, E), any C, E the size `text`.

        The answer "linear" has a row of weights for each label that it learned, in that order; it
        takes vectors of so many labels, so that all answers are set alike, and does not read them.

        Raises PecgError unless there is a label, every vector is finite, and none is all zeros; and
        when "linear" is given another number of labels.
        """
        width = self.labels.shape[1]
        if vectors.ndim != 2 or not len(vectors) or vectors.shape[1] != width:
            raise PecgError(
                f"The model peace was given label texts of shape {tuple(vectors.shape)}; give one "
                f"vector of {width} numbers for each label."
            )
        told = vectors.isfinite().all(dim=1) & vectors.any(dim=1)  # (C,)
        if not told.all():
            raise PecgError(
                f"The model peace was given no text for label {int((~told).nonzero()[0])} of "
                f"{len(vectors)}: its vector is all zeros or not finite; describe it or leave it "
                "out."
            )
        if self.answer == "linear" and len(vectors) != self.readout.out_features:
            raise PecgError(
                f"The model peace with the answer linear was given {len(vectors)} labels, and has "
                f"learned {self.readout.out_features}, each by its own weights; give as many, or "
                "take another answer."
            )
        self.labels = vectors.detach().to(self.labels, copy=True)

    def _needs_queries(self) -> None:
        if self.answer != "queries":
            raise ValueError(f"the model peace with the answer {self.answer} takes no axis tokens")

    def _joined(self, tokens: Tensor, axes: Tensor) -> Tensor:
        """Tokens of the ECG (B, S, D) and of the axes: (B, S + K, D)."""
        return torch.cat([tokens, self.text(axes).to(tokens)], dim=1)

    def _ask(self, queries: Tensor, tokens: Tensor) -> Tensor:
        """Each query (1, C, D) of each record's tokens (B, S, D): logits (B, C)."""
        asked = queries.expand(len(tokens), -1, -1)  # (B, C, D)
        for layer in self.layers:
            asked = layer(asked, tokens)  # (B, C, D)
        logits: Tensor = self.readout(asked).squeeze(2)
        return logits

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: object) -> None:
        """The labels of a checkpoint are taken over, however many."""
        kept = state.get(f"{prefix}labels")
        if kept is not None and kept.shape[1:] == self.labels.shape[1:]:
            self.labels = self.labels.new_empty(kept.shape)
        super()._load_from_state_dict(state, prefix, *rest)

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        maps, asked = "{0} channels × {2} steps", "{0} labels × {1} features"
        stem = f"convolution {self.stem_kernel}, stride 2"
        rows = [Stage("Stem", self.stem, stem, maps)]
        for i, stage in enumerate(self.body):
            halves = "" if i == 0 else ", stride 2"
            count = f"{self.blocks} residual block" + ("s" if self.blocks > 1 else "")
            rows.append(
                Stage(f"Stage {i + 1}", stage, f"{count}, kernel {self.kernel}{halves}", maps)
            )
        rows += [
            Stage("Tokens", self.tokens, "norm", "{0} tokens × {1} features"),
            Stage("Mean", self.mean, "over the tokens", "{0} features"),
        ]
        if self.answer == "linear":
            return [*rows, Stage("Readout", self.readout, "one row for each label", "{0} logits")]
        use = "for the alignment" if self.answer == "queries" else "beside the labels"
        rows += [
            Stage("Embedding", self.embed, f"of the ECG, {use}", "{0} features"),
            Stage("Label texts", self.text, "linear, norm", asked),
        ]
        if self.answer == "nearness":
            near = f"to each label's text, over {TEMPERATURE}"
            return [*rows, Stage("Nearness", self.nearness, near, "{0} logits")]
        return [
            *rows,
            *(
                Stage(f"Label queries {i + 1}", layer, f"over the tokens, {self.detail}", asked)
                for i, layer in enumerate(self.layers)
            ),
            Stage("Readout", self.readout, "one linear layer for all labels", "{0} logits"),
        ]


def _unit(x: Tensor) -> Tensor:
    """Rows of length one, in float32 at least."""
    return F.normalize(precise(x), dim=-1)


DIGEST = "arXiv 2605.00647, a digest of its page"
OURS = "not in what is known of the paper"

ENTRY = Entry(
    name="peace",
    model=Peace,
    what="label texts as queries over an ECG's tokens, one readout for all labels",
    sizes=(
        Size("channels", (64, 128, 256, 256), "ours", OURS + "; 313 tokens of 10 s at 500 Hz"),
        Size("blocks", 2, "ours", OURS + "; as many as a ResNet-18 has"),
        Size("kernel", 7, "ours", OURS + "; the benchmark's ResNet-1D"),
        Size("stem_kernel", 15, "ours", OURS + "; the benchmark's ResNet-1D"),
        Size("text", 128, "ours", OURS + "; numbers of a text vector, set by who makes these"),
        Size("depth", 1, "ours", OURS + "; layers of queries"),
        Size("heads", 4, "ours", OURS + "; heads of 64"),
        Size("feedforward", 512, "ours", OURS + "; twice the width"),
        Size("dropout", 0.1, "ours", OURS + "; the usual one"),
        Size("axes", "path", "paper", DIGEST + ": attended with the ECG; beside is ours", AXES),
        Size("answer", "queries", "paper", DIGEST + "; linear and nearness are ours", ANSWERS),
    ),
    choices=(
        Choice("label queries", "texts of the labels, attending over tokens", "paper", DIGEST),
        Choice("axis tokens", "rhythm, morphology, ST-T of the positive labels", "paper", DIGEST),
        Choice("inference", "the ECG alone", "paper", DIGEST),
        Choice("encoder", "a stem and four residual stages, 16 samples a token", "ours", OURS),
        Choice("positions", "none: a window begins at any moment", "ours", OURS),
        Choice("layer of queries", "a decoder's, no attention among labels", "ours", OURS),
        Choice("readout", "w · U + b, the same for all labels", "ours", OURS),
        Choice("projection of text", "one for queries, axis tokens, fused text", "ours", OURS),
        Choice("embedding", "mean over tokens, linear, scaled to length one", "ours", OURS),
        Choice("linear", "mean over tokens, a row of weights a label; no text", "ours", OURS),
        Choice("nearness", f"e . l over {TEMPERATURE}", "ours", OURS + "; CLIP begins there"),
        Choice("labels without texts", "one-hot vectors", "ours", "the ablation without text"),
    ),
    min_samples=17,
)
