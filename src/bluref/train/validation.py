"""Looking at frames held back: is the output nearer to what references show than the input was?

There is no truth, and so no PSNR. Each frame held back has a pseudo-sharp target made of references
that nobody trains on, matched once on the blurry frame itself, so that all checkpoints are judged
by the same. `validation.csv` keeps every figure of every look.
"""

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bluref.frames.clip import Frame
from bluref.frames.crops import Crop
from bluref.media.whole import append_text, whole_lines, write_text_whole
from bluref.pseudo.target import PseudoSharp
from bluref.restore.deblurrer import Deblurrer
from bluref.train.agreement import agreement, detail, reblurred
from bluref.train.average import averaged_copy
from bluref.train.reblur import Reblur

FILE = "validation.csv"
# Share of a box below which references show nothing of it.
LEAST = 1e-6
# A sharper picture gains two to three times as many dB blurred again as it does against targets.
SHARE = 0.5


@dataclass(frozen=True)
class Held:
    """A box of a frame held back.

    Attributes:
        frame: it was cut from.
        crop: the box.
        blurry: what it shows.
        target: of references that nobody trains on.
        reblur: how it came to be blurry, if that is known.
    """

    frame: Frame
    crop: Crop
    blurry: Float[Tensor, "1 3 h w"]
    target: PseudoSharp
    reblur: Reblur | None

    @property
    def coverage(self) -> float:
        """Share of the box that references speak for."""
        return self.target.mask.float().mean().item()

    def tells(self, min_coverage: float) -> bool:
        """Whether anything can be said of it: by references, or by motion that is sure."""
        if self.coverage >= max(min_coverage, LEAST):
            return True
        if self.reblur is None:
            return False
        return not math.isnan(reblurred(self.blurry, self.blurry, self.reblur).item())


@dataclass(frozen=True)
class Row:
    """One frame held back at one moment: the columns of validation.csv.

    Figures are those of `train.agreement`, `before` of the blurry frame and `after` of the output;
    NaN where nothing can be said.
    """

    step: int
    clip: str
    index: int
    agreement_before: float
    agreement_after: float
    coverage: float
    detail_before: float
    detail_after: float
    reblur_before: float
    reblur_after: float


@dataclass(frozen=True)
class Look:
    """What all frames held back say at one moment.

    Attributes:
        rows: one per frame.
        min_coverage: share of a frame that references must cover, or its agreement does not count.
    """

    rows: Sequence[Row]
    min_coverage: float

    @property
    def agreement(self) -> tuple[float, float]:
        """Before and after, dB, mean over the frames that are covered; NaN if none is."""
        covered = [r for r in self.rows if r.coverage >= max(self.min_coverage, LEAST)]
        return _means([(r.agreement_before, r.agreement_after) for r in covered])

    @property
    def reblur(self) -> tuple[float, float]:
        """Before and after, dB, mean over the frames whose motion is known."""
        return _means([(r.reblur_before, r.reblur_after) for r in self.rows])

    @property
    def detail(self) -> tuple[float, float]:
        """Before and after, dB, mean over all frames."""
        return _means([(r.detail_before, r.detail_after) for r in self.rows])

    @property
    def score(self) -> float | None:
        """By which checkpoints are compared: the smaller of what both kinds of agreement gain.

        References alone praise a network that smooths as their targets do, re-blurring alone one
        that invents what the blur has taken away; a true gain shows in both. What re-blurring
        gains counts by `SHARE`. Where one of the two is not known the other decides; None if
        nothing is known at all.
        """
        (agreed, agrees), (blurred, blurs) = self.agreement, self.reblur
        gains = (agrees - agreed, SHARE * (blurs - blurred))
        return min((gain for gain in gains if not math.isnan(gain)), default=None)

    @property
    def columns(self) -> dict[str, float]:
        """Columns of metrics.csv; gains are differences of output and input."""
        before, after = self.agreement
        return {
            "validation_score": math.nan if self.score is None else self.score,
            "validation_agreement": after,
            "validation_gain": after - before,
            "validation_reblur": self.reblur[1] - self.reblur[0],
            "validation_detail": self.detail[1] - self.detail[0],
        }


@dataclass(frozen=True)
class Judging:
    """How networks are judged.

    Attributes:
        every: steps between two looks.
        patience: looks in a row that find nothing better before training stops.
        min_coverage: see `Look`.
        training_size: side of the training crops in pixels, for local pooling.
        device: where to compute.
    """

    every: int
    patience: int
    min_coverage: float
    training_size: int
    device: torch.device


class HeldOutValidation:
    """Judges networks on frames held back; see `train.best.Validation`.

    Args:
        folder: of the run, where `validation.csv` is kept.
        held: boxes of frames held back.
        judging: how.
        upto: rows of later steps are dropped: they belong to what a resumed run does again.
    """

    def __init__(self, folder: Path, held: Sequence[Held], judging: Judging, *, upto: int) -> None:
        self.every, self.patience = judging.every, judging.patience
        self._path = folder / FILE
        self._held = held
        self._judging = judging
        self._before = [_figures(one.blurry, one) for one in held]
        self.rows = [row for row in read_validation(self._path) if row.step <= upto]
        write_text_whole(self._path, _as_csv(self.rows, header=True))

    def __call__(self, step: int, average: nn.Module) -> Look:
        """Deblur what is held back, write down what comes of it, and sum it up."""
        how = self._judging
        deblur = Deblurrer(
            averaged_copy(average), training_size=how.training_size, device=how.device
        )
        rows = []
        for one, before in zip(self._held, self._before, strict=True):
            after = _figures(deblur(one.blurry), one)
            rows.append(_row(step, one, before, after))
        self.rows += rows
        append_text(self._path, _as_csv(rows, header=False))
        return Look(rows, how.min_coverage)

    def look_at(self, step: int) -> Look:
        """What was seen after so many steps."""
        return Look([row for row in self.rows if row.step == step], self._judging.min_coverage)


def read_validation(path: Path) -> list[Row]:
    """The rows of a validation.csv; none if there is none, and none torn by a crash."""
    if not path.is_file():
        return []
    lines = csv.DictReader(io.StringIO(whole_lines(path)))
    return [_parsed(row) for row in lines if None not in row.values()]


def _figures(image: Float[Tensor, "1 3 h w"], one: Held) -> dict[str, float]:
    again = math.nan if one.reblur is None else reblurred(image, one.blurry, one.reblur).item()
    return {
        "agreement": agreement(image, one.target.image, one.target.weight).item(),
        "detail": detail(image).item(),
        "reblur": again,
    }


def _row(step: int, one: Held, before: Mapping[str, float], after: Mapping[str, float]) -> Row:
    figures = {f"{name}_before": value for name, value in before.items()}
    figures |= {f"{name}_after": value for name, value in after.items()}
    return Row(step, one.frame.clip, one.frame.index, coverage=one.coverage, **figures)


def _means(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    known = [pair for pair in pairs if not any(map(math.isnan, pair))]
    if not known:
        return math.nan, math.nan
    before, after = zip(*known, strict=True)
    return statistics.fmean(before), statistics.fmean(after)


def _as_csv(rows: Sequence[Row], *, header: bool) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow([field.name for field in fields(Row)])
    for row in rows:
        writer.writerow(astuple(row))  # every digit: what is read again is what was seen
    return text.getvalue()


def _parsed(row: Mapping[str, str]) -> Row:
    told = {name: value for name, value in row.items() if name not in ("step", "clip", "index")}
    figures = {name: float(value) for name, value in told.items()}
    return Row(int(row["step"]), row["clip"], int(row["index"]), **figures)
