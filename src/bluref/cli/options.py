"""Kinds of options that several verbs share, spelled the same everywhere."""

from pathlib import Path
from typing import Annotated

import tyro

from bluref.train.recipe_file import Kind, read_recipe, read_run_recipe

Output = Annotated[Path, tyro.conf.arg(aliases=("-o",))]
"""`-o PATH, --output PATH`: where the result goes."""

Inputs = tyro.conf.Positional[tuple[Path, ...]]
"""Any number of paths without a flag."""

Input = tyro.conf.Positional[Path]
"""One path without a flag."""


def starting_recipe(arguments: list[str], kind: type[Kind]) -> Kind:
    """What the options of a recipe start from: --recipe, or the run to be resumed, or defaults.

    Raises:
        UserError: that recipe or run cannot be read.
    """
    given = _value_of(arguments, "--recipe")
    if given is not None:
        return read_recipe(Path(given), kind)
    run = _value_of(arguments, "-o") or _value_of(arguments, "--output")
    if "--resume" in arguments and run is not None:
        return read_run_recipe(Path(run), kind)
    return kind()


def _value_of(arguments: list[str], flag: str) -> str | None:
    """The value that follows a flag, as `--flag value` or `--flag=value`."""
    for place, argument in enumerate(arguments):
        if argument == flag and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith(flag + "="):
            return argument.removeprefix(flag + "=")
    return None
