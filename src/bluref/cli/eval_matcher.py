"""`bluref eval-matcher`: what dense matchers are worth."""

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from bluref.errors import UserError

if TYPE_CHECKING:
    from bluref.match.protocol import Matcher
    from bluref.match.scoring import SyntheticScore

SUMMARY = "Measure dense matchers on real motion, or on synthetic pairs of known flow."

Row = dict[str, Any]
Matchers = dict[str, "Matcher[Any]"]
Scores = dict[tuple[str, float], "SyntheticScore"]
Tell = Callable[[str, int], Callable[[int], None]]

_LONGEST_BLUR = 256  # the side of a synthetic pair: longer ones wipe it out
_DECIMALS = {"psnr_confident": 2, "psnr_at_half": 2, "epe": 2}


@dataclass(frozen=True)
class Options:
    """What `bluref eval-matcher` takes."""

    data: tyro.conf.Positional[Path | None] = None
    """A paired data set: blurry frames are matched with sharp ones, warps judged by the truth."""

    matcher: tuple[str, ...] = ("compact", "dis", "zero")
    """Matchers, one or more: compact, dis, dis-fast, farneback, zero, which says that nothing
    moves, or folders of trained ones; with +check or +homography after a name if wished."""

    delta: tuple[int, ...] = (1, 5, 10)
    """Distances in frames between the blurry frame and its sharp reference."""

    part: str = "test"
    """Which part of the data set, or of --synthetic folders that have parts: test or train."""

    every: int | None = None
    """Take every n-th blurry frame of each clip; by default so that about 30 are taken."""

    synthetic: tuple[Path, ...] = ()
    """Instead of DATA: folders of sharp pictures or clips, to make pairs of known flow from."""

    blur: tuple[float, ...] = (0.0, 5.0, 10.0, 20.0, 40.0)
    """Lengths in pixels of the motion blur of synthetic targets."""

    count: int = 32
    """Synthetic pairs for each length of blur."""

    seed: int = 0
    """Seed of the synthetic pairs: every matcher sees the same ones."""

    picture: Path | None = None
    """Where to draw the reliability diagram of --synthetic: a PNG file."""

    device: str = "cpu"
    """Where the networks of matchers compute, as torch names it: cpu, cuda."""

    json: bool = False
    """Print one JSON object with rows: matcher, delta, coverage, psnr_confident, psnr_at_half,
    seconds_per_reference; of --synthetic matcher, blur, epe, pck1, pck3, pck5, ause,
    calibration_error."""


def run(options: Options) -> int:
    """Measure, print the table."""
    from bluref.match.named import matcher_named
    from bluref.weights.device import usable_device

    _check(options)
    device = usable_device(options.device)
    matchers = {name: matcher_named(name, device=device) for name in options.matcher}
    scores: Scores = {}
    with _progress() as tell:
        if options.data is None:
            scores = _on_synthetic_pairs(options, matchers, tell)
            rows = [
                {"matcher": name, "blur": length, **_figures(scores[name, length])}
                for name in matchers
                for length in dict.fromkeys(options.blur)
            ]
        else:
            rows = _on_real_motion(options.data, options, matchers, tell)
    if options.json:
        told = [{key: _number(value) for key, value in row.items()} for row in rows]
        sys.stdout.write(json.dumps({"rows": told}) + "\n")
    else:
        _print_table(rows)
    if options.picture is not None:
        _draw(scores, options.picture)
    return 0


def _check(options: Options) -> None:
    """Refuse what cannot be measured, before anything is read."""
    if (options.data is None) == (not options.synthetic):
        raise UserError(
            "eval-matcher takes either DATA or --synthetic, one of the two",
            "give a paired data set, or --synthetic with folders of sharp pictures",
        )
    if options.picture is not None:
        _check_picture(options.picture, synthetic=bool(options.synthetic))
    for name in ("matcher", "blur" if options.synthetic else "delta"):
        if not getattr(options, name):
            raise UserError(f"--{name} names none", "give at least one, or leave the option out")
    if options.count < 1:
        raise UserError(f"--count is {options.count}", "it must be at least 1")
    for length in options.blur:
        if not 0 <= length <= _LONGEST_BLUR:
            raise UserError(f"--blur is {length:g}", f"give 0 to {_LONGEST_BLUR} pixels")


def _check_picture(picture: Path, *, synthetic: bool) -> None:
    if not synthetic:
        raise UserError(
            "a reliability diagram needs pairs of known flow", "use --picture with --synthetic"
        )
    if picture.suffix.lower() != ".png":
        raise UserError(f"{picture} is no name for a PNG", "let it end in .png")


def _on_real_motion(data: Path, options: Options, matchers: Matchers, tell: Tell) -> list[Row]:
    """One row per matcher and distance."""
    from tempfile import TemporaryDirectory

    from bluref.frames.displaced import displaced_samples
    from bluref.frames.layouts import find_clips
    from bluref.frames.store import FrameStore
    from bluref.match.scoring import score_real

    clips = find_clips(data, part=options.part)
    samples = {d: displaced_samples(clips, d, every=options.every) for d in options.delta}
    rows = []
    with TemporaryDirectory() as folder:
        store = FrameStore(Path(folder))
        for name, matcher in matchers.items():
            for delta, of_delta in samples.items():
                say = tell(f"{name}, delta {delta}", len(of_delta))
                score = score_real(matcher, of_delta, store, tell=say)
                rows.append({"matcher": name, "delta": delta, **_figures(score)})
    return rows


def _on_synthetic_pairs(options: Options, matchers: Matchers, tell: Tell) -> Scores:
    """A score for each matcher and length of blur."""
    from tempfile import TemporaryDirectory

    from bluref.frames.sharp import sharp_frames
    from bluref.frames.store import FrameStore
    from bluref.match.scoring import blurred_pairs, score_synthetic

    frames = sharp_frames(options.synthetic, part=options.part, most=options.count)
    scores: Scores = {}
    with TemporaryDirectory() as folder:
        store = FrameStore(Path(folder))
        store.prepare(frames)
        for length in options.blur:
            made = blurred_pairs(frames, store, length, count=options.count, seed=options.seed)
            pairs = list(made)  # made once, for all matchers
            for name, matcher in matchers.items():
                say = tell(f"{name}, blur {length:g}", options.count)
                scores[name, length] = score_synthetic(matcher, pairs, tell=say)
    return scores


def _draw(scores: Scores, picture: Path) -> None:
    from bluref.report.reliability import draw_reliability

    bins: dict[str, dict[str, Any]] = {}
    for (name, length), score in scores.items():
        bins.setdefault(name, {})[f"{length:g} px"] = score.bins
    draw_reliability(bins, picture)


def _figures(score: object) -> Row:
    """Every figure of a score, without the counts behind it."""
    return {name: value for name, value in vars(score).items() if isinstance(value, float)}


def _print_table(rows: Sequence[Row]) -> None:
    """The rows for people, on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="left" if name == "matcher" else "right")
    for row in rows:
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    Console(file=sys.stdout).print(table)


def _cell(name: str, value: str | int | float) -> str:
    from rich.markup import escape

    if isinstance(value, str):
        return escape(value)
    if math.isnan(value):
        return "-"
    return f"{value:g}" if name in ("delta", "blur") else f"{value:.{_DECIMALS.get(name, 3)}f}"


def _number(value: str | int | float) -> str | int | float | None:
    """The value as JSON has it, which knows no NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


@contextmanager
def _progress() -> Iterator[Tell]:
    """A bar on stderr, on a terminal only; gives what starts anew for each row of the table."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def begin(what: str, total: int) -> Callable[[int], None]:
            bar.reset(task, description=escape(what), total=total)
            return lambda done: bar.update(task, completed=done)

        yield begin
