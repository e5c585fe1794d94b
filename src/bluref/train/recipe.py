"""The recipe of a run: every choice, one field each. Imports no torch, so that help stays quick."""

from dataclasses import dataclass

from bluref.train import schedule

BATCH, CROP = 8, 128
"""Where nobody says otherwise and memory allows it."""


@dataclass(frozen=True)
class Recipe(schedule.Schedule):
    """Every choice that a training run makes. Read from YAML, overridden on the command line."""

    layout: str = "auto"
    """How the data folder is read: auto, gopro, rb2v, phonecraft, clips, curated."""

    split: str = "auto"
    """Which frames are blurry and which sharp: auto, alternating, halves, sharpness."""

    choice: str = "auto"
    """How references are chosen: near (both sides in time); random; coverage: of several times as
    many, those that together show most of the blurry frame; or auto: near for frames whose clip has
    sharp frames, else coverage."""

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
    probability (the paper's), else the strategy's, and at most 0.5 where the gate judges
    afterwards."""

    first_threshold: float | None = None
    """Threshold at the first target; from there it goes evenly to `threshold` at the last step. If
    not given it does not change. Not with the strategy sequential, which matches by it."""

    gate: float = 0.04
    """A target that is blurred again along the motion of its frame must be the blurry frame: the
    difference, of values in [0, 1], that halves the trust in it; 0 for no gate."""

    refine: bool = True
    """Move matches by small steps to where the reference, blurred again along the gate's motion,
    agrees with the blurry frame."""

    sharper: bool = True
    """Believe references only where they are sharper than the blurry frame, and not far less so
    than another reference: what moves is blurred in sharp frames too."""

    keep_sharp: bool = False
    """Where the gate's motion blurs a frame by hardly a pixel, let it be its own target: what is
    resampled from references is less sharp there. For networks that will see sharp frames as well,
    which they then leave as they are."""

    even: bool = True
    """Bring brightness and white balance of each reference to those of the blurry frame."""

    backbone: str = "small"
    """Deblurring network: small, light, nafnet-w32, nafnet-w64, restormer-small, restormer."""

    compile: bool = False
    """Have torch compile the network first, which takes a minute; each step takes a quarter less.
    Needs a C++ compiler, or triton on a GPU."""

    init: str | None = None
    """Start from a network trained before, of the same backbone: its run, folder or file, a name as
    --model takes it, or a published checkpoint (.pth, .ckpt, .safetensors)."""

    warm_start: int = 500
    """First steps on sharp frames that were blurred here, no pairs involved; 0 for none."""

    blur: str = "motion"
    """What sharp frames are blurred by: motion, the footage's own, which the matcher finds between
    neighbours in time; or kernels, random shakes of a hand: as long as that motion smears, where
    the gate or re-blur consistency ask for it, else of 0 to 30 pixels."""

    still: int = 2
    """Where sharp frames are but the better ones of the footage, they are truths to be blurred only
    where they moved by at most so many pixels while the shutter was open, and the motion is
    borrowed from blurry ones; 0 takes all of them for sharp, and moves them as they moved."""

    exposure: float | None = None
    """How long the shutter was open for the blurry frames, in frame intervals; if not given, found
    by blurring the first targets along their motion."""

    refresh_every: int = 1500
    """Steps between two refreshes of the targets with the improved network."""

    local_pooling: bool = True
    """Let the network that refreshes targets pool over windows of the training crops' size, as all
    networks do at test time; off, over whole frames."""

    anchor: float | None = None
    """Share of every later batch that stays synthetic: exact truth beside pseudo-sharp targets. If
    not given half, or three quarters where sharp frames are but the better ones of the footage, and
    beside true pairs (supervised) nothing."""

    reblur: float = 0.0
    """Weight of re-blur consistency beside the loss: the output, blurred along the motion of its
    frame, must be the blurry frame again."""

    supervised: bool = False
    """Train on the true sharp frames of a paired data set instead: the upper bound. Without warm
    start, and with an anchor only if it is given."""

    pairs: bool = False
    """DATA holds pairs that `bluref pairs` made: learn from them, each pixel weighed by its trust.
    What targets, warm start, anchor and frames held back are made of then plays no part."""

    batch: int | None = None
    """Crops per step; if not given 8, or fewer where memory is short."""

    crop: int | None = None
    """Side of the crops in pixels; if not given 128, or less where frames are small or memory is
    short."""

    loss: str = "l1"
    """Reconstruction loss: l1, l2 or psnr."""

    weighted: bool = True
    """Weigh the error at each pixel by the trust in its target; off, as in the paper, every pixel
    that a reference covers counts alike."""

    min_coverage: float = 0.05
    """Share of a crop that references must cover, or the crop does not count."""

    most: int | None = None
    """Blurry frames to learn from at most, spread evenly over the footage, and as many sharp ones
    that are blurred again (any may be a reference); if not given 400, but of a paired data set all;
    0 for all."""

    hold_out: float | None = None
    """Share of the footage that is held back from training, to see on it which checkpoint is best;
    if not given a tenth of footage, nothing of a paired data set."""

    validate_every: int = 250
    """Steps between two looks at what was held back."""

    patience: int = 8
    """Looks in a row that find nothing better, after which training stops; 0 to train to the
    end."""

    def __post_init__(self) -> None:
        """Refuse what no run could do.

        Raises:
            UserError: names the field and its bounds.
        """
        self.refuse_beyond(BOUNDS)
        follows = self.first_threshold is None or self.strategy != "sequential"
        self.require("first_threshold", follows, "left out with the strategy sequential")
        self.require("pairs", not (self.pairs and self.supervised), "off where supervised is on")


AT_LEAST = {
    **schedule.AT_LEAST,
    "delta": 1,
    "refs": 1,
    "warm_start": 0,
    "refresh_every": 1,
    "batch": 1,
    "crop": 32,
    "most": 0,
    "validate_every": 1,
    "patience": 0,
    "still": 0,
}
SHARES = (
    *schedule.SHARES,
    "threshold",
    "first_threshold",
    "gate",
    "anchor",
    "reblur",
    "min_coverage",
    "hold_out",
)
ABOVE_ZERO = (*schedule.ABOVE_ZERO, "exposure")
# Written out, since the rooms that know them import torch; a test holds them against those.
CHOICES = {
    **schedule.CHOICES,
    "layout": ("auto", "gopro", "rb2v", "phonecraft", "clips", "curated"),
    "split": ("auto", "alternating", "halves", "sharpness"),
    "choice": ("auto", "near", "random", "coverage"),
    "backbone": ("small", "light", "nafnet-w32", "nafnet-w64", "restormer-small", "restormer"),
    "strategy": ("robust", "average", "sequential", "progressive"),
    "loss": ("l1", "l2", "psnr"),
    "blur": ("motion", "kernels"),
}
BOUNDS = schedule.Bounds(AT_LEAST, SHARES, ABOVE_ZERO, CHOICES)
