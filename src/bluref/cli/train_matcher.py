"""`bluref train-matcher`: from sharp frames to a matcher that sees through blur."""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from bluref.cli.options import Output
from bluref.cli.training import (
    RecipeFile,
    command_to_go_on,
    end_in_page,
    pointing_on,
    starting_from_recipe,
    tell,
)
from bluref.errors import as_command
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

    recipe_file: RecipeFile = None
    """YAML file of `field: value` lines, or the name of a recipe that comes with BluRef:
    matcher-compact, matcher-paper-1, matcher-paper-2; options on the command line win over it."""

    json: bool = False
    """Print one JSON object: run, steps, seconds, report; and as `bluref train` does best_step,
    agreement_before and agreement_after, which are null: nothing is held back from a matcher."""

    recipe: MatcherRecipe = field(default_factory=MatcherRecipe)
    """Every choice of the run."""


options_type = starting_from_recipe(Options, MatcherRecipe)


def run(options: Options) -> int:
    """Train and tell where the result is."""
    from bluref.report.watch import Watch
    from bluref.train.matcher_run import train_matcher

    go_on = command_to_go_on("train-matcher", options.sharp, options.output, options.device)
    with pointing_on(options.output, go_on), Watch() as watch:
        result = train_matcher(
            options.sharp,
            options.output,
            options.recipe,
            resume=options.resume,
            observer=watch,
            device=options.device,
        )
        page = end_in_page(result, watch)
    return tell(
        result,
        machine=options.json,
        use="train a network with it: bluref train DATA -o RUN --matcher "
        + as_command([result.run]),
        go_on=go_on,
        page=page,
    )
