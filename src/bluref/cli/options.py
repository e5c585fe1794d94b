"""Kinds of options that several verbs share, spelled the same everywhere."""

from pathlib import Path
from typing import Annotated

import tyro

Output = Annotated[Path, tyro.conf.arg(aliases=("-o",))]
"""`-o PATH, --output PATH`: where the result goes."""

MaybeOutput = Annotated[Path | None, tyro.conf.arg(aliases=("-o",))]
"""The same, where a verb finds a name by itself."""

Inputs = tyro.conf.Positional[tuple[Path, ...]]
"""Any number of paths without a flag."""

Input = tyro.conf.Positional[Path]
"""One path without a flag."""
