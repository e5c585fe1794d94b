"""What the verbs that train share: what their options start from, and what they tell at the end."""

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from bluref.errors import as_command
from bluref.train.recipe_file import Kind, read_recipe, read_run_recipe

if TYPE_CHECKING:
    from bluref.report.watch import Watch
    from bluref.train.run import TrainResult

RecipeFile = Annotated[Path | None, tyro.conf.arg(name="recipe", metavar="FILE")]
"""`--recipe FILE`: a YAML file, or the name of a recipe that comes with BluRef."""


def starting_from_recipe(options: type[Any], kind: type[Kind]) -> Callable[[list[str]], type[Any]]:
    """The `options_type` of a verb whose options hold a `recipe`.

    What it returns for some arguments is `options`, the recipe's defaults being those of --recipe,
    or of the run to be resumed.
    """

    def options_type(arguments: list[str]) -> type[Any]:
        start = _before_switches(_starting_recipe(arguments, kind), arguments)
        recipe = ("recipe", kind, field(default_factory=lambda: start))
        return make_dataclass("Started", [recipe], bases=(options,), frozen=True)

    return options_type


def end_in_page(result: "TrainResult", watch: "Watch") -> Path | None:
    """Write the page of a run that is over; None if it is not, or if there can be none."""
    from bluref.report.page.page import try_page

    if not result.finished or os.environ.get("RANK", "0") != "0":
        return None
    return try_page(result.run, tell=watch.on_page, complain=watch.on_message)


def tell(
    result: "TrainResult", *, machine: bool, use: str, go_on: str, page: Path | None = None
) -> int:
    """Say what a run did, and return the exit status.

    Args:
        result: what training returned.
        machine: as one JSON object.
        use: what the result is good for, in a line.
        go_on: the command that goes on with a run that was stopped.
        page: its report, if there is one.
    """
    if os.environ.get("RANK", "0") != "0":
        return 0  # the first of several processes speaks for all
    if machine:
        told = {
            "run": str(result.run),
            "steps": result.steps,
            "seconds": round(result.seconds, 2),
            "report": None if page is None else str(page),
        }
        sys.stdout.write(json.dumps(told | _best_for_machines(result)) + "\n")
    elif result.finished:
        seen = "" if page is None else f"look at it: {page}\n"
        sys.stderr.write(f"done: {result.steps} steps in {result.seconds:.0f} s\n")
        sys.stderr.write(f"{_best_for_people(result)}{seen}{use}\n")
    if not result.finished:
        sys.stderr.write(f"stopped at step {result.steps}; go on with: {go_on}\n")
        return 1
    return 0


def _best_for_machines(result: "TrainResult") -> dict[str, int | float | None]:
    """Where the best checkpoint was found and what it is worth; null where nothing is known."""
    if result.best is None:
        return {"best_step": None, "agreement_before": None, "agreement_after": None}
    before, after = (None if math.isnan(v) else round(v, 3) for v in result.best.agreement)
    step = result.best.rows[0].step
    return {"best_step": step, "agreement_before": before, "agreement_after": after}


def _best_for_people(result: "TrainResult") -> str:
    """The same in a line, and a warning where nothing is gained; empty where nothing is known."""
    told = _best_for_machines(result)
    before, after = told["agreement_before"], told["agreement_after"]
    if before is None or after is None:
        return ""
    line = (
        f"on frames held back, agreement with the references went from {before:.2f} to"
        f" {after:.2f} dB; best after {told['best_step']} steps\n"
    )
    if result.best is None or (result.best.score or 0.0) > 0:
        return line
    return line + "that is no gain: this network will hardly help, look at the pictures first\n"


def command_to_go_on(verb: str, sources: Sequence[Path], run: Path, device: str) -> str:
    """What goes on with a run that was interrupted, as this process or these were started."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    together = f"accelerate launch --multi_gpu --num_processes {count} -m " if count > 1 else ""
    words: list[object] = ["bluref", verb, *sources, "-o", run, "--resume"]
    # Those that are launched together are given their devices.
    words += ["--device", device] if device != "cpu" and count == 1 else []
    return together + as_command(words)


@contextmanager
def pointing_on(run: Path, go_on: str) -> Iterator[None]:
    """Say how a run is gone on with that is interrupted at once, before its loop or in a hurry."""
    try:
        yield
    except KeyboardInterrupt:
        if (run / "recipe.yaml").is_file() and os.environ.get("RANK", "0") == "0":
            sys.stderr.write(f"go on with: {go_on}\n")
        raise


@contextmanager
def pointing_on_itself() -> Iterator[None]:
    """Say that the same command goes on, where a person interrupts one that does."""
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("the same command goes on where this stopped\n")
        raise


def _starting_recipe(arguments: list[str], kind: type[Kind]) -> Kind:
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


def _before_switches(start: Kind, arguments: Sequence[str]) -> Kind:
    """The recipe with switches that are typed as they are before: only what is off can be put on.

    So the command of a run is understood with `--resume` behind it, whatever the run has on.
    """
    typed: dict[str, Any] = {}
    for name, value in vars(start).items():
        option = name.replace("_", "-")
        if isinstance(value, bool) and f"--{option}" in arguments:
            typed[name] = False
        if isinstance(value, bool) and f"--no-{option}" in arguments:
            typed[name] = True
    return replace(start, **typed)


def _value_of(arguments: list[str], flag: str) -> str | None:
    """The value that follows a flag: `--output value`, `--output=value`, or `-ovalue`."""
    for place, argument in enumerate(arguments):
        if argument == flag and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith(flag + "="):
            return argument.removeprefix(flag + "=")
        if len(flag) == 2 and argument.startswith(flag) and argument != flag:
            return argument.removeprefix(flag)
    return None
