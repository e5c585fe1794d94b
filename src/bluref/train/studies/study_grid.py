"""From a study to the list of its runs. Imports no torch."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

from bluref.errors import UserError
from bluref.train.recipe import Recipe
from bluref.train.recipe_file import recipe_from
from bluref.train.studies.study_file import (
    COPY,
    IDENTITY,
    ROWS,
    SUPERVISED,
    WARM,
    Study,
    Values,
    Variant,
)

BLUREF = "bluref"
"""The kind of a run that is none of `study_file.ROWS`."""

MOST_RUNS = 1000
"""A file that asks for more is taken for a mistake."""

FRAMES = ("layout", "split", "most")
"""Fields that say which frames there are to be judged on."""

SHARED = (*FRAMES, "backbone", "steps", "batch", "crop", "seed")
"""Fields in which a run and the bounds it is compared with agree: same network, same frames, same
steps. The rest of a bound's recipe is the common one."""

_COMPARABLE = {
    IDENTITY: FRAMES,
    COPY: (*FRAMES, "choice", "delta", "refs"),
    WARM: SHARED,
    SUPERVISED: SHARED,
}
# How the fields that every table varies are abbreviated in the names of folders.
_SHORT = {"delta": "d", "refs": "n", "backbone": "", "seed": "s"}
_OWN_COLUMN = (*_SHORT, "strategy")


@dataclass(frozen=True)
class Run:
    """One row of a study's table.

    Attributes:
        name: of its folder, the same whenever the study is read.
        kind: one of `study_file.ROWS`, or `BLUREF`.
        method: as the table calls it; runs that differ in nothing but Delta, N, backbone, strategy
            and seed share it.
        recipe: every choice.
        pairs_of: name of the run whose pairs it learns from; empty for footage.
        teacher: the recipe of that run.
    """

    name: str
    kind: str
    method: str
    recipe: Recipe
    pairs_of: str = ""
    teacher: Recipe | None = None

    @property
    def trains(self) -> bool:
        """Whether it has a network."""
        return self.kind not in (IDENTITY, COPY)


def expand(study: Study) -> tuple[Run, ...]:
    """Every run of a study, rows to compare with included, seeds side by side.

    The order of the fields in the file changes nothing.

    Raises:
        UserError: a combination that no run can have, two runs that are the same, or too many.
    """
    count = sum(_combinations(_swept(study, variant)) for variant in study.variants)
    if count > MOST_RUNS:
        raise UserError(f"{study.file} asks for {count} runs", f"ask for {MOST_RUNS} at most")
    by_variant = {v.name: list(_of_variant(study, v)) for v in study.variants}
    for variant in study.variants:
        if variant.pairs_of:
            teachers = by_variant[variant.pairs_of]
            by_variant[variant.name] = [
                _taught(run, _teacher_of(run, teachers, study)) for run in by_variant[variant.name]
            ]
    runs = [run for listed in by_variant.values() for run in listed]
    before = [run for kind in (IDENTITY, COPY, WARM) for run in _bounds(study, kind, runs)]
    _refuse_equal([*before, *runs, *(after := [*_bounds(study, SUPERVISED, runs)])], study)
    return (*before, *runs, *after)


def _combinations(swept: Values) -> int:
    return math.prod(len(values) for values in swept.values())


def _of_variant(study: Study, variant: Variant) -> Iterator[Run]:
    swept = _swept(study, variant)
    for values in product(*swept.values()):
        chosen = dict(zip(swept, values, strict=True))
        told = asdict(study.recipe) | dict(variant.fixed) | chosen
        recipe = recipe_from(told, Recipe, where=f"{study.file}: {variant.name or 'grid'}")
        parts = [variant.name or recipe.strategy]
        if variant.name and "strategy" in swept:
            parts.append(recipe.strategy)
        parts += _unusual(chosen, study.recipe)
        name = _slug([*parts, *_abbreviated(recipe, tuple(_SHORT))])
        yield Run(name, BLUREF, ", ".join(parts), recipe)


def _teacher_of(run: Run, teachers: Sequence[Run], study: Study) -> Run:
    """The run of the other variant that agrees in all that the grid varies.

    Raises:
        UserError: there is none, or more than one.
    """
    agreeing = [
        teacher
        for teacher in teachers
        if all(getattr(teacher.recipe, f) == getattr(run.recipe, f) for f in study.grid)
    ]
    if len(agreeing) != 1:
        raise UserError(
            f"{study.file}: {run.name} would learn from the pairs of {len(agreeing)} runs",
            "let pairs_of name a variant that varies nothing but what the grid does",
        )
    return agreeing[0]


def _taught(run: Run, teacher: Run) -> Run:
    return replace(run, pairs_of=teacher.name, teacher=teacher.recipe)


def _bounds(study: Study, kind: str, runs: Sequence[Run]) -> Iterator[Run]:
    """One run for each combination of the fields that matter to this kind of row."""
    if kind not in study.rows:
        return
    fields, base = _COMPARABLE[kind], study.base
    for values in dict.fromkeys(tuple(getattr(r.recipe, f) for f in fields) for r in runs):
        chosen = dict(zip(fields, values, strict=True))
        recipe = replace(base, **chosen)
        if kind == WARM:
            recipe = replace(recipe, warm_start=recipe.steps, supervised=False)
        if kind == SUPERVISED:
            recipe = replace(recipe, supervised=True)
        if kind == SUPERVISED and recipe.hold_out:  # it has a truth to be judged by
            recipe = replace(recipe, hold_out=None)
        if kind == SUPERVISED and recipe.anchor:  # pairs alone are the bound
            recipe = replace(recipe, anchor=None)
        parts = [kind, *_unusual(chosen, study.recipe)]
        name = _slug([*parts, *_abbreviated(recipe, [f for f in _SHORT if f in fields])])
        yield Run(name, kind, ", ".join(parts), recipe)


def _swept(study: Study, variant: Variant) -> dict[str, tuple[Any, ...]]:
    """What varies: strategies first, then as the recipe lists its fields, seeds side by side."""
    rank = {name: place for place, name in enumerate(asdict(Recipe()))}
    rank["seed"] = len(rank)
    rank["strategy"] = -1
    swept = {**study.grid, **variant.swept}
    return {name: swept[name] for name in sorted(swept, key=rank.__getitem__)}


def _unusual(chosen: Mapping[str, Any], common: Recipe) -> list[str]:
    """The fields without a column of their own that are not as in the common recipe.

    Only these, so that a name stays when a study is extended by another field.
    """
    return [
        f"{name} {value}"
        for name, value in chosen.items()
        if name not in _OWN_COLUMN and value != getattr(common, name)
    ]


def _abbreviated(recipe: Recipe, fields: Sequence[str]) -> list[str]:
    return [f"{_SHORT[name]}{getattr(recipe, name)}" for name in fields]


def _slug(parts: Sequence[str]) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9.+_-]+", "_", "-".join(parts)).replace("..", "_")


def _refuse_equal(runs: Sequence[Run], study: Study) -> None:
    """Refuse two folders of one name, and two trainings of one recipe."""
    seen: dict[object, Run] = {}
    for run in runs:
        keys: list[object] = [run.name.casefold()]
        keys += [(run.recipe, run.pairs_of)] if run.trains else []
        for key in keys:
            other = seen.setdefault(key, run)
            if other is not run:
                raise UserError(
                    f"{study.file}: {other.name} and {run.name} are the same run",
                    f"remove one, or rename it; none may be called {', '.join(ROWS)}",
                )
