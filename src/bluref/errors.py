"""What a user can cause: a problem, and how to mend it."""

import os
import re
import shlex
from collections.abc import Sequence

# What neither of the shells of Windows takes for anything but letters.
_PLAIN = re.compile(r"[\w:\\./-]+")


def as_command(words: Sequence[object]) -> str:
    """A command to be copied, each word as the shell of this system takes it for one."""
    plain = [str(word) for word in words]
    if os.name != "nt":
        return shlex.join(plain)
    return " ".join(word if _PLAIN.fullmatch(word) else f'"{word}"' for word in plain)


def one_line(text: str) -> str:
    """The text with control characters escaped: file names may hold line breaks and worse."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class UserError(Exception):
    """Bad input, a missing file, a wrong shape: shown as one line and a fix, exit status 2.

    Args:
        problem: one line that names the file or the value that is wrong.
        fix: one line that says what to do about it.
    """

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem}\n  fix: {fix}")
        self.problem = problem
        self.fix = fix
