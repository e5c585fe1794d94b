"""Mending the very frames that have references: the target where it is trusted, else the network.

A network must guess what blur took away; a reference has seen it. Goes beyond the paper, whose
targets only ever teach.
"""

from jaxtyping import Float
from torch import Tensor

from bluref.pseudo.gate import share_of_references
from bluref.pseudo.target import PseudoSharp

# Share of the target that makes the error least, measured against truth in bins of trust and of
# blur (docs/experiments.md, "mending with references"): none up to the first trust, MOST from the
# second.
TRUSTED = (0.0, 0.4)
MOST = 0.92


def blended(
    output: Float[Tensor, "b 3 h w"],
    target: PseudoSharp,
    blur: Float[Tensor, "b 1 h w"],
    sure: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, "b 3 h w"]:
    """The network's output, with as much of the target as makes the error least.

    Args:
        output: what the network made of the blurry frame.
        target: pseudo-sharp target of the same frame.
        blur: length of the blur in pixels (`degrade.motion.Motion.blur`).
        sure: confidence of the motion, in [0, 1]; where it is lost, trust alone decides.
    """
    low, high = TRUSTED
    trusted = MOST * ((target.weight - low) / (high - low)).clamp(0, 1)
    share = trusted * share_of_references(blur, sure)
    return output + share * target.mask * (target.image - output)
