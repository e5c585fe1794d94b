"""Matchers by the name that recipes and the command line use."""

from typing import Any

from bluref.errors import UserError
from bluref.match.dis import DISMatcher
from bluref.match.protocol import Matcher

NAMES = ("dis", "dis-fast")


def matcher_named(name: str) -> Matcher[Any]:
    """The matcher of that name.

    Raises:
        UserError: there is none.
    """
    if name not in NAMES:
        raise UserError(f"unknown matcher {name!r}", f"use one of {', '.join(NAMES)}")
    return DISMatcher(preset="fast" if name == "dis-fast" else "medium")
