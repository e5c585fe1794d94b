"""From clips to a table of frames with roles: measure every clip, judge it, write frames.csv."""

import hashlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from dataclasses import dataclass
from pathlib import Path

from bluref.errors import UserError
from bluref.frames.curation import CurateConfig, CuratedClip, CurateReport, Kind, LeftOut
from bluref.frames.extract import extract
from bluref.frames.frame_table import TABLE, FrameRow, table_text
from bluref.frames.journal import FORMAT, Journal
from bluref.frames.measured import Row, measure
from bluref.frames.roles import Judged, judge
from bluref.frames.sources import Source, find_sources
from bluref.frames.workers import one_core_each
from bluref.media.overlap import read_ahead
from bluref.media.whole import write_text_whole

MEASURED = ".measured"
"""Hidden folder in DATA: figures of each clip, so that nothing is measured twice."""
_AHEAD = 8  # frames read before they are measured
_WRITTEN = "written"  # in it: digest of the frames.csv that we wrote ourselves

Tell = Callable[[str, int, int], None]
"""Called with a clip's name, its frames looked at so far, and about how many there are."""

_MEANING: dict[Kind, str | None] = {
    "mixed": None,
    "all sharp": "sharp throughout: it gives references, and nothing to learn from",
    "all blurred": "blurred throughout: its best moments serve as references, none is truly sharp",
    "steady": "hardly changes in sharpness: the best fifth of it serves as references",
    "album": "its pictures do not show the same scene: each was judged by itself, roughly",
    "empty": "shows nothing that could be measured",
}


@dataclass(frozen=True)
class _Done:
    """One clip, measured and judged."""

    source: Source
    rows: Sequence[Row]
    judged: Sequence[Judged]
    kind: Kind


def curate(
    clips: Sequence[Path],
    out: Path,
    config: CurateConfig | None = None,
    *,
    tell: Tell = lambda clip, done, total: None,
    refuse: Callable[[Sequence[FrameRow]], None] = lambda rows: None,
) -> CurateReport:
    """Measure clips, give their frames roles, and write `out`/frames.csv.

    Figures are kept in a hidden folder as they are measured: an interrupted run goes on, and clips
    that were measured before, and have not changed, are not measured again. What cannot be read is
    left out and reported.

    Args:
        clips: videos, pictures, and folders of either.
        out: the data folder; made when needed. A frames.csv that was changed by hand is never
            replaced unless `config.overwrite`.
        config: what to do; as `CurateConfig` says by itself when None.
        tell: called from several threads at a time.
        refuse: called with the rows before the table is written; raises if it must not be.

    Raises:
        UserError: a path does not exist, no clip can be read, frames.csv was changed by hand, or
            the disk is full or read-only.
    """
    started = time.monotonic()
    config = config or CurateConfig()
    if not config.overwrite:
        _check_untouched(out)
    sources, failed = find_sources(clips, leave_out=out)
    done, unread = _measure_all(sources, out, config, tell)
    failed += unread + [one for clip in done for one in clip.source.failed]
    if not done:
        raise UserError(failed[0].reason, "give clips that can be read")
    rows = [row for clip in done for row in _table_rows(clip)]
    refuse(rows)
    if config.extract:
        rows = extract(rows, out, tell)
    text = table_text(rows, out)
    # The digest goes first: a crash between the two costs a question, never somebody's work.
    write_text_whole(out / MEASURED / _WRITTEN, _digests(out) + _digest(text) + "\n")
    write_text_whole(out / TABLE, text)
    reports = tuple(map(_report, done))
    return CurateReport(out / TABLE, reports, tuple(failed), time.monotonic() - started)


def _measure_all(
    sources: Sequence[Source], out: Path, config: CurateConfig, tell: Tell
) -> tuple[list[_Done], list[LeftOut]]:
    """Every clip that can be read, in order, and those that cannot."""
    stop = threading.Event()
    done: list[_Done] = []
    failed: list[LeftOut] = []
    with one_core_each(config.jobs) as pool:
        futures = [pool.submit(_measure_one, s, out, config, tell, stop) for s in sources]
        try:
            ended, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in ended:
                future.result()  # raises what broke, and does not wait for the other clips
            for future in futures:
                found = future.result()
                (done if isinstance(found, _Done) else failed).append(found)  # type: ignore[arg-type]
        finally:  # also Ctrl-C: what runs ends after its frame, what has not begun never does
            stop.set()
            pool.shutdown(cancel_futures=True)
    return done, failed


class _StoppedError(Exception):
    """Another clip failed for good, or the user had enough."""


def _measure_one(
    source: Source, out: Path, config: CurateConfig, tell: Tell, stop: threading.Event
) -> _Done | LeftOut:
    try:
        every, about = source.pace(config.rate)
        identity = source.identity(FORMAT, every)
    except (UserError, OSError) as error:
        return LeftOut(str(source.path), getattr(error, "problem", str(error)))
    path = out / MEASURED / f"{identity}.jsonl"
    if config.overwrite:
        path.unlink(missing_ok=True)
    journal = Journal(path)
    if not journal.done:
        with journal.open():
            try:
                with read_ahead(source.look(every), _AHEAD) as frames:
                    for row in measure(frames, tuple(journal.rows)):
                        if stop.is_set():
                            raise _StoppedError
                        journal.add(row)
                        tell(source.name, len(journal.rows), max(about, len(journal.rows)))
            except UserError as error:
                return LeftOut(str(source.path), error.problem)
            journal.finish(source.notes, source.failed)
    source.notes, source.failed = journal.notes, journal.failed
    tell(source.name, len(journal.rows), len(journal.rows))
    judged, kind = judge(journal.rows)
    return _Done(source, journal.rows, judged, kind)


def _table_rows(done: _Done) -> list[FrameRow]:
    """The clip's lines of the table; logs there are of base 2."""
    pictures = done.source.pictures
    return [
        FrameRow(
            clip=done.source.name,
            index=row.index,
            time=row.time,
            sharpness=judged.sharpness / math.log(2),
            below=judged.below / math.log(2),
            motion=row.motion,
            exposure=row.exposure,
            shot=judged.shot,
            duplicate=None if judged.duplicate is None else done.rows[judged.duplicate].index,
            role=judged.role,
            why=judged.why,
            file=pictures[row.index] if pictures else done.source.path,
            position=None if pictures else row.index,
        )
        for row, judged in zip(done.rows, done.judged, strict=True)
    ]


def _report(done: _Done) -> CuratedClip:
    roles = [judged.role for judged in done.judged]
    meaning = _MEANING[done.kind]
    notes = ([meaning] if meaning else []) + done.source.notes
    if not roles.count("blurry") and done.kind == "mixed":
        notes.append("no frame of it is blurry enough to learn from")
    return CuratedClip(
        clip=done.source.name,
        path=str(done.source.path),
        kind=done.kind,
        shots=max((judged.shot for judged in done.judged), default=0),
        frames=len(roles),
        sharp=roles.count("sharp"),
        blurry=roles.count("blurry"),
        skip=roles.count("skip"),
        notes=tuple(notes),
    )


def is_edited(out: Path) -> bool:
    """Whether a person has changed the table of a data folder, or it is none of ours.

    Raises:
        UserError: it cannot be read.
    """
    table = out / TABLE
    if not table.exists():
        return False
    try:
        return _digest(table.read_bytes().decode("utf-8", "replace")) not in _digests(out).split()
    except OSError as error:
        raise UserError(f"cannot read {table}: {error.strerror}", "check the path") from error


def _check_untouched(out: Path) -> None:
    if is_edited(out):
        raise UserError(
            f"{out / TABLE} was changed by hand, or by another program",
            "choose another folder, or replace it with --overwrite",
        )


def _digests(out: Path) -> str:
    """One line for each table that we wrote there, the last few of them."""
    try:
        return "".join((out / MEASURED / _WRITTEN).read_text("utf-8").splitlines(True)[-3:])
    except (OSError, UnicodeDecodeError):
        return ""


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()
