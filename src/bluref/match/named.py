"""Matchers by the name that recipes and the command line use."""

from typing import Any

from bluref.errors import UserError
from bluref.match.dis import DISMatcher
from bluref.match.protocol import Matcher
from bluref.match.zero import ZeroMatcher

NAMES = ("dis", "dis-fast")
"""Matchers to work with; recipes offer these."""

FLOOR = "zero"
"""What every matcher is compared with: nothing moves. To be scored, not to train with."""


def matcher_named(name: str) -> Matcher[Any]:
    """The matcher of that name.

    Raises:
        UserError: there is none.
    """
    if name == FLOOR:
        return ZeroMatcher()
    if name not in NAMES:
        raise UserError(f"unknown matcher {name!r}", f"use one of {', '.join((*NAMES, FLOOR))}")
    return DISMatcher(preset="fast" if name == "dis-fast" else "medium")
