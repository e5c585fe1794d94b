"""`bluref mend`: a blurred film in, a sharper one out, learnt from the film itself."""

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bluref.cli.options import Inputs, Output
from bluref.cli.training import RecipeFile, pointing_on_itself, starting_from_recipe
from bluref.train.recipe import Recipe

if TYPE_CHECKING:
    from bluref.report.mend import MendReport

SUMMARY = "Mend a film with nothing but itself: learn from its sharp moments, deblur it."


@dataclass(frozen=True)
class Options:
    """Half an hour to a few hours on two cores; safe to interrupt, the same command goes on."""

    clips: Inputs
    """Films, or folders of pictures; several of one camera are learnt from together."""

    output: Output
    """Folder for the mended clips (under their own names), data/ (which frames are sharp), and run/
    (the network, which also deblurs other footage of the camera, and report.html)."""

    with_references: bool = False
    """Let what the sharp frames show have a word on each blurred frame, where it can be trusted.
    Takes about a second more per frame."""

    no_check: bool = False
    """Train also on what the check calls hopeless."""

    recipe_file: RecipeFile = None
    """YAML file of `field: value` lines, or the name of a recipe that comes with BluRef; options on
    the command line win over it."""

    device: str = "cpu"
    """Where networks compute, as torch names it: cpu, cuda."""

    engine: Literal["auto", "eager", "compile", "onnxruntime", "openvino"] = "eager"
    """What runs the network at the end; auto measures once per machine and model, and remembers.
    All but eager run on the processor."""

    json: bool = False
    """Print one JSON object: outputs, run, report, agreement_before and agreement_after (dB, of
    frames held back, with their references; null where nothing could be held back),
    from_references, failed (path, reason), seconds."""

    recipe: Recipe = field(default_factory=Recipe)
    """Every choice of the training."""


options_type = starting_from_recipe(Options, Recipe)


def run(options: Options) -> int:
    """Mend and tell; 1 if some clip or picture failed."""
    from bluref.report.mend import MendConfig, mend
    from bluref.report.watch import Watch

    config = MendConfig(
        recipe=options.recipe,
        with_references=options.with_references,
        check=not options.no_check,
        device=options.device,
        engine=options.engine,
    )
    with pointing_on_itself(), Watch() as watch:
        report = mend(options.clips, options.output, config, observer=watch, tell=watch.show)
    if options.json:
        sys.stdout.write(json.dumps(_told(report)) + "\n")
    else:
        sys.stderr.write(_summary(report, asked=options.with_references))
    return 1 if report.failed else 0


def _told(report: "MendReport") -> dict[str, object]:
    return {
        "outputs": [str(path) for path in report.outputs],
        "run": str(report.run),
        "report": report.report and str(report.report),
        "agreement_before": report.agreement_before,
        "agreement_after": report.agreement_after,
        "from_references": report.from_references,
        "failed": [{"path": failure.path, "reason": failure.reason} for failure in report.failed],
        "seconds": round(report.seconds, 2),
    }


def _summary(report: "MendReport", *, asked: bool) -> str:
    lines = []
    before, after = report.agreement_before, report.agreement_after
    if before is not None and after is not None:
        worth = "" if after > before else ": no gain, look at the report before you keep it"
        lines.append(
            f"on frames held back, agreement with the references went from {before:.2f} to"
            f" {after:.2f} dB{worth}"
        )
    if not (asked or report.from_references):
        lines.append(
            "sharper still: the same command with --with-references, about a second a frame"
        )
    for path, frames in report.from_references.items():
        lines.append(f"{path}: {frames} frames have references")
    lines += [f"failed: {failure.reason}" for failure in report.failed]
    lines += [str(path) for path in report.outputs]
    seen = f"look at {report.report} " if report.report else ""
    lines.append(f"{seen}({report.seconds / 60:.0f} min)")
    return "".join(line + "\n" for line in lines)
