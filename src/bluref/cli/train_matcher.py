"""`bluref train-matcher`: from sharp frames to a matcher that sees through blur."""

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from bluref.cli.options import Output, starting_recipe
from bluref.train.matcher_recipe import MatcherRecipe

SUMMARY = "Train a dense matcher on sharp pictures alone, warped and degraded on the fly."


@dataclass(frozen=True)
class Options:
    """What `bluref train-matcher` takes."""

    sharp: tyro.conf.Positional[tuple[Path, ...]]
    """Sharp pictures, videos, folders of either, or trees of data sets (their training part)."""

    output: Output
    """The run folder: new, or the run to go on with."""

    device: str = "cpu"
    """Where to compute, as torch names it: cpu, cuda."""

    resume: bool = False
    """Go on with the run in the folder, bit for bit as if it had never stopped."""

    recipe_file: Annotated[Path | None, tyro.conf.arg(name="recipe", metavar="FILE")] = None
    """YAML file of `field: value` lines, or the name of a recipe that comes with BluRef:
    matcher-compact, matcher-paper-1, matcher-paper-2; options on the command line win over it."""

    json: bool = False
    """Print one JSON object: run, steps, seconds."""

    recipe: MatcherRecipe = field(default_factory=MatcherRecipe)
    """Every choice of the run."""


def options_type(arguments: list[str]) -> type[Options]:
    """Options that start from the recipe of --recipe, or from that of the run to be resumed."""
    start = starting_recipe(arguments, MatcherRecipe)

    @dataclass(frozen=True)
    class Started(Options):
        recipe: MatcherRecipe = field(default_factory=lambda: start)
        """Every choice of the run."""

    return Started


def run(options: Options) -> int:
    """Train and tell where the result is."""
    from bluref.report.watch import Watch
    from bluref.train.matcher_run import train_matcher

    with Watch() as watch:
        result = train_matcher(
            options.sharp,
            options.output,
            options.recipe,
            resume=options.resume,
            observer=watch,
            device=options.device,
        )
    if options.json:
        told = {"run": str(result.run), "steps": result.steps, "seconds": round(result.seconds, 2)}
        sys.stdout.write(json.dumps(told) + "\n")
    elif os.environ.get("RANK", "0") != "0":
        return 0  # the first of several processes speaks for all
    elif result.finished:
        sys.stderr.write(
            f"done: {result.steps} steps in {result.seconds:.0f} s\n"
            f"train a network with it: bluref train DATA -o RUN --matcher {result.run}\n"
        )
    if not result.finished:
        sys.stderr.write(
            f"stopped at step {result.steps}; go on with the same command and --resume\n"
        )
        return 1
    return 0
