"""Recipes as files: of a person, of the package, and of a run. Imports no torch."""

import contextlib
import dataclasses
import errno
import os
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml

from bluref.errors import UserError
from bluref.train.matcher_recipe import MatcherRecipe
from bluref.train.recipe import Recipe

Kind = TypeVar("Kind", Recipe, MatcherRecipe)


def read_recipe(path: Path, kind: type[Kind]) -> Kind:
    """A recipe from YAML: a mapping of field names to values; fields left out keep their default.

    Args:
        path: of the file, or the name of a recipe that comes with the package.
        kind: of recipe.

    Raises:
        UserError: unreadable, not a mapping, an unknown field or a value of the wrong kind.
    """
    if path.suffix == "" and not path.exists():
        path = _packaged(path.name)
    loaded = read_yaml(path)
    if not isinstance(loaded, dict):
        raise UserError(f"{path} is not a recipe", "write one `field: value` per line")
    return recipe_from(loaded, kind, where=str(path))


def read_yaml(path: Path) -> object:
    """What a file of a person says.

    Raises:
        UserError: it is not there, may not be read, or is no YAML.
    """
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        why = os.strerror(error.errno or errno.EIO).lower()
        raise UserError(f"cannot read {path}: {why}", "check the path") from None
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read as YAML: {error}", "mend or replace it") from None


def _packaged(name: str) -> Path:
    """The recipe of that name in the package.

    Raises:
        UserError: there is none; names those there are.
    """
    folder = Path(str(resources.files("bluref") / "recipes"))
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise UserError(
            f"no recipe file {name!r}", f"give a YAML file, or one of {', '.join(known)}"
        )
    return folder / f"{name}.yaml"


def recipe_from(values: dict[str, Any], kind: type[Kind], *, where: str) -> Kind:
    """A recipe from plain values.

    Args:
        values: by field name.
        kind: of recipe.
        where: they were found, for messages.

    Raises:
        UserError: an unknown field, a value of the wrong kind or out of bounds, with `where` it was
            found.
    """
    # Parametrised types first: before Python 3.11 `tuple[float, float]` is a type as well.
    kinds = {
        f.name: str(f.type) if get_args(f.type) else getattr(f.type, "__name__", str(f.type))
        for f in dataclasses.fields(kind)
    }
    read: dict[str, Any] = {}
    for name, value in values.items():
        if name not in kinds:
            raise UserError(f"{where}: no such field {name!r}", f"use {', '.join(kinds)}")
        read[name] = _read(value, kinds[name])
        if not _fits(read[name], kinds[name]):
            raise UserError(f"{where}: {name} is {value!r}", f"it must be of type {kinds[name]}")
    try:
        return kind(**read)
    except UserError as error:
        raise UserError(f"{where}: {error.problem}", error.fix) from None


def _read(value: object, kind: str) -> object:
    """The value as its field has it: fractions, and lists as tuples of fractions."""
    if kind.startswith("tuple") and isinstance(value, list):
        return tuple(map(_number, value))
    return _number(value) if kind.startswith("float") else value


def _number(value: object) -> object:
    """Whole numbers as fractions, and 1e-3, which YAML takes for a word since it has no point."""
    if isinstance(value, int | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            return float(value)
    return value


def _fits(value: object, kind: str) -> bool:
    """Whether a value may stand for a field."""
    if value is None:
        return "None" in kind
    if isinstance(value, tuple):
        return kind.count("float") == len(value) and all(isinstance(v, float) for v in value)
    return kind.startswith(type(value).__name__)


def read_run(run: Path) -> dict[str, Any]:
    """What the recipe.yaml of a run says: `recipe`, `data`, `versions`, `processes`, `files`.

    The last two are empty where an earlier version wrote it.

    Raises:
        UserError: no run there, or its recipe.yaml was damaged.
    """
    path = run / "recipe.yaml"
    if not path.is_file():
        raise UserError(
            f"{run} holds no run",
            "name the folder of a run; `bluref train DATA -o RUN`, without --resume, begins one",
        )
    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
        told = {part: dict(loaded[part]) for part in ("recipe", "data", "versions")}
        return told | {part: dict(loaded.get(part, {})) for part in ("processes", "files")}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is damaged: {error}", "start a new run in another folder"
        ) from None


def read_run_recipe(run: Path, kind: type[Kind]) -> Kind:
    """The recipe of an existing run.

    Args:
        run: its folder.
        kind: of recipe.

    Raises:
        UserError: no run there, its recipe.yaml was damaged, or an earlier version of BluRef wrote
            it, whose recipes had fields that are no more.
    """
    before = read_run(run)
    known = {field.name for field in dataclasses.fields(kind)}
    refuse_other_version(run, before, before["recipe"].keys() - known)
    return recipe_from(before["recipe"], kind, where=str(run / "recipe.yaml"))


def refuse_other_version(run: Path, before: dict[str, Any], fields: Iterable[str]) -> None:
    """Refuse a run whose recipe has other fields than recipes have now.

    Args:
        run: its folder.
        before: what `read_run` says of it.
        fields: in which they differ; none if it may be gone on with.

    Raises:
        UserError: names the fields, and the version that knows them.
    """
    if names := ", ".join(sorted(fields)):
        raise UserError(
            f"{run} was begun by a version of BluRef with other settings ({names})",
            f"go on with that version ({before['versions'].get('bluref')}), or start anew"
            " in another folder; its network can be used as it is",
        )


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Lines `name: old -> new` for every value that differs, for a person to read."""
    return [
        f"{name}: {old.get(name)} -> {new.get(name)}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
