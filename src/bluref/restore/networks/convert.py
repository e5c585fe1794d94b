"""Networks from the weights that others have published."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from torch import Tensor, nn

from bluref.errors import UserError
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig
from bluref.restore.networks.restormer import Restormer, RestormerConfig

Weights = Mapping[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)

_ENCODER = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")


def nafnet_from_state_dict(state: Mapping[str, Tensor | Weights]) -> NAFNet:
    """A NAFNet with published weights; its shape is read from their names and shapes.

    Args:
        state: names to tensors, or a mapping that holds such a one under `params`.

    Raises:
        UserError: the names or shapes are not those of a NAFNet.
    """
    return _filled("NAFNet", _nafnet, state)


def restormer_from_state_dict(state: Mapping[str, Tensor | Weights]) -> Restormer:
    """A Restormer with published weights; its shape is read from their names and shapes.

    Args:
        state: names to tensors, or a mapping that holds such a one under `params`.

    Raises:
        UserError: the names or shapes are not those of a Restormer for deblurring.
    """
    return _filled("Restormer", _restormer, state)


def _filled(
    title: str, build: Callable[[Weights], Network], state: Mapping[str, Tensor | Weights]
) -> Network:
    """What `build` makes of the weights, with the weights in it."""
    inner = state.get("params", state)
    found = dict(inner) if isinstance(inner, Mapping) else {}
    weights = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    try:
        model = build(weights)
        _refuse_others(model, weights)
        model.load_state_dict(weights)
    except (RuntimeError, ValueError) as error:
        fix = f"give the state dict of a {title} for deblurring"
        raise UserError(f"the weights are not those of a {title}: {error}", fix) from error
    return model


def _refuse_others(model: nn.Module, weights: Weights) -> None:
    """Say in a line what keeps weights out of the network that their own shapes ask for.

    Raises:
        ValueError: names are missing, or left over, or a shape is another one.
    """
    expected = model.state_dict()
    unlike = [
        f"{name} is {_size(weights[name])} where a network for pictures of three colours has"
        f" {_size(value)}"
        for name, value in expected.items()
        if name in weights and weights[name].shape != value.shape
    ]
    missing = [name for name in expected if name not in weights]
    unknown = [name for name in weights if name not in expected]
    reasons = unlike[:1]
    if missing:
        reasons.append(f"{_first(missing)} missing")
    if unknown:
        reasons.append(f"{_first(unknown)} foreign to one")
    if reasons:
        raise ValueError("; ".join(reasons))


def _size(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "one number"


def _first(names: Sequence[str]) -> str:
    """The first name, how many more there are, and the verb."""
    return f"{names[0]} is" if len(names) == 1 else f"{names[0]} and {len(names) - 1} more are"


def _nafnet(weights: Weights) -> NAFNet:
    levels = _count(weights, r"downs\.(\d+)\.")
    config = NAFNetConfig(
        width=_length(weights, "intro.weight"),
        encoder=tuple(_count(weights, rf"encoders\.{i}\.(\d+)\.") for i in range(levels)),
        middle=_count(weights, r"middle_blks\.(\d+)\."),
        decoder=tuple(_count(weights, rf"decoders\.{i}\.(\d+)\.") for i in range(levels)),
    )
    return NAFNet(config)


def _restormer(weights: Weights) -> Restormer:
    # The coarsest level has the most channels, and so tells the expansion most exactly.
    hidden = _length(weights, "latent.0.ffn.project_in.weight") // 2
    config = RestormerConfig(
        width=_length(weights, "patch_embed.proj.weight"),
        blocks=tuple(_count(weights, rf"{level}\.(\d+)\.") for level in _ENCODER),
        refinement=_count(weights, r"refinement\.(\d+)\."),
        heads=tuple(_length(weights, f"{level}.0.attn.temperature") for level in _ENCODER),
        expansion=_expansion(hidden, _length(weights, "latent.0.norm1.body.weight")),
        bias="patch_embed.proj.bias" in weights,
    )
    return Restormer(config)


def _expansion(hidden: int, channels: int) -> float:
    """The shortest decimal that makes `hidden` of `channels`, rounded down."""
    middle = (hidden + 0.5) / channels
    decimals = (round(middle, digits) for digits in range(1, 16))
    return next((e for e in decimals if int(channels * e) == hidden), middle)


def _length(weights: Weights, name: str) -> int:
    """Of the first axis of a weight."""
    shape = tuple(weights[name].shape) if name in weights else ()
    if not shape or not shape[0]:
        raise ValueError(f"no {name!r}")
    return shape[0]


def _count(names: Mapping[str, object], pattern: str) -> int:
    """One more than the largest index that `pattern` finds; 0 where it finds none."""
    found = (re.match(pattern, name) for name in names)
    return max((int(match[1]) + 1 for match in found if match), default=0)
