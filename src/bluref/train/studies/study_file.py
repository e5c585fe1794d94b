"""Studies as files: a grid of runs on one data set, read and checked. Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from bluref.errors import UserError
from bluref.train.recipe import BATCH, CROP, Recipe
from bluref.train.recipe_file import read_recipe, read_yaml, recipe_from

IDENTITY, COPY, WARM, SUPERVISED = "identity", "copy-neighbour", "warm-start", "supervised"
ROWS = (IDENTITY, COPY, WARM, SUPERVISED)
"""Rows to compare with: the blurry input itself, its best reference copied as it is, synthetic
pairs alone, true pairs."""

KEYS = ("data", "recipe", "grid", "variants", "rows", "every_test", "every_train")

Values = Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Variant:
    """A named switch on top of the common recipe.

    Attributes:
        name: as the table calls it; empty where the file names no variants.
        fixed: value by recipe field.
        swept: the values of fields that the variant varies by itself.
        pairs_of: the variant whose runs give the pairs that these learn from; empty for footage.
    """

    name: str
    fixed: Mapping[str, Any]
    swept: Values
    pairs_of: str = ""


@dataclass(frozen=True)
class Study:
    """What a study's file says.

    Attributes:
        file: where it was read.
        data: the paired data set.
        recipe: common to all runs.
        grid: values by recipe field; every combination is a run.
        variants: each is multiplied with the grid; at least one.
        rows: which of `ROWS` stand beside the runs.
        every_test: judge on every n-th blurry picture of each test scene.
        every_train: judge on every n-th blurry training frame of each clip.
    """

    file: Path
    data: Path
    recipe: Recipe
    grid: Values
    variants: tuple[Variant, ...] = (Variant("", {}, {}),)
    rows: tuple[str, ...] = ()
    every_test: int = 1
    every_train: int = 1

    @property
    def base(self) -> Recipe:
        """The recipe of the grid's first combination, without any variant."""
        first = {name: values[0] for name, values in self.grid.items()}
        return recipe_from(asdict(self.recipe) | first, Recipe, where=f"{self.file}: grid")


def read_study(file: Path, *, data: Path | None = None, base: Path | None = None) -> Study:
    """A study from YAML.

    Args:
        file: of the study, or the name of one that comes with the package.
        data: the data set, instead of the file's.
        base: the recipe to start from, instead of the file's `recipe: base:`.

    Raises:
        UserError: unreadable, an unknown key, or a value that no study can have; names file and
            field.
    """
    if file.suffix == "" and not file.exists():
        file = _packaged(file.name)
    told = _load(file)
    for key in told:
        if key not in KEYS:
            raise UserError(f"{file}: no such key {key!r}", f"use {', '.join(KEYS)}")
    grid = _swept(_mapping(told, "grid", file), f"{file}: grid")
    return Study(
        file=file,
        data=data or _data(told.get("data"), file),
        recipe=_common(_mapping(told, "recipe", file), file, base),
        grid=grid,
        variants=_variants(told.get("variants"), grid, file),
        rows=_rows(told.get("rows", []), file),
        every_test=_every(told, "every_test", file),
        every_train=_every(told, "every_train", file),
    )


def packaged_studies() -> dict[str, Path]:
    """The studies that come with the package, by name."""
    folder = Path(str(resources.files("bluref") / "recipes" / "studies"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _packaged(name: str) -> Path:
    known = packaged_studies()
    if name not in known:
        raise UserError(f"no study {name!r}", f"give a YAML file, or one of {', '.join(known)}")
    return known[name]


def _load(file: Path) -> dict[Any, Any]:
    loaded = read_yaml(file)
    if not isinstance(loaded, dict):
        raise UserError(f"{file} is not a study", f"write a mapping of {', '.join(KEYS)}")
    return loaded


def _mapping(told: Mapping[Any, Any], key: str, file: Path) -> dict[str, Any]:
    value = told.get(key, {})
    if not isinstance(value, dict):
        raise UserError(f"{file}: {key} is {value!r}", "write `field: value` lines under it")
    return value


def _data(value: object, file: Path) -> Path:
    """A relative path counts from the folder of the file that says it."""
    if not isinstance(value, str):
        problem = "names no data set" if value is None else f"data is {value!r}"
        raise UserError(f"{file}: {problem}", "give --data, or `data: FOLDER` in the file")
    return file.parent / value


def _common(values: Mapping[str, Any], file: Path, base: Path | None) -> Recipe:
    """What runs have in common, batch and crop as numbers: memory must not choose row by row."""
    named = values.get("base")
    if not isinstance(named, str | None):
        raise UserError(f"{file}: base is {named!r}", "name a recipe, or a YAML file")
    if base is None and named is not None:
        base = file.parent / named if Path(named).suffix else Path(named)
    start = asdict(read_recipe(base, Recipe)) if base else {}
    own = {name: value for name, value in values.items() if name != "base"}
    recipe = recipe_from(start | own, Recipe, where=f"{file}: recipe")
    return replace(recipe, batch=recipe.batch or BATCH, crop=recipe.crop or CROP)


def _swept(values: Mapping[str, Any], where: str) -> Values:
    """Lists of values by field, each value being one the field can have."""
    read: dict[str, tuple[Any, ...]] = {}
    for name, listed in values.items():
        if not isinstance(listed, list) or not listed:
            raise UserError(f"{where}: {name} is {listed!r}", "write a list of one value or more")
        recipes = [recipe_from({name: value}, Recipe, where=where) for value in listed]
        read[name] = tuple(getattr(recipe, name) for recipe in recipes)
        if len(set(read[name])) < len(listed):
            raise UserError(f"{where}: {name} holds a value twice", "remove one of the two")
    return read


def _variants(listed: object, grid: Values, file: Path) -> tuple[Variant, ...]:
    if listed is None:
        return (Variant("", {}, {}),)
    if not isinstance(listed, list) or not listed:
        raise UserError(
            f"{file}: variants is {listed!r}", "write a list of {name: ..., FIELD: ...}"
        )
    variants = [_variant(told, grid, file) for told in listed]
    names = [variant.name for variant in variants]
    if len(set(names)) < len(names):
        raise UserError(f"{file}: two variants bear one name", "rename one")
    _check_teachers(variants, file)
    return tuple(variants)


def _check_teachers(variants: Sequence[Variant], file: Path) -> None:
    """Pairs come from a variant that stands before and learns from footage."""
    teachers: set[str] = set()
    for variant in variants:
        if variant.pairs_of and variant.pairs_of not in teachers:
            raise UserError(
                f"{file}: variant {variant.name}: pairs_of names {variant.pairs_of!r}",
                "name a variant above it that learns from footage",
            )
        if not variant.pairs_of and not {"supervised", "pairs"} & set(variant.fixed):
            teachers.add(variant.name)


def _variant(told: object, grid: Values, file: Path) -> Variant:
    name = told.get("name") if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(name, str) or not name.strip():
        raise UserError(f"{file}: variant {told!r} has no name", "write {name: ..., FIELD: ...}")
    where = f"{file}: variant {name}"
    if name in ROWS:
        raise UserError(f"{where} bears the name of a row", f"use none of {', '.join(ROWS)}")
    own = {field: value for field, value in told.items() if field not in ("name", "pairs_of")}
    pairs_of = told.get("pairs_of", "")
    if not isinstance(pairs_of, str):
        raise UserError(f"{where}: pairs_of is {pairs_of!r}", "name a variant above it")
    for field in own:
        if field in grid:
            raise UserError(
                f"{where}: {field} is varied by the grid", "name it here or there, not in both"
            )
    swept = {field: value for field, value in own.items() if isinstance(value, list)}
    single = {field: [value] for field, value in own.items() if field not in swept}
    fixed = {field: values[0] for field, values in _swept(single, where).items()}
    if pairs_of:
        fixed["pairs"] = True
    return Variant(name, fixed, _swept(swept, where), pairs_of)


def _rows(listed: object, file: Path) -> tuple[str, ...]:
    """The rows wished for, in the order of `ROWS`."""
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise UserError(f"{file}: rows is {listed!r}", f"write a list of {', '.join(ROWS)}")
    for row in listed:
        if row not in ROWS:
            raise UserError(f"{file}: rows: no such row {row!r}", f"use {', '.join(ROWS)}")
    return tuple(row for row in ROWS if row in listed)


def _every(told: Mapping[Any, Any], key: str, file: Path) -> int:
    value = told.get(key, 1)
    if type(value) is not int or value < 1:
        raise UserError(f"{file}: {key} is {value!r}", "it must be a whole number, at least 1")
    return value
