"""Matchers by the name that recipes and the command line use."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from bluref.errors import UserError
from bluref.match.checked import CheckedMatcher
from bluref.match.dis import DISMatcher
from bluref.match.farneback import FarnebackMatcher
from bluref.match.files import load_matcher, shipped_matcher
from bluref.match.homography import HomographyMatcher
from bluref.match.pdcnet.matcher import PDCMatcher
from bluref.match.polish import PolishedMatcher
from bluref.match.protocol import Matcher
from bluref.match.zero import ZeroMatcher
from bluref.weights.precision import prefers_bf16

NAMES = ("compact", "dis", "dis-fast")
"""Matchers to work with: the one that comes with the package, and classical flow."""

COMPARED = ("compact-plain", "farneback", "zero")
"""To compare with, not to train with: the network of compact by itself, another classical flow, and
that nothing moves."""

MODES: Mapping[str, Callable[[Matcher[Any]], Matcher[Any]]] = {
    "check": CheckedMatcher,
    "homography": HomographyMatcher,
}
"""What goes around a matcher, by what follows its name after a plus."""


def matcher_named(name: str, *, device: str | torch.device = "cpu") -> Matcher[Any]:
    """The matcher of that name, or the one that was saved at that path.

    Args:
        name: one of `NAMES` or `COMPARED`, or where `bluref train-matcher` has saved one;
            with `MODES` after it, as `dis+check` or `dis+homography+check`, the last outermost.
        device: where networks compute, as torch names it; all else is done by the processor.
            Beyond the CPU they compute in float32, and answer as a CPU does in float32 but for
            rounding: what is matched on the one serves on the other.

    Raises:
        UserError: there is no such matcher, or no such mode.
    """
    inner, mode = _parted(name)
    if mode is not None:
        return _mode_named(mode, of=name)(matcher_named(inner, device=device))
    use_bf16 = torch.device(device).type == "cpu" and prefers_bf16()
    if name in ("compact", "compact-plain"):
        shipped = shipped_matcher("compact", use_bf16=use_bf16, device=device)
        return _polished(shipped) if name == "compact" else shipped
    if name == "zero":
        return ZeroMatcher()
    if name == "farneback":
        return CheckedMatcher(FarnebackMatcher())
    if name in ("dis", "dis-fast"):
        return DISMatcher(preset="fast" if name == "dis-fast" else "medium")
    if not Path(name).exists():
        known = ", ".join((*NAMES, *COMPARED))
        raise UserError(
            f"unknown matcher {name!r}", f"use one of {known}, or the folder of a trained one"
        )
    return _polished(load_matcher(Path(name), use_bf16=use_bf16, device=device))


def network_of(name: str) -> Path | None:
    """Where the network lies that a matcher's name is the path of; None for those of the package.

    Args:
        name: as `matcher_named` takes it.
    """
    inner, mode = _parted(name)
    if mode is not None:
        return network_of(inner)
    return Path(name) if name not in (*NAMES, *COMPARED) and Path(name).exists() else None


def _parted(name: str) -> tuple[str, str | None]:
    """What is inside, and the outermost mode, if there is one; a folder may have a plus in it."""
    inner, plus, mode = name.rpartition("+")
    return (inner, mode) if plus and not Path(name).exists() else (name, None)


def _polished(matcher: PDCMatcher) -> Matcher[Any]:
    """With its matches polished, where its configuration says so."""
    odds = matcher.network.config.polish
    return matcher if odds is None else PolishedMatcher(matcher, odds)


def _mode_named(mode: str, *, of: str) -> Callable[[Matcher[Any]], Matcher[Any]]:
    if mode not in MODES:
        modes = ", ".join(f"+{known}" for known in MODES)
        raise UserError(
            f"unknown mode {mode!r} of the matcher {of!r}",
            f"use one of {modes}, or the folder of a trained matcher",
        )
    return MODES[mode]
