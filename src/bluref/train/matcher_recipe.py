"""The recipe of a matcher's training. Imports no torch, so that help stays quick."""

from dataclasses import dataclass

from bluref.train import schedule


@dataclass(frozen=True)
class MatcherRecipe(schedule.Schedule):
    """Every choice of `bluref train-matcher`. Read from YAML, overridden on the command line."""

    network: str = "compact"
    """Sizes of the network: compact, or pdcnet-plus (the paper's)."""

    init: str | None = None
    """Start from the weights of a matcher trained before: its run, folder or file."""

    steps: int = 12000
    """Optimizer steps."""

    batch: int = 8
    """Pairs per step."""

    crop: int = 256
    """Side of the pairs in pixels, a multiple of 8 of at least 128."""

    first_crop: int = 128
    """Side of the pairs in the first steps."""

    first_steps: int = 6000
    """Steps with pairs of the first side; motion and blur grow from a third to full meanwhile,
    but in a network that was trained before."""

    smallest: float = 0.25
    """Frames are reduced to between this and their full size, where they are large enough: what
    the coarse levels see of a large picture."""

    footage: float = 0.3
    """Share of pairs of real frames of a clip, matched while both are sharp by a classical flow;
    the rest are warped pictures."""

    squeeze: float = 1.8
    """Half of the scenes are shown narrower by up to this, as wide frames on the coarse levels."""

    strength: tuple[float, float] = (0.01, 0.4)
    """Bounds of the warps' strength, 1 as PDC-Net+ was trained; drawn log-uniformly."""

    max_shift: float = 64.0
    """Largest shift of a pair along each axis, in pixels; small shifts are drawn more often."""

    still: float = 0.1
    """Share of warped pictures in which nothing moves but the objects, as on a tripod: a matcher
    that has never seen them is off by a tenth of a pixel where all else is easy."""

    disturbance: float = 32.0
    """Largest smooth error, in pixels, that is added to what the coarse levels find."""

    objects: int = 2
    """Most objects that move on their own in a pair."""

    blur: bool = True
    """Degrade the target by motion and lens blur; without, the ablation."""

    blur_length: float = 45.0
    """Longest path of the camera during the exposure, in pixels."""

    level_weights: tuple[float, float, float, float] = (1 / 64, 1 / 256, 1 / 1024, 2 / 4096)
    """Weights of levels 4, 3, 2, 1; the paper's are .32 .08 .02 .01, then .08 .08 .02 .02."""

    learning_rate: float = 4e-4
    """Of Adam, at its highest."""

    final_rate: float = 4e-6
    """Learning rate at the last step; a half cosine leads there."""

    ramp: int = 200
    """First steps in which the learning rate rises from zero."""

    weight_decay: float = 0.0
    """L2 penalty on the weights, as Adam adds it to the gradient; the paper's is 4e-4."""

    grad_norm: float = 1.0
    """Gradients are scaled down to this norm where they exceed it."""

    snapshot_every: int = 1000
    """Steps between two drawings of the curves."""

    def __post_init__(self) -> None:
        """Refuse what no run could do.

        Raises:
            UserError: names the field and its bounds.
        """
        self.refuse_beyond(BOUNDS)
        for name in ("crop", "first_crop"):
            self.require(name, getattr(self, name) % 8 == 0, "a multiple of 8")
        self.require("smallest", 0 < self.smallest <= 1, "in (0, 1]")
        self.require("still", self.still < 1, "below 1")
        low, high = self.strength
        self.require("strength", 0 < low <= high, "two numbers above 0, the lower first")


AT_LEAST = {
    **schedule.AT_LEAST,
    "batch": 1,
    "crop": 128,
    "first_crop": 128,
    "first_steps": 0,
    "max_shift": 0,
    "disturbance": 0,
    "squeeze": 1,
    "objects": 0,
    "blur_length": 0,
    "weight_decay": 0,
}
SHARES = (*schedule.SHARES, "footage", "still")
CHOICES = {**schedule.CHOICES, "network": ("compact", "pdcnet-plus")}
BOUNDS = schedule.Bounds(AT_LEAST, SHARES, schedule.ABOVE_ZERO, CHOICES)
