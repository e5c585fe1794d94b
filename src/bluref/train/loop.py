"""The one training loop: BluRef, its warm start, the supervised bound and students all run here."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch
from torch import nn

from bluref.errors import UserError
from bluref.train import checkpoint
from bluref.train.average import move_average
from bluref.train.batches import Batch
from bluref.train.losses import masked_loss
from bluref.train.metrics import MetricsFile, describe
from bluref.train.observe import Observer
from bluref.train.recipe import Recipe
from bluref.train.source import Source


class _Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """A refresh was left half way, since a person asked for it."""


@dataclass
class Trainer:
    """All that changes while training, and how one step changes it.

    Attributes:
        recipe: every choice.
        state: network, averaged copy, optimizer.
        source: batch of a step.
        folder: the run folder.
        metrics: its metrics.csv.
        observer: who watches.
        use_bf16: autocast to bfloat16.
        snapshot: makes a picture of where training stands.
        step: steps done.
    """

    recipe: Recipe
    state: checkpoint.State
    source: Source
    folder: Path
    metrics: MetricsFile
    observer: Observer
    use_bf16: bool
    snapshot: Callable[[int, nn.Module], None]
    step: int = 0
    _round: int | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> bool:
        """Train until the recipe's last step, or until interrupted; save in either case.

        Ctrl-C finishes the step, or the frame that is being matched, saves and returns; a second
        one stops at once.

        Returns:
            whether the last step was reached.
        """
        started = time.monotonic() - self.metrics.seconds
        with _interrupts(self._stop, self.observer), ThreadPoolExecutor(1) as pool:
            ahead: Future[Batch] | None = None
            while self.step < self.recipe.steps and not self._stop.is_set():
                try:
                    self._renew()
                except _Interrupted:
                    break
                batch = self.source(self.step) if ahead is None else ahead.result()
                # A batch is a function of its step: it is made while the one before is learnt from.
                ahead = pool.submit(self.source, self.step + 1) if self._may_look_ahead() else None
                loss, output = self.update(batch)
                self.step += 1
                self.observer.on_step(self.step, loss)
                if self._every(self.recipe.log_every):
                    self._log(batch, output, loss, time.monotonic() - started)
                if self._every(self.recipe.snapshot_every):
                    self.snapshot(self.step, self.state.average)
                if self._every(self.recipe.save_every):
                    self.save()
            self.save()
        return self.step >= self.recipe.steps

    def update(self, batch: Batch) -> tuple[float, torch.Tensor]:
        """One optimizer step; returns the loss and the network's output on the batch.

        Raises:
            UserError: the loss or its gradient is not finite; names the step.
        """
        model, optimizer = self.state.model, self.state.optimizer
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step)
        blurry = batch.blurry.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.use_bf16):
            output = model(blurry)
        output = output.float()
        loss = masked_loss(
            output,
            batch.target,
            batch.weight,
            kind=self.recipe.loss,
            min_coverage=self.recipe.min_coverage,
        )
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
        return loss.item(), output.detach()

    def save(self) -> None:
        """Write the checkpoint `last`."""
        checkpoint.save(
            self.folder / "last",
            self.state,
            training_size=self.recipe.crop,
            meta={"step": self.step, "seed": self.recipe.seed, "steps": self.recipe.steps},
        )

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
                raise _Interrupted  # what is matched stays, a resumed run matches the rest

        self.source.renew(round_, self.state.average, tell)
        self._round = round_

    def _may_look_ahead(self) -> bool:
        """Whether there is a next step, and it learns from targets that stand already."""
        next_ = self.step + 1
        return next_ < self.recipe.steps and self.source.round_at(next_) == self._round

    def _every(self, steps: int) -> bool:
        return self.step % steps == 0

    def _log(self, batch: Batch, output: torch.Tensor, loss: float, seconds: float) -> None:
        row: dict[str, float | str] = {
            "step": str(self.step),
            "phase": self.source.phase(self.step - 1),
            "round": "" if self._round is None else str(self._round),
            "loss": loss,
            "learning_rate": learning_rate(self.recipe, self.step - 1),
            **describe(batch, output.clamp(0, 1)),
            "seconds": seconds,
        }
        self.metrics.add(row)
        self.observer.on_metrics(row)


def learning_rate(recipe: Recipe, step: int) -> float:
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
