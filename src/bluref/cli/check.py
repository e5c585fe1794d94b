"""`bluref check`: whether footage can be trained on, before hours are spent."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bluref.cli.options import Input
from bluref.cli.training import RecipeFile, starting_from_recipe
from bluref.train.recipe import Recipe

SUMMARY = "Say whether footage can be trained on, before hours are spent."

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Options:
    """What `bluref check` takes. The exit status is 1 where the verdict is hopeless, else 0."""

    data: Input
    """Footage: a folder of clips, what `bluref curate` made of them, or a published data tree."""

    sample: int = 20
    """Blurry frames that are matched with their references to see how much these show."""

    recipe_file: RecipeFile = None
    """YAML file of `field: value` lines, or the name of a recipe that comes with BluRef; options on
    the command line win over it."""

    device: str = "cpu"
    """Where training will compute, as torch names it: cpu, cuda."""

    json: bool = False
    """Print one JSON object: verdict (ready, thin, hopeless), usable_blurry, coverage, problems
    (path, problem, fix, weight), expected_hours, expected_disk_bytes, and the figures behind."""

    recipe: Recipe = field(default_factory=Recipe)
    """Every choice of the run that is meant."""


options_type = starting_from_recipe(Options, Recipe)


def run(options: Options) -> int:
    """Check, and print the verdict with what to change."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from bluref.errors import UserError
    from bluref.frames.store import FrameStore
    from bluref.train.checking.check import check
    from bluref.train.processes import find_processes

    if options.sample < 1:
        raise UserError(f"--sample is {options.sample}", "give at least 1")
    find_processes(options.device)  # refuses what is not there
    with TemporaryDirectory() as folder, _progress() as tell:
        report = check(
            options.data,
            options.recipe,
            FrameStore(Path(folder)),
            sample=options.sample,
            device=options.device,
            tell=tell,
        )
    sys.stdout.write(report.as_json() if options.json else report.as_text())
    return 1 if report.verdict == "hopeless" else 0


@contextmanager
def _progress() -> Iterator[Tell]:
    """A bar on stderr, on a terminal only."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total
        )
