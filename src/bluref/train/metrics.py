"""metrics.csv: one row every so many steps, kept consistent with the checkpoint on resume."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from bluref.measure.psnr import psnr
from bluref.measure.shift import mean_shift
from bluref.media.whole import append_text, whole_lines, write_text_whole
from bluref.train.batches import Batch

# Columns that end in `_truth` compare with true sharp frames, which never teach; those that begin
# with `validation_` are of frames held back, see `train.validation`.
DEBLURRING = (
    "coverage",
    "trust",
    "agreement",
    "shift_x",
    "shift_y",
    "input_psnr_truth",
    "target_psnr_truth",
    "output_psnr_truth",
    "validation_score",
    "validation_agreement",
    "validation_gain",
    "validation_reblur",
    "validation_detail",
)


class MetricsFile:
    """Rows of a run's metrics, appended as they come.

    Args:
        path: of the CSV file.
        upto: rows of later steps are dropped: they belong to steps that a resumed run does again.
        told: the columns that the task fills, between those of the loop.
        write: False for a process that only reads along.
    """

    def __init__(
        self, path: Path, *, upto: int, told: Sequence[str] = DEBLURRING, write: bool = True
    ) -> None:
        self.path = path
        self.columns = ("step", "phase", "round", "loss", "learning_rate", *told, "seconds")
        rows = read_metrics(path) if path.exists() else []
        self.rows = [row for row in rows if int(row["step"]) <= upto]
        if not write:
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text_whole(path, text.getvalue())

    @property
    def seconds(self) -> float:
        """Training time so far, of all sessions."""
        return float(self.rows[-1]["seconds"]) if self.rows else 0.0

    def add(self, row: Mapping[str, float | str]) -> None:
        """Append a row and push it to the file."""
        written = {name: _cell(row.get(name, "")) for name in self.columns}
        self.rows.append(written)
        text = io.StringIO()
        csv.DictWriter(text, self.columns, lineterminator="\n").writerow(written)
        append_text(self.path, text.getvalue())


def read_metrics(path: Path) -> list[dict[str, str]]:
    """The rows of a metrics.csv; a last line torn by a crash is left out."""
    lines = csv.DictReader(io.StringIO(whole_lines(path)))
    return [row for row in lines if None not in row.values()]


def describe(batch: Batch, output: torch.Tensor) -> dict[str, float]:
    """What one batch says: coverage, agreement of output and target, drift, and truth if there is.

    `agreement` is the PSNR between output and target where the target speaks; `shift_x` and
    `shift_y` the mean displacement in pixels of the output against the blurry input. All of the
    footage's own items; synthetic pairs among them are left out.
    """
    batch = batch.own()
    output = output[: len(batch.blurry)]
    spoken = batch.weight > 0
    shift = mean_shift(output, batch.blurry).mean(dim=0)
    row = {
        "coverage": spoken.float().mean().item(),
        "trust": (batch.weight.sum() / spoken.sum().clamp(min=1)).item(),
        "agreement": _mean_psnr(output, batch.target, spoken),
        "shift_x": shift[0].item(),
        "shift_y": shift[1].item(),
    }
    if batch.truth is not None:
        everywhere = torch.ones_like(spoken)
        row["input_psnr_truth"] = _mean_psnr(batch.blurry, batch.truth, everywhere)
        if not torch.equal(batch.target, batch.truth):  # the supervised bound learns from the truth
            row["target_psnr_truth"] = _mean_psnr(batch.target, batch.truth, spoken)
        row["output_psnr_truth"] = _mean_psnr(output, batch.truth, everywhere)
    return row


def _mean_psnr(image: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor) -> float:
    """Mean over the images whose mask is not empty, capped at 99 dB; NaN if there is none."""
    values = psnr(image, truth, mask=mask)
    values = values[mask.flatten(1).any(dim=1)]
    return values.clamp(max=99).mean().item()


def _cell(value: float | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
