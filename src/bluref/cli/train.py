"""`bluref train`: from footage to a deblurring network."""

from dataclasses import dataclass, field

from bluref.cli.options import Input, Output
from bluref.cli.training import (
    RecipeFile,
    command_to_go_on,
    end_in_page,
    pointing_on,
    starting_from_recipe,
    tell,
)
from bluref.errors import as_command
from bluref.train.recipe import Recipe

SUMMARY = "Train a deblurring network on your footage, with no pairs."


@dataclass(frozen=True)
class Options:
    """What `bluref train` takes."""

    data: Input
    """Footage: a folder of clips, or a tree of a published data set."""

    output: Output
    """The run folder: new, or the run to go on with."""

    no_check: bool = False
    """Begin at once, without looking at the footage first (`bluref check`); train also on what the
    check calls hopeless."""

    resume: bool = False
    """Go on with the run in the folder, bit for bit as if it had never stopped."""

    recipe_file: RecipeFile = None
    """YAML file of `field: value` lines, or the name of a recipe that comes with BluRef; options on
    the command line win over it."""

    device: str = "cpu"
    """Where to compute, as torch names it: cpu, cuda. Several processes share a training under
    `accelerate launch --multi_gpu --num_processes N -m bluref train ...`, on processors too."""

    json: bool = False
    """Print one JSON object: run, steps, seconds, report, best_step, agreement_before,
    agreement_after."""

    recipe: Recipe = field(default_factory=Recipe)
    """Every choice of the run."""


options_type = starting_from_recipe(Options, Recipe)


def run(options: Options) -> int:
    """Train and tell where the result is."""
    from bluref.report.watch import Watch
    from bluref.train.run import train

    go_on = command_to_go_on("train", [options.data], options.output, options.device)
    with pointing_on(options.output, go_on), Watch() as watch:
        result = train(
            options.data,
            options.output,
            options.recipe,
            resume=options.resume,
            observer=watch,
            device=options.device,
            check=not options.no_check,
        )
        page = end_in_page(result, watch)
    return tell(
        result,
        machine=options.json,
        use=f"deblur with it: bluref deblur PICTURES... --model {as_command([result.run])}",
        go_on=go_on,
        page=page,
    )
