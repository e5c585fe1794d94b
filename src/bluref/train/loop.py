"""The one training loop: deblurring networks, with and without pairs, and matchers run here."""

import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from torch import Tensor, nn

from bluref.errors import UserError
from bluref.train import checkpoint
from bluref.train.average import move_average
from bluref.train.best import Best, Validation
from bluref.train.metrics import MetricsFile
from bluref.train.observe import Observer
from bluref.train.processes import Alone, Processes
from bluref.train.schedule import Schedule

BatchT = TypeVar("BatchT")
Made = TypeVar("Made", covariant=True)
Learnt = TypeVar("Learnt", contravariant=True)
TellRefresh = Callable[[int, int, int], None]


@runtime_checkable
class Source(Protocol[Made]):
    """Gives the batch of a step, after being renewed where a round begins."""

    def phase(self, step: int) -> str:
        """Name of what the step belongs to, such as `warm`."""
        ...

    def round_at(self, step: int) -> int | None:
        """Number of the round of targets that `step` learns from; None where there are none."""
        ...

    def renew(self, round_: int, average: nn.Module, tell: TellRefresh) -> None:
        """Make the targets of a round with the averaged network, or find them on disk."""
        ...

    def __call__(self, step: int) -> Made:
        """The batch of this step: a function of the step, the seed and the round's targets."""
        ...


@runtime_checkable
class Task(Protocol[Learnt]):
    """What is learnt: from a batch to a loss."""

    def loss(self, model: nn.Module, batch: Learnt) -> tuple[Tensor, Any]:
        """A scalar to be lowered, and whatever `describe` wants to see."""
        ...

    def describe(self, batch: Learnt, seen: Any) -> dict[str, float]:  # noqa: ANN401
        """Columns of metrics.csv besides those of the loop."""
        ...


# Batches that are made at a time where an accelerator learns from them, which takes it less long.
MAKERS = 8


class Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """A refresh was left half way, since a person asked for it, or in another process."""


@dataclass
class Trainer(Generic[BatchT]):
    """All that changes while training, and how one step changes it.

    Attributes:
        recipe: every choice.
        state: network, averaged copy, optimizer.
        source: batch of a step.
        task: loss of a batch.
        files: how the averaged network is kept.
        folder: the run folder.
        metrics: its metrics.csv.
        observer: who watches.
        snapshot: makes a picture of where training stands.
        processes: who else trains this network; the first of them writes all files.
        step: steps done.
        validation: judges the averaged network, of which the best is kept in `best`.
        best: its best verdict so far.
        prepared: seconds that passed before training begins, which count as its own.
    """

    recipe: Schedule
    state: checkpoint.State
    source: Source[BatchT]
    task: Task[BatchT]
    files: checkpoint.NetworkFiles
    folder: Path
    metrics: MetricsFile
    observer: Observer
    snapshot: Callable[[int, nn.Module], None]
    processes: Processes = field(default_factory=Alone)
    step: int = 0
    validation: Validation | None = None
    best: Best = field(default_factory=Best)
    prepared: float = 0.0
    _learner: nn.Module = field(init=False)
    _round: int | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _judged: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._learner = self.processes.wrap(self.state.model)

    def run(self) -> bool:
        """Train to the recipe's last step, till nothing improves or it is interrupted; then save.

        Ctrl-C finishes the step, or the frame that is being matched, saves and returns; a second
        one stops at once.

        Returns:
            whether it is done: the last step was reached, or patience is exhausted.
        """
        started = time.monotonic() - self.metrics.seconds - self.prepared
        makers = _makers(self.processes)
        with _interrupts(self._stop, self.observer), ThreadPoolExecutor(makers) as pool:
            ahead: deque[Future[BatchT]] = deque()
            while self.step < self.recipe.steps and not self.processes.any(self._must_stop()):
                try:
                    self._renew()
                except Interrupted:
                    break
                batch = ahead.popleft().result() if ahead else self.source(self.step)
                # A batch is a function of its step: the next are made while one is learnt from.
                while len(ahead) < makers and self._stands(self.step + 1 + len(ahead)):
                    ahead.append(pool.submit(self.source, self.step + 1 + len(ahead)))
                loss, seen = self.update(batch)
                self.step += 1
                self.observer.on_step(self.step, loss)
                if self.processes.rank == 0:
                    self._keep(batch, seen, loss, time.monotonic() - started)
            self.save()
        return self.step >= self.recipe.steps or self._patience_is_exhausted()

    def update(self, batch: BatchT) -> tuple[float, Any]:
        """One optimizer step; returns the loss and what the task saw.

        Raises:
            UserError: the loss or its gradient is not finite; names the step.
        """
        model, optimizer = self.state.model, self.state.optimizer
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step)
        loss, seen = self.task.loss(self._learner, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(model.parameters(), self.recipe.grad_norm)
        if not (loss.isfinite() and norm.isfinite()):
            raise UserError(
                f"loss is {loss.item()} and its gradient {norm.item()} at step {self.step}",
                f"lower --learning-rate; the checkpoint before is in {self.folder / 'last'}",
            )
        optimizer.step()
        move_average(self.state.average, model, step=self.step, decay=self.recipe.ema)
        return loss.item(), seen

    def save(self) -> None:
        """Write the checkpoint `last`."""
        if self.processes.rank > 0:
            return
        checkpoint.save(self.folder / "last", self.state, files=self.files, meta=self._meta())

    def _meta(self) -> dict[str, Any]:
        meta = {"step": self.step, "seed": self.recipe.seed, "steps": self.recipe.steps}
        return meta if self.validation is None else {**meta, "best": asdict(self.best)}

    def _must_stop(self) -> bool:
        return self._stop.is_set() or self._patience_is_exhausted()

    def _patience_is_exhausted(self) -> bool:
        patience = 0 if self.validation is None else self.validation.patience
        return 0 < patience <= self.best.stale

    def _renew(self) -> None:
        """Renew the targets where a round begins, or where a resumed run finds itself in one."""
        round_ = self.source.round_at(self.step)
        if round_ is None or round_ == self._round:
            return
        # The round before is forgotten once this one stands: no run may resume before this step.
        self.save()

        def tell(round_: int, done: int, total: int) -> None:
            self.observer.on_refresh(round_, done, total)
            if self._stop.is_set():
                raise Interrupted  # what is matched stays, a resumed run matches the rest

        self.source.renew(round_, self.state.average, tell)
        self._round = round_

    def _stands(self, step: int) -> bool:
        """Whether there is such a step, and it learns from targets that stand already."""
        return step < self.recipe.steps and self.source.round_at(step) == self._round

    def _keep(self, batch: BatchT, seen: Any, loss: float, seconds: float) -> None:  # noqa: ANN401
        """Judge, log, draw and save what is due after this step."""
        last = self.step == self.recipe.steps
        if self.validation is not None and (last or self._every(self.validation.every)):
            self._validate(self.validation)
        if self._judged or self._every(self.recipe.log_every):
            self._log(batch, seen, loss, seconds)
        if self._every(self.recipe.snapshot_every):
            self.snapshot(self.step, self.state.average)
        if self._every(self.recipe.save_every):
            self.save()

    def _validate(self, validation: Validation) -> None:
        """Judge the averaged network, and keep it if it is the best so far.

        What a resumed run judges again it judges alike, and keeps alike.
        """
        verdict = validation(self.step, self.state.average)
        self._judged = dict(verdict.columns)
        self.best = self.best.after(self.step, verdict.score)
        best = self.best.step == self.step
        if best:
            kept = self.state.average
            checkpoint.save_network(self.folder / "best", kept, files=self.files, meta=self._meta())
        self.observer.on_validation(self.step, verdict.columns, best)

    def _every(self, steps: int) -> bool:
        return self.step % steps == 0

    def _log(self, batch: BatchT, seen: Any, loss: float, seconds: float) -> None:  # noqa: ANN401
        row: dict[str, float | str] = {
            "step": str(self.step),
            "phase": self.source.phase(self.step - 1),
            "round": "" if self._round is None else str(self._round),
            "loss": loss,
            "learning_rate": learning_rate(self.recipe, self.step - 1),
            **self.task.describe(batch, seen),
            **self._judged,
            "seconds": seconds,
        }
        self._judged = {}  # each verdict stands in the row of its step
        self.metrics.add(row)
        self.observer.on_metrics(row)


def _makers(processes: Processes) -> int:
    """Threads that make batches; a processor that learns has none to spare for more than one."""
    if processes.device.type == "cpu":
        return 1
    return max(min(MAKERS, (os.cpu_count() or 1) // processes.count), 1)


def learning_rate(recipe: Schedule, step: int) -> float:
    """Linear rise over `ramp` steps, then half a cosine to `final_rate` (paper Sec. 4.1)."""
    if step < recipe.ramp:
        return recipe.learning_rate * (step + 1) / recipe.ramp
    done = (step - recipe.ramp) / max(recipe.steps - recipe.ramp, 1)
    height = (math.cos(math.pi * done) + 1) / 2
    return recipe.final_rate + height * (recipe.learning_rate - recipe.final_rate)


@contextmanager
def _interrupts(stop: threading.Event, observer: Observer) -> Iterator[None]:
    """First Ctrl-C: finish the step, save, stop. Second: stop at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set signal handlers
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        observer.on_message(
            "interrupted: finishing what is at hand and saving; once more to stop at once"
        )

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
