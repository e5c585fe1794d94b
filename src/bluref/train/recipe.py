"""The recipe of a run: every choice, one field each. Imports no torch, so that help stays quick."""

from dataclasses import dataclass

from bluref.errors import UserError


@dataclass(frozen=True)
class Recipe:
    """Every choice that a training run makes. Read from YAML, overridden on the command line."""

    layout: str = "auto"
    """How the data folder is read: auto, gopro, rb2v, phonecraft, clips."""

    split: str = "auto"
    """Which frames are blurry and which sharp: auto, alternating, halves, sharpness."""

    choice: str = "auto"
    """How references are chosen: near (both sides in time), random, or auto."""

    delta: int = 1
    """Smallest distance in frames between a blurry frame and its references."""

    refs: int = 6
    """Number of references per blurry frame."""

    matcher: str = "compact"
    """Dense matcher: compact, which comes with BluRef and sees through blur; dis or dis-fast,
    classical flow; or the folder of a trained one."""

    strategy: str = "robust"
    """How references become one target: robust, average, sequential, progressive."""

    threshold: float | None = None
    """Confidence in [0, 1] from which a reference may speak; if not given 0.7 where confidence is a
    probability (the paper's), else the strategy's own."""

    backbone: str = "small"
    """Deblurring network: small, light, nafnet-w32, nafnet-w64."""

    steps: int = 5000
    """Optimizer steps, warm start included."""

    warm_start: int = 500
    """First steps on sharp frames blurred by random kernels, no pairs involved; 0 for none."""

    refresh_every: int = 1500
    """Steps between two refreshes of the targets with the improved network."""

    anchor: float = 0.25
    """Share of every later batch that stays synthetic: exact truth beside pseudo-sharp targets."""

    supervised: bool = False
    """Train on the true sharp frames of a paired data set instead: the upper bound."""

    batch: int = 8
    """Crops per step."""

    crop: int = 128
    """Side of the crops in pixels."""

    loss: str = "l1"
    """Reconstruction loss: l1 or psnr."""

    learning_rate: float = 1e-3
    """Of Adam, at its highest."""

    final_rate: float = 1e-6
    """Learning rate at the last step; a half cosine leads there."""

    ramp: int = 100
    """First steps in which the learning rate rises from zero."""

    grad_norm: float = 0.1
    """Gradients are scaled down to this norm where they exceed it."""

    ema: float = 0.999
    """Decay of the averaged copy of the network that refreshes targets and is saved."""

    min_coverage: float = 0.05
    """Share of a crop that references must cover, or the crop does not count."""

    precision: str = "auto"
    """bf16 where the hardware is fast at it (auto), or fp32."""

    seed: int = 0
    """Of everything that is drawn at random."""

    save_every: int = 250
    """Steps between two checkpoints."""

    log_every: int = 50
    """Steps between two rows of metrics.csv."""

    snapshot_every: int = 500
    """Steps between two contact sheets."""

    def __post_init__(self) -> None:
        """Refuse what no run could do.

        Raises:
            UserError: names the field and its bounds.
        """
        for name, least in AT_LEAST.items():
            self._require(name, getattr(self, name) >= least, f"at least {least}")
        for name in SHARES:
            value = getattr(self, name)
            self._require(name, value is None or 0 <= value <= 1, "in [0, 1]")
        for name in ABOVE_ZERO:
            self._require(name, getattr(self, name) > 0, "above 0")
        self._require("seed", -(2**63) <= self.seed < 2**63, "a number of 64 bits")
        for name, choices in CHOICES.items():
            self._require(name, getattr(self, name) in choices, f"one of {', '.join(choices)}")

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise UserError(f"{name} is {getattr(self, name)!r}", f"it must be {what}")


AT_LEAST = {
    "delta": 1,
    "refs": 1,
    "steps": 1,
    "warm_start": 0,
    "refresh_every": 1,
    "batch": 1,
    "crop": 32,
    "ramp": 0,
    "save_every": 1,
    "log_every": 1,
    "snapshot_every": 1,
}
SHARES = ("threshold", "anchor", "ema", "min_coverage")
ABOVE_ZERO = ("learning_rate", "final_rate", "grad_norm")
# Written out, since the rooms that know them import torch; a test holds them against those.
CHOICES = {
    "layout": ("auto", "gopro", "rb2v", "phonecraft", "clips"),
    "split": ("auto", "alternating", "halves", "sharpness"),
    "choice": ("auto", "near", "random"),
    "backbone": ("small", "light", "nafnet-w32", "nafnet-w64"),
    "strategy": ("robust", "average", "sequential", "progressive"),
    "loss": ("l1", "psnr"),
    "precision": ("auto", "fp32"),
}
