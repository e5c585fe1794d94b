"""Mending films with nothing but themselves: curate, train, deblur, in one go.

Each part keeps what it has done, so that the same call goes on where one was interrupted.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from bluref.errors import UserError, as_command
from bluref.frames.curate import curate, is_edited
from bluref.frames.curation import CurateConfig, CurateReport
from bluref.frames.frame_table import TABLE, FrameRow, read_table
from bluref.frames.layouts import own_name
from bluref.frames.sources import settled
from bluref.report.curated_pictures import draw_curated
from bluref.report.mended import DATA, RUN
from bluref.report.page.page import try_page
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.engines.engine import EngineName
from bluref.restore.work.batch import DeblurReport, deblur_files
from bluref.restore.work.inputs import Failure
from bluref.train.observe import Observer
from bluref.train.recipe import Recipe
from bluref.train.recipe_file import read_run_recipe
from bluref.train.run import TrainResult, train
from bluref.train.with_references import WithReferences, prepare_references

Tell = Callable[[str, int, int | None], None]
"""Called with (what is done, how much of it, of how much, None where unknown)."""


@dataclass(frozen=True)
class MendConfig:
    """How to mend.

    Attributes:
        recipe: of the training.
        curate: which frames are looked at.
        with_references: let references have a word on each blurred frame.
        check: refuse footage that nothing can be learnt from.
        device: where networks compute, as torch names it; at the end if torch runs them there.
        engine: what runs the network at the end; all but `eager` do so on the processor.
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
        failed: clips, or pictures of them, that could not be mended.
        run: the run folder, whose network deblurs other footage of the camera too.
        report: the run's page; None if there can be none, which `observer` is told.
        agreement_before: of frames held back with their references, in dB, as they came; None where
            nothing could be held back.
        agreement_after: and as the network makes them.
        from_references: of each clip, how many frames have references.
        deblurred: what was done, clip by clip.
        seconds: of this call.
    """

    outputs: tuple[Path, ...]
    failed: tuple[Failure, ...]
    run: Path
    report: Path | None
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
    started, observer = time.monotonic(), observer or Observer()
    _refuse_pairs(config.recipe)
    targets = _targets(clips, out)
    _refuse_other_clips(clips, out)
    unread = _curate(clips, out, config.curate, observer, tell)
    result = _train(out, config, observer)
    deblurrer = _deblurrer(out / RUN, config)
    reports: list[DeblurReport] = []
    words: dict[str, int] = {}
    left_out = {settled(Path(failure.path)) for failure in unread}
    for clip, target in targets.items():
        if settled(clip) in left_out:
            continue
        finish: WithReferences | None = None
        if config.with_references:
            finish = prepare_references(
                out / RUN, clip, deblurrer, observer=observer, device=config.device
            )
            words[str(target)] = len(finish.samples)
        reports.append(_deblur(clip, target, deblurrer, finish, tell))
    drawing = partial(tell, "drawing the report")
    page = try_page(out / RUN, tell=drawing, complain=observer.on_message)
    before, after = _agreement(result)
    return MendReport(
        outputs=tuple(target for target in targets.values() if target.exists()),
        failed=_once([*unread, *(failure for report in reports for failure in report.failed)]),
        run=out / RUN,
        report=page,
        agreement_before=before,
        agreement_after=after,
        from_references=words,
        deblurred=tuple(reports),
        seconds=time.monotonic() - started,
    )


def _once(failures: Sequence[Failure]) -> tuple[Failure, ...]:
    """What could not be looked at could not be deblurred either."""
    by_file: dict[Path, Failure] = {}
    for failure in failures:
        by_file.setdefault(settled(Path(failure.path)), failure)
    return tuple(by_file.values())


def _deblurrer(run: Path, config: MendConfig) -> Deblurrer:
    """The trained network; other engines than torch run it on the processor."""
    place = config.device if config.engine == "eager" else "cpu"
    return Deblurrer.from_pretrained(run, engine=config.engine, device=place)


def _agreement(result: TrainResult) -> tuple[float | None, float | None]:
    """In dB, before and after; None where nothing could be held back."""
    both = (math.nan, math.nan) if result.best is None else result.best.agreement
    before, after = (None if math.isnan(value) else round(value, 3) for value in both)
    return before, after


def _looking(tell: Tell) -> Tell:
    return lambda clip, done, total: tell(f"looking at {clip}", done, total)


def _targets(clips: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Where each clip goes.

    Raises:
        UserError: no clip, one that is not there, or two that would become one.
    """
    if not clips:
        raise UserError("no clip given", "name a film, or a folder of pictures")
    targets: dict[Path, Path] = {}
    for clip in clips:
        if not clip.exists():
            raise UserError(f"{clip} does not exist", "check the path")
        target = out / own_name(clip)
        if target in targets.values() or target.name in (DATA, RUN):
            raise UserError(f"the mended {clip} would be {target}, which is taken", "rename it")
        if clip.is_dir() and clip.resolve() in (out.resolve(), *out.resolve().parents):
            raise UserError(
                f"the output {out} lies in the clip {clip}",
                "name an output folder elsewhere: what it holds would be taken for frames",
            )
        if target.exists() and target.samefile(clip):
            raise UserError(f"{target} is the clip itself", "name another output folder")
        targets[clip] = target
    return targets


def _refuse_other_clips(clips: Sequence[Path], out: Path) -> None:
    """Before anything is changed in a folder that was made from other clips.

    Raises:
        UserError: the table there has frames of a clip that is not given.
    """
    if not (out / RUN / "recipe.yaml").is_file() or not (out / DATA / TABLE).is_file():
        return
    given = {*map(settled, clips), *(clip.resolve() for clip in clips)}
    for row in read_table(out / DATA):
        # A folder may hold links, and be one.
        names = {row.file, row.file.resolve()}
        inside = row.file.is_relative_to((out / DATA).absolute())  # a copy
        if not (inside or any({name, *name.parents} & given for name in names)):
            raise UserError(
                f"{out} was made from other clips, such as {row.file}",
                "name another output folder, or the clips that it was made from",
            )


def _refuse_pairs(recipe: Recipe) -> None:
    if recipe.pairs or recipe.supervised:
        raise UserError(
            "a film has no pairs to learn from", "leave --pairs and --supervised to bluref train"
        )


def _curate(
    clips: Sequence[Path], out: Path, config: CurateConfig, observer: Observer, tell: Tell
) -> list[Failure]:
    """Give frames roles, unless a person did; returns what could not be read.

    Raises:
        UserError: nothing can be learnt from the clips, or a network was begun with the frames of
            others; their table then stays.
    """
    data = out / DATA
    table = data / TABLE
    if is_edited(data):
        observer.on_message(f"{table} was changed by hand: it is taken as it is")
        return []
    curated = curate(
        clips, data, config, tell=_looking(tell), refuse=partial(_refuse_other_frames, out)
    )
    for clip in curated.clips:
        for note in clip.notes:
            observer.on_message(f"{clip.clip}: {note}")
    failed = [Failure(one.path, one.reason) for one in curated.failed]
    for failure in failed:
        observer.on_message(f"left out: {failure.reason}")
    _refuse_useless(curated)
    draw_curated(data)
    return failed


def _refuse_other_frames(out: Path, rows: Sequence[FrameRow]) -> None:
    """Where a network was begun, its frames stay what they are."""
    if not (out / RUN / "recipe.yaml").is_file() or not (out / DATA / TABLE).is_file():
        return
    now, before = (
        {(row.clip, row.index, row.role, row.position, row.file.resolve()) for row in table}
        for table in (rows, read_table(out / DATA))
    )
    if now != before:
        use = as_command(["bluref", "deblur", "--model", out / RUN])
        raise UserError(
            f"{out} was begun with other frames than these clips now give",
            f"mend clips that came later by {use} CLIP -o FOLDER, or name another output folder to"
            " learn from all of them",
        )


def _refuse_useless(curated: CurateReport) -> None:
    if curated.sharp and curated.blurry:
        return
    if all(clip.kind == "empty" for clip in curated.clips):
        problem = "the clips show nothing"
    else:
        problem = f"no frame is clearly {'sharper' if curated.blurry else 'blurrier'} than others"
    fix = "add clips in which the camera rests now and then" if curated.blurry else "add clips"
    raise UserError(
        f"{problem} ({curated.table} tells of each)",
        f"{fix}, or deblur with a network trained elsewhere: bluref deblur --model general",
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
    """One clip, to the place that is meant for it; what could not be done is in the report."""
    return deblur_files(
        [clip],
        target.parent if clip.is_file() else target,
        deblurrer,
        finish=finish,
        tell=lambda done, total: tell(f"deblurring {clip.name}", done, total),
        tell_frames=lambda film, done, total: tell(f"frames of {film.name}", done, total or None),
    )
