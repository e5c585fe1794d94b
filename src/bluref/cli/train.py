"""`bluref train`: from footage to a deblurring network."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from bluref.cli.options import Input, Output, starting_recipe
from bluref.train.recipe import Recipe

SUMMARY = "Train a deblurring network on your footage, with no pairs."


@dataclass(frozen=True)
class Options:
    """What `bluref train` takes."""

    data: Input
    """Footage: a folder of clips, or a tree of a published data set."""

    output: Output
    """The run folder: new, or the run to go on with."""

    resume: bool = False
    """Go on with the run in the folder, bit for bit as if it had never stopped."""

    recipe_file: Annotated[Path | None, tyro.conf.arg(name="recipe", metavar="FILE")] = None
    """YAML file of `field: value` lines, or the name of a recipe that comes with BluRef; options on
    the command line win over it."""

    json: bool = False
    """Print one JSON object: run, steps, seconds."""

    recipe: Recipe = field(default_factory=Recipe)
    """Every choice of the run."""


def options_type(arguments: list[str]) -> type[Options]:
    """Options that start from the recipe of --recipe, or from that of the run to be resumed."""
    start = starting_recipe(arguments, Recipe)

    @dataclass(frozen=True)
    class Started(Options):
        recipe: Recipe = field(default_factory=lambda: start)
        """Every choice of the run."""

    return Started


def run(options: Options) -> int:
    """Train and tell where the result is."""
    from bluref.report.watch import Watch
    from bluref.train.run import train

    with Watch() as watch:
        result = train(
            options.data,
            options.output,
            options.recipe,
            resume=options.resume,
            observer=watch,
        )
    if options.json:
        told = {"run": str(result.run), "steps": result.steps, "seconds": round(result.seconds, 2)}
        sys.stdout.write(json.dumps(told) + "\n")
    elif result.finished:
        sys.stderr.write(
            f"done: {result.steps} steps in {result.seconds:.0f} s\n"
            f"deblur with it: bluref deblur PICTURES... --model {result.run}\n"
        )
    if not result.finished:
        sys.stderr.write(
            f"stopped at step {result.steps}; go on with:"
            f" bluref train {options.data} -o {result.run} --resume\n"
        )
        return 1
    return 0
