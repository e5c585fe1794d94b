"""What a PDC-Net is made of: the paper's, and a compact one that two cores can run and train."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PDCNetConfig:
    """Every size of the network. Levels 4 and 3 form the coarse branch, 2 and 1 the fine one."""

    name: str
    """What cached matches are keyed by."""

    pyramid: tuple[int, ...] | None
    """Channels of the small pyramid at strides 2, 4, 8, 16; None for VGG-16."""

    own_coarse_pyramid: bool
    """Whether the coarse branch has a pyramid of its own, as in PDC-Net+."""

    coarse_side: int
    """Side in pixels to which both pictures are resized for the coarse branch."""

    soft_argmax: bool
    """Start level 4 from the softmax of its scores, and let the decoder correct that; else the
    decoder reads the mapping off the scores by itself, as printed."""

    relative_flow: bool
    """Show the fine decoders the flow less its mean over the picture: a shift of the reference then
    changes nothing but the flow. Else the flow as it is, as printed."""

    radius: int
    """Of the local search, in cells of the level."""

    global_steps: int
    """GOCor steps at level 4."""

    local_steps: dict[int, int]
    """GOCor steps at levels 3, 2, 1; none: plain correlation."""

    decoder: dict[int, tuple[int, ...]]
    """Channels of the flow decoder by level."""

    refinement: dict[int, tuple[tuple[int, ...], tuple[int, ...]]]
    """(channels, dilations) of the refinement, at the levels that have one."""

    patch: tuple[int, int, int] | None
    """Channels of the network on correlation patches; None: one 1x1 layer on the scores."""

    score_width: int
    """Channels of that layer where `patch` is None."""

    uncertainty: tuple[int, int]
    """Channels of the uncertainty decoder."""

    norm: bool
    """Batch norm after every convolution but the pyramid's."""

    narrow: tuple[float, float]
    """Bounds of the variance of the first mixture component in squared pixels; equal: fixed."""

    least: float
    """Smallest variance of the second."""

    most: dict[str, float]
    """Largest standard deviation of the second in pixels, for `coarse` and `fine`."""

    polish: tuple[float, float] | None = None
    """Odds with which its matches are polished and reconsidered (`match.polish`); None: its answer
    stands as it is, as printed."""


PAPER = PDCNetConfig(
    name="pdcnet-plus",
    pyramid=None,
    own_coarse_pyramid=True,
    coarse_side=256,
    soft_argmax=False,
    relative_flow=False,
    radius=4,
    global_steps=3,
    local_steps={3: 3, 2: 3, 1: 3},
    decoder=dict.fromkeys((4, 3, 2, 1), (128, 128, 96, 64, 32)),
    refinement=dict.fromkeys((3, 1), ((128, 128, 128, 96, 64, 32), (1, 2, 4, 8, 16, 1))),
    patch=(32, 32, 16),
    score_width=0,
    uncertainty=(32, 16),
    norm=True,
    narrow=(1.0, 1.0),
    least=2.0,
    most={"coarse": 256.0, "fine": 520.0},
)
"""PDC-Net+ on GLU-Net-GOCor, 18.44 M parameters in its heads and two VGG pyramids."""

COMPACT = PDCNetConfig(
    name="compact",
    pyramid=(16, 32, 64, 96),
    own_coarse_pyramid=False,
    coarse_side=128,
    soft_argmax=True,
    relative_flow=True,
    radius=4,
    global_steps=3,
    local_steps={3: 1, 2: 1, 1: 0},
    decoder={4: (96, 64, 48), 3: (64, 64, 48), 2: (64, 64, 64, 48, 32), 1: (64, 48, 32)},
    refinement={
        3: ((64, 64, 48), (1, 2, 4)),
        1: ((32, 32, 32, 32, 32), (1, 2, 4, 8, 1)),
    },
    patch=None,
    score_width=32,
    uncertainty=(32, 16),
    norm=False,
    narrow=(0.0025, 1.0),
    least=0.125,
    most={"coarse": 256.0, "fine": 520.0},
    polish=(0.51, 1.16),
)
"""The same network, thinner, with a pyramid that is trained from scratch."""

CONFIGS = {config.name: config for config in (PAPER, COMPACT)}
