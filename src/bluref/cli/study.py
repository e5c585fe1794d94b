"""`bluref study`: a grid of runs and one table."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from bluref.cli.options import Input, Output
from bluref.cli.training import RecipeFile

SUMMARY = "Train a grid of settings on a paired data set, and compare them in one table."


@dataclass(frozen=True)
class Options:
    """What `bluref study` takes. It can be stopped at any moment; run it again to go on."""

    file: Input
    """YAML file that says what is compared, or the name of a study that comes with BluRef.
    Its keys: data; recipe (fields, and base); grid (lists by field); variants (name, fields,
    pairs_of); rows (identity, copy-neighbour, warm-start, supervised); every_test and every_train,
    to judge on every n-th frame."""

    output: Output
    """The study's folder: new, or the one to go on with."""

    data: Path | None = None
    """A paired data set with train/ and test/, instead of the one that the file names."""

    recipe: RecipeFile = None
    """The recipe to start from, instead of the `base` that the file names: a YAML file, or the name
    of a recipe that comes with BluRef."""

    device: str = "cpu"
    """Where networks compute, as torch names it: cpu, cuda, cuda:1, mps."""

    json: bool = False
    """Print one JSON object instead of the table as Markdown: rows (method, strategy, delta, refs,
    backbone, seed, steps, psnr_test, ssim_test, psnr_train_frames, target_psnr, coverage, hours)
    and shares of the supervised gain, by method and Delta, with their spread over seeds."""


def run(options: Options) -> int:
    """Carry the study out and print its table."""
    from bluref.report.study_table import as_markdown, write_tables
    from bluref.report.study_watch import StudyWatch
    from bluref.train.studies.study import run_study
    from bluref.train.studies.study_file import read_study
    from bluref.train.studies.study_results import row, shares

    study = read_study(options.file, data=options.data, base=options.recipe)
    done = run_study(
        study,
        options.output,
        watch=lambda: StudyWatch(options.output),
        device=options.device,
    )
    write_tables(done.results, options.output)
    if options.json:
        told = {
            "rows": [row(result) for result in done.results],
            "shares": [share.told() for share in shares(done.results)],
        }
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stdout.write(as_markdown(done.results))
    for result in done.failed:
        sys.stderr.write(f"{result.run.name} failed: {result.failed}\n")
    if not done.finished:
        sys.stderr.write("stopped; the same command goes on\n")
    return 0 if done.finished and not done.failed else 1
