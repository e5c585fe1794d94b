"""What every recipe says to the loop, whatever is learnt. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from bluref.errors import UserError

AT_LEAST = {"steps": 1, "ramp": 0, "save_every": 1, "log_every": 1, "snapshot_every": 1}
SHARES = ("ema",)
ABOVE_ZERO = ("learning_rate", "final_rate", "grad_norm")
CHOICES = {"precision": ("auto", "fp32")}


@dataclass(frozen=True)
class Bounds:
    """What the fields of a recipe may be.

    Attributes:
        at_least: smallest value by field, if it is given.
        shares: fields that lie in [0, 1], if they are given.
        above_zero: fields that do not reach down to 0.
        choices: the words a field may be.
    """

    at_least: Mapping[str, int]
    shares: tuple[str, ...]
    above_zero: tuple[str, ...]
    choices: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Schedule:
    """How long, how fast, and how often something is kept. Recipes are this and what they add."""

    steps: int = 5000
    """Optimizer steps, warm start included."""

    learning_rate: float = 1e-3
    """Of Adam, at its highest."""

    final_rate: float = 1e-6
    """Learning rate at the last step; a half cosine leads there."""

    ramp: int = 100
    """First steps in which the learning rate rises from zero."""

    grad_norm: float = 0.1
    """Gradients are scaled down to this norm where they exceed it."""

    ema: float = 0.999
    """Decay of the averaged copy of the network, which is what is saved and refreshes targets."""

    precision: str = "auto"
    """bf16 where the hardware is fast at it (auto), or fp32."""

    seed: int = 0
    """Of everything that is drawn at random."""

    save_every: int = 250
    """Steps between two checkpoints."""

    log_every: int = 50
    """Steps between two rows of metrics.csv."""

    snapshot_every: int = 500
    """Steps between two drawings of where the run stands."""

    def refuse_beyond(self, bounds: Bounds) -> None:
        """Refuse what no run could do.

        Raises:
            UserError: names the field and its bounds.
        """
        for name, least in bounds.at_least.items():
            value = getattr(self, name)
            self.require(name, value is None or value >= least, f"at least {least}")
        for name in bounds.shares:
            value = getattr(self, name)
            self.require(name, value is None or 0 <= value <= 1, "in [0, 1]")
        for name in bounds.above_zero:
            value = getattr(self, name)
            self.require(name, value is None or value > 0, "above 0")
        self.require("seed", -(2**63) <= self.seed < 2**63, "a number of 64 bits")
        for name, words in bounds.choices.items():
            self.require(name, getattr(self, name) in words, f"one of {', '.join(words)}")

    def require(self, name: str, holds: bool, what: str) -> None:
        """Refuse the value of a field unless something holds.

        Raises:
            UserError: names the field, its value and what it must be.
        """
        if not holds:
            raise UserError(f"{name} is {getattr(self, name)!r}", f"it must be {what}")
