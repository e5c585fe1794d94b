"""Files that a recipe names, and which they were: one that changes in place is another."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bluref.errors import UserError
from bluref.match.named import network_of
from bluref.restore.fingerprint import hash_of
from bluref.restore.models import is_published
from bluref.train.recipe import Recipe
from bluref.weights.folder import locate


def named_files(recipe: Recipe) -> dict[str, str]:
    """SHA-256 of the weights that `matcher` and `init` name, by field.

    What comes with the package, is not asked or is not there any more is not among them.
    """
    named: dict[str, Path | None] = {"init": Path(recipe.init) if recipe.init else None}
    if not recipe.pairs and (recipe.anchor or not recipe.supervised):
        named["matcher"] = network_of(recipe.matcher)
    return hashes(named)


def hashes(named: Mapping[str, Path | None]) -> dict[str, str]:
    """SHA-256 of the weights that lie in files or folders, by field; of those that are there."""
    found: dict[str, str] = {}
    for field, path in named.items():
        if path is not None and path.exists():
            with suppress(UserError):  # its weights are gone: whoever needs them will say so
                found[field] = hash_of(path if is_published(path) else locate(path)[0])
    return found


def replaced(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The fields whose file is there still, but is another one."""
    return [field for field in sorted(before.keys() & now.keys()) if before[field] != now[field]]
