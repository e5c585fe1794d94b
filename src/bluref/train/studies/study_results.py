"""What the runs of a study are worth: rows of its table, and shares of the supervised gain."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bluref.train.studies.study_file import COPY, SUPERVISED, WARM
from bluref.train.studies.study_grid import BLUREF, SHARED, Run

LAST = 0.1
"""Share of a run's metrics, counted from its end, over which targets are averaged."""


@dataclass(frozen=True)
class Measured:
    """The figures of one run; None where there is no such figure.

    Attributes:
        psnr_test: dB on the test scenes.
        ssim_test: two-dimensional SSIM on the test scenes.
        ssim3d_test: volumetric SSIM on the test scenes.
        psnr_train_frames: dB on the blurry training frames.
        input_psnr_test: dB of the blurry input on the test scenes, where a network got it.
        input_psnr_train_frames: the same on the training frames.
        target_psnr: dB of the targets in their mask at the end of training.
        coverage: share of the crops that references cover at the end of training.
        hours: from the start of the run to its last step, matching included. What is done once for
            all runs, decoding frames and finding their motion, counts for the one that did it; of
            one that learns from pairs of another, its teacher's are left out.
    """

    psnr_test: float
    ssim_test: float
    ssim3d_test: float
    psnr_train_frames: float
    input_psnr_test: float | None = None
    input_psnr_train_frames: float | None = None
    target_psnr: float | None = None
    coverage: float | None = None
    hours: float | None = None


@dataclass(frozen=True)
class Result:
    """What became of a run.

    Attributes:
        run: which.
        measured: its figures; None if it failed.
        failed: why, in words.
    """

    run: Run
    measured: Measured | None
    failed: str = ""


@dataclass(frozen=True)
class Spread:
    """A figure over seeds."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float | None:
        """None without a value."""
        return statistics.fmean(self.values) if self.values else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the sample; None of less than two values."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Share:
    """Share of the supervised gain, (PSNR - input) / (supervised PSNR - input), over seeds.

    `supervised` is the mean over the seeds of the supervised runs with the same network, frames,
    steps, batch and crops.

    Attributes:
        method: as in the rows.
        strategy: how references become a target; None where there are no references.
        delta: distance of the references; None where there are none.
        refs: number of references; None where there are none.
        backbone: the network.
        test: on the test scenes.
        train_frames: on the blurry training frames.
        psnr_test: dB on the test scenes.
        psnr_train_frames: dB on the blurry training frames.
        hours: of training, as `Measured` has them.
    """

    method: str
    strategy: str | None
    delta: int | None
    refs: int | None
    backbone: str | None
    test: Spread
    train_frames: Spread
    psnr_test: Spread
    psnr_train_frames: Spread
    hours: Spread

    def told(self) -> dict[str, Any]:
        """As JSON has it; `share` and `spread` are those on the test scenes."""
        return {
            **{name: getattr(self, name) for name in _NAMES},
            "seeds": len(self.psnr_test.values),
            "share": self.test.mean,
            "spread": self.test.deviation,
            "share_train_frames": self.train_frames.mean,
            "spread_train_frames": self.train_frames.deviation,
            "psnr_test": self.psnr_test.mean,
            "psnr_test_spread": self.psnr_test.deviation,
            "psnr_train_frames": self.psnr_train_frames.mean,
            "psnr_train_frames_spread": self.psnr_train_frames.deviation,
            "hours": self.hours.mean,
        }


_NAMES = ("method", "strategy", "delta", "refs", "backbone")
ROW = (
    *("method", "strategy", "delta", "refs", "backbone", "seed", "steps"),
    *("psnr_test", "ssim_test", "psnr_train_frames", "target_psnr", "coverage", "hours"),
)
"""Columns of a study's table."""


def row(result: Result) -> dict[str, Any]:
    """A result as a row of the table: `ROW`, and `failed` with the reason if it did."""
    told = {**_who(result.run), **(asdict(result.measured) if result.measured else {})}
    of_table = {name: told.get(name) for name in ROW}
    return of_table | ({"failed": result.failed} if result.measured is None else {})


def shares(results: Sequence[Result]) -> list[Share]:
    """One share for each method, strategy, Delta, N and network, in the order of the results.

    Warm starts have one too. Without a supervised run to compare with, or where that gains nothing
    over the input, there are no values in it.
    """
    groups: dict[tuple[Any, ...], list[Result]] = {}
    for result in results:
        if result.run.kind in (BLUREF, WARM) and not _is_bound(result.run):
            who = _who(result.run)
            key = (*(who[name] for name in _NAMES), _company(result.run))
            groups.setdefault(key, []).append(result)
    return [_share(group, results) for group in groups.values()]


def _share(group: Sequence[Result], results: Sequence[Result]) -> Share:
    company = _company(group[0].run)
    bounds = [r for r in results if _is_bound(r.run) and _company(r.run) == company]
    who = _who(group[0].run)
    known = [r.measured for r in group if r.measured]
    return Share(
        **{name: who[name] for name in _NAMES},
        test=_spread(group, bounds, "test"),
        train_frames=_spread(group, bounds, "train_frames"),
        psnr_test=Spread(tuple(m.psnr_test for m in known)),
        psnr_train_frames=Spread(tuple(m.psnr_train_frames for m in known)),
        hours=Spread(tuple(m.hours for m in known if m.hours is not None)),
    )


def _is_bound(run: Run) -> bool:
    """Whether it learns from true pairs, and from nothing else; a variant may say so of itself."""
    alone = run.recipe.supervised and not run.recipe.anchor
    return run.kind == SUPERVISED or (run.kind == BLUREF and alone)


def _spread(group: Sequence[Result], bounds: Sequence[Result], where: str) -> Spread:
    reached = [getattr(r.measured, f"psnr_{where}") for r in bounds if r.measured]
    if not reached:
        return Spread(())
    bound, values = statistics.fmean(reached), []
    for measured in (result.measured for result in group if result.measured):
        start = getattr(measured, f"input_psnr_{where}")
        if bound > start:
            values.append((getattr(measured, f"psnr_{where}") - start) / (bound - start))
    return Spread(tuple(values))


def _company(run: Run) -> tuple[Any, ...]:
    """What a run and its supervised bound agree in; any seed will do."""
    return tuple(getattr(run.recipe, name) for name in SHARED if name != "seed")


def _who(run: Run) -> dict[str, Any]:
    """The columns that say which run it is; None where a choice plays no part."""
    references = ("strategy", "delta", "refs")
    network = ("backbone", "seed", "steps")
    speaking = {
        BLUREF: network if run.recipe.pairs or run.recipe.supervised else (*references, *network),
        WARM: network,
        SUPERVISED: network,
        COPY: ("delta", "refs"),
    }.get(run.kind, ())
    told = {name: getattr(run.recipe, name) for name in speaking}
    if run.teacher is not None:  # the targets that it learns from are those of its teacher
        told |= {name: getattr(run.teacher, name) for name in references}
    return {"method": run.method, **dict.fromkeys((*references, *network)), **told}


def column(rows: Sequence[Mapping[str, str]], name: str) -> list[tuple[int, float]]:
    """(step, value) of every row of a metrics.csv that has a number in the column."""
    return [
        (int(row["step"]), float(row[name]))
        for row in rows
        if row.get(name) not in (None, "", "nan")
    ]


def at_the_end(rows: Sequence[Mapping[str, str]], name: str) -> float | None:
    """Mean of a column over the last tenth of a run's metrics, where it learnt from targets."""
    last = rows[-math.ceil(LAST * len(rows)) :] if rows else []
    values = [value for _, value in column([r for r in last if r["phase"] == "pseudo"], name)]
    return statistics.fmean(values) if values else None
