"""What the models of the transfer chapter share: features, and a linear layer last, the head.

A model that was taught on one set of recordings is taken to another by its features; the head,
whose rows are the labels of the first set, is put in anew. Then all of it learns on, or the head
alone.
"""

from typing import Self

import torch
from torch import Tensor, nn

from pecg_utils.models import Choice
from pecg_utils.models.encoder import SelfAttention

CODE = "joaodsmarques/Are-ECGs-enough-Deep-Learning-Classifiers, "
SETTINGS = CODE + "hyperparameters.yml"


class Headed(nn.Module):
    """Windows (B, L, T) to features (B, F) to logits (B, C).

    A subclass has `features` and makes `head`, a linear layer from F to C.
    """

    head: nn.Linear

    def __init__(self) -> None:
        super().__init__()
        self.frozen = False

    def features(self, x: Tensor) -> Tensor:
        """Windows (B, L, T) in normalised units to features (B, F), which the head reads."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features = self.features(x)  # (B, F)
        logits: Tensor = self.head(features)  # (B, C)
        return logits

    def freeze(self) -> None:
        """From now on the head alone learns: a linear probe.

        All else stays in evaluation, whatever `train` is called with: batch norms keep their
        statistics, and nothing is dropped (*ours*: the released training freezes the weights and
        lets norms learn statistics anew, wandb_run_pretrained_models.py:43 and 249-254). No way
        back through it is kept in memory.
        """
        self.requires_grad_(False)
        self.head.requires_grad_(True)
        self.frozen = True
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As nn.Module has it, but that what is frozen stays in evaluation."""
        super().train(mode)
        if self.frozen:
            for part in self.children():
                part.train(mode and part is self.head)
        return self


def begin(model: nn.Module) -> None:
    """First weights as the released training draws them, for all models alike.

    Convolutions by He et al. 2015 (arXiv 1502.01852), normal, by what goes out; linear layers
    normal of 0.01; attention by Glorot and Bengio 2010, uniform; so, too, a recurrence's weights
    from below, and those from the step before orthogonal. An LSTM's forget gates have two biases
    of 1, all other biases are 0. Kernels are laid out channels last, as the maps are.
    """
    for part in model.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, 0, 0.01)
        elif isinstance(part, nn.RNNBase):
            _begin_recurrence(part)
        if isinstance(part, nn.Conv2d | nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
    for part in model.modules():  # after their linear layers were drawn as any other
        if isinstance(part, SelfAttention):
            nn.init.xavier_uniform_(part.project.weight)
            nn.init.xavier_uniform_(part.out.weight)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _begin_recurrence(part: nn.RNNBase) -> None:
    for name, weight in part.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(weight)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(weight)
        else:
            nn.init.zeros_(weight)
            if isinstance(part, nn.LSTM):  # each of the two, which are added
                nn.init.ones_(weight.data[part.hidden_size : 2 * part.hidden_size])


FIRST_WEIGHTS = Choice(
    "first weights",
    "He, normal, by what goes out; linear layers normal of 0.01",
    "code",
    CODE + "utils.py, init_weights",
)
ATTENTION = Choice("first weights of attention", "Glorot", "code", CODE + "utils.py, init_weights")
NO_DROP = Choice(
    "dropout of attention weights", "none", "ours", "the code's 0.1 would have them all in memory"
)
