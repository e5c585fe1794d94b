"""Networks from the weights that others have published."""

import re
from collections.abc import Mapping

from torch import Tensor

from bluref.errors import UserError
from bluref.restore.nafnet import NAFNet, NAFNetConfig


def nafnet_from_state_dict(state: Mapping[str, Tensor | Mapping[str, Tensor]]) -> NAFNet:
    """A NAFNet with published weights; its shape is read from the names and the first weight.

    Args:
        state: names to tensors, or a mapping that holds such a one under `params`.

    Raises:
        UserError: the names or shapes are not those of a NAFNet.
    """
    inner = state.get("params", state)
    weights = dict(inner) if isinstance(inner, Mapping) else {}
    fix = "give the state dict of a NAFNet for deblurring"
    first = weights.get("intro.weight")
    if not isinstance(first, Tensor):
        raise UserError("the weights are not those of a NAFNet: no 'intro.weight'", fix)
    levels = _count(weights, r"downs\.(\d+)\.")
    try:
        model = NAFNet(
            NAFNetConfig(
                width=first.shape[0],
                encoder=tuple(_count(weights, rf"encoders\.{i}\.(\d+)\.") for i in range(levels)),
                middle=_count(weights, r"middle_blks\.(\d+)\."),
                decoder=tuple(_count(weights, rf"decoders\.{i}\.(\d+)\.") for i in range(levels)),
            )
        )
        model.load_state_dict(weights)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"the weights are not those of a NAFNet: {error}", fix) from error
    return model


def _count(names: Mapping[str, object], pattern: str) -> int:
    """One more than the largest index that `pattern` finds; 0 where it finds none."""
    found = (re.match(pattern, name) for name in names)
    return max((int(match[1]) + 1 for match in found if match), default=0)
