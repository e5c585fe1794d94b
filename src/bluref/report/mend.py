"""Mending films with nothing but themselves: curate, train, deblur, in one go.

Each part keeps what it has done, so that the same call goes on where one was interrupted.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bluref.errors import UserError
from bluref.frames.curate import curate
from bluref.frames.curation import CurateConfig, CurateReport
from bluref.media.video import is_video
from bluref.report.curated_pictures import draw_curated
from bluref.report.page.page import write_page
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.engines.engine import EngineName
from bluref.restore.work.batch import DeblurReport, deblur_files
from bluref.train.observe import Observer
from bluref.train.recipe import Recipe
from bluref.train.recipe_file import read_run_recipe
from bluref.train.run import TrainResult, train
from bluref.train.with_references import WithReferences, prepare_references

DATA, RUN = "data", "run"
"""What the folders are called, beside the results."""

Tell = Callable[[str, int, int | None], None]
"""Called with (what is done, how much of it, of how much, None where unknown)."""


@dataclass(frozen=True)
class MendConfig:
    """How to mend.

    Attributes:
        recipe: of the training.
        curate: which frames are looked at.
        with_references: let references have a word on each blurred frame of a film.
        check: refuse footage that nothing can be learnt from.
        device: where to train, as torch names it.
        engine: what runs the network at the end.
    """

    recipe: Recipe = field(default_factory=Recipe)
    curate: CurateConfig = field(default_factory=CurateConfig)
    with_references: bool = False
    check: bool = True
    device: str = "cpu"
    engine: EngineName = "eager"


@dataclass(frozen=True)
class MendReport:
    """What became of the clips.

    Attributes:
        outputs: the mended clips, in their order: films, or folders of pictures.
        run: the run folder, whose network deblurs other footage of the camera too.
        report: the run's page.
        agreement_before: of frames held back with their references, in dB, as they came; None where
            nothing could be held back.
        agreement_after: and as the network makes them.
        from_references: of each film, the frames that references had a word on.
        deblurred: what was done, clip by clip.
        seconds: of this call.
    """

    outputs: tuple[Path, ...]
    run: Path
    report: Path
    agreement_before: float | None
    agreement_after: float | None
    from_references: dict[str, int]
    deblurred: tuple[DeblurReport, ...]
    seconds: float


def mend(
    clips: Sequence[Path],
    out: Path,
    config: MendConfig = MendConfig(),
    *,
    observer: Observer | None = None,
    tell: Tell = lambda _what, _done, _total: None,
) -> MendReport:
    """Learn from clips what their camera blurs, and deblur them.

    Interrupted, the same call goes on where it was.

    Args:
        clips: films, or folders of pictures, of one camera.
        out: gets the mended clips under their own names, `data/` with the roles of frames, and
            `run/` with the network and its page.
        config: how.
        observer: watches the training.
        tell: hears of the rest.

    Raises:
        UserError: clips cannot be read or are of no use, two have one name, or `out` cannot be
            written or was made from other clips or another recipe.
        KeyboardInterrupt: training was interrupted, and saved.
    """
    started = time.monotonic()
    observer = observer or Observer()
    targets = _targets(clips, out)
    curated = curate(clips, out / DATA, config.curate, tell=_looking(tell))
    _refuse_useless(curated)
    draw_curated(out / DATA)
    result = _train(out, config, observer)
    deblurrer = Deblurrer.from_pretrained(out / RUN, engine=config.engine)
    reports: list[DeblurReport] = []
    words: dict[str, int] = {}
    for clip, target in zip(clips, targets, strict=True):
        finish = None
        if config.with_references and is_video(clip):
            finish = prepare_references(out / RUN, clip, deblurrer, observer=observer)
        reports.append(_deblur(clip, target, deblurrer, finish, tell))
        if finish is not None:
            words[str(target)] = len(finish.samples)
    page = write_page(out / RUN, tell=lambda done, total: tell("drawing the report", done, total))
    before, after = (math.nan, math.nan) if result.best is None else result.best.agreement
    return MendReport(
        outputs=tuple(targets),
        run=out / RUN,
        report=page,
        agreement_before=None if math.isnan(before) else before,
        agreement_after=None if math.isnan(after) else after,
        from_references=words,
        deblurred=tuple(reports),
        seconds=time.monotonic() - started,
    )


def _looking(tell: Tell) -> Tell:
    return lambda clip, done, total: tell(f"looking at {clip}", done, total)


def _targets(clips: Sequence[Path], out: Path) -> list[Path]:
    """Where each clip goes.

    Raises:
        UserError: no clip, one that is not there, or two that would become one.
    """
    if not clips:
        raise UserError("no clip given", "name a film, or a folder of pictures")
    targets: list[Path] = []
    for clip in clips:
        if not clip.exists():
            raise UserError(f"{clip} does not exist", "check the path")
        target = out / clip.absolute().name
        if target in targets or target.name in (DATA, RUN):
            raise UserError(f"the mended {clip} would be {target}, which is taken", "rename it")
        if target.exists() and target.samefile(clip):
            raise UserError(f"{target} is the clip itself", "name another output folder")
        targets.append(target)
    return targets


def _refuse_useless(curated: CurateReport) -> None:
    if curated.sharp and curated.blurry:
        return
    missing = "no frame is clearly sharper" if curated.blurry else "no frame is clearly blurrier"
    fix = "add clips in which the camera rests now and then" if curated.blurry else "keep them"
    raise UserError(
        f"{missing} than its neighbours ({curated.table} tells why)",
        f"{fix}; or deblur with a network trained elsewhere: bluref deblur --model general",
    )


def _train(out: Path, config: MendConfig, observer: Observer) -> TrainResult:
    """Train, or go on; an interruption ends all."""
    run = out / RUN
    recipe, resume = config.recipe, (run / "recipe.yaml").is_file()
    if resume:
        fitted = read_run_recipe(run, Recipe)
        recipe = replace(
            recipe, batch=recipe.batch or fitted.batch, crop=recipe.crop or fitted.crop
        )
    result = train(
        out / DATA,
        run,
        recipe,
        resume=resume,
        observer=observer,
        device=config.device,
        check=config.check,
    )
    if not result.finished:
        raise KeyboardInterrupt
    return result


def _deblur(
    clip: Path, target: Path, deblurrer: Deblurrer, finish: WithReferences | None, tell: Tell
) -> DeblurReport:
    """One clip, to the place that is meant for it.

    Raises:
        UserError: the film could not be done; pictures that could not be are in the report.
    """
    report = deblur_files(
        [clip],
        target.parent if clip.is_file() else target,
        deblurrer,
        finish=finish,
        tell=lambda done, total: tell(f"deblurring {clip.name}", done, total),
        tell_frames=lambda film, done, total: tell(f"frames of {film.name}", done, total or None),
    )
    if clip.is_file() and report.failed:
        raise UserError(report.failed[0].reason, "see what it says; what is done is kept")
    return report
