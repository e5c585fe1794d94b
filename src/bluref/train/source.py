"""Where batches come from at each step: the curriculum of warm start and rounds of targets."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bluref.errors import UserError
from bluref.frames.references import Sample
from bluref.pseudo.bank import Bank, BlurryItself, Teacher
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.files import load_network, save_network
from bluref.train.batches import Batch, BatchAt, PseudoBatches
from bluref.train.loop import Interrupted, TellRefresh
from bluref.train.processes import Alone, Processes

TEACHER = "teacher"
"""The folder, in that of a round, of the network that its frames were deblurred by."""


@dataclass(frozen=True)
class FixedPairs:
    """Pairs that do not change all the way: true ones, the upper bound, or those of another run.

    Attributes:
        batches: of them.
        name: of the only phase.
        anchor: synthetic pairs that follow the items of each of those batches, if any.
    """

    batches: BatchAt
    name: str = "supervised"
    anchor: BatchAt | None = None

    def phase(self, step: int) -> str:
        """Always the same."""
        return self.name

    def round_at(self, step: int) -> int | None:
        """There are no rounds."""
        return None

    def renew(self, round_: int, average: nn.Module, tell: TellRefresh) -> None:
        """Nothing is renewed."""

    def __call__(self, step: int) -> Batch:
        """The batch of this step."""
        batch = self.batches(step)
        return batch if self.anchor is None else batch.anchored(self.anchor(step))


@dataclass
class Curriculum:
    """Warm start on synthetic blur, then rounds of pseudo-sharp targets (paper Sec. 3.1).

    The targets of round k are matched on what the averaged network makes of the blurry frames at
    the step where the round begins; those of round 0 on the blurry frames themselves if there was
    no warm start and no network to begin with.

    Attributes:
        warm: batches of the warm start.
        pseudo: batches from the bank.
        anchor: synthetic pairs that follow the items of each of those batches, if any.
        warm_start: number of warm steps.
        refresh_every: steps per round.
        training_size: side of the crops in pixels, for local pooling in the refresh; None for none.
        processes: who shares the refresh, and where the teacher computes.
        taught: the network has learnt to deblur before it begins, so that it teaches from the first
            round on; otherwise the blurry frames themselves are matched in a round without a warm
            start before it (paper Sec. 3.1).
    """

    warm: BatchAt
    pseudo: PseudoBatches
    anchor: BatchAt | None
    warm_start: int
    refresh_every: int
    training_size: int | None
    processes: Processes = field(default_factory=Alone)
    taught: bool = False

    @property
    def bank(self) -> Bank:
        """Where targets are kept."""
        return self.pseudo.bank

    @property
    def samples(self) -> Sequence[Sample]:
        """What is learnt from."""
        return self.pseudo.samples

    def phase(self, step: int) -> str:
        """`warm`, then `pseudo`."""
        return "warm" if step < self.warm_start else "pseudo"

    def round_at(self, step: int) -> int | None:
        """Rounds begin with the first step after the warm start."""
        if step < self.warm_start:
            return None
        return (step - self.warm_start) // self.refresh_every

    def renew(self, round_: int, average: nn.Module, tell: TellRefresh) -> None:
        """Match anew on the averaged network's output; what is on disk already is kept.

        Several processes share the frames; the round stands when all of them are done.
        """
        rank, count = self.processes.rank, self.processes.count
        with self.processes.first_goes_first():
            teacher = self._teacher(round_, average)
        try:
            self.bank.refresh(
                round_,
                self.samples[rank::count],
                teacher,
                tell=lambda done, total: tell(round_, done, total),
            )
        except Exception:
            self.processes.any(True)  # or the others would wait for ever
            raise
        if self.processes.any(False):
            raise Interrupted
        if rank == 0:
            self.bank.forget(before=round_)
        self.pseudo = replace(self.pseudo, round=round_)

    def __call__(self, step: int) -> Batch:
        """The batch of this step."""
        if step < self.warm_start:
            return self.warm(step)
        batch = self.pseudo(step)
        return batch if self.anchor is None else batch.anchored(self.anchor(step))

    def _teacher(self, round_: int, average: nn.Module) -> Teacher:
        """The network as it was when the round began.

        It is kept with the round: a run that resumes in the middle can make up for lost entries.
        """
        if round_ == 0 and self.warm_start == 0 and not self.taught:
            return BlurryItself()
        folder = self.bank.round_folder(round_) / TEACHER
        try:
            load_network(folder)
        except UserError:  # not there yet, or torn
            save_network(average, folder, training_size=self.training_size, meta={"round": round_})
        return SavedTeacher(folder, device=self.processes.device)


class SavedTeacher:
    """A network in a folder, as a teacher.

    Args:
        folder: of the network.
        device: where it computes.

    Raises:
        UserError: there is none, or it is damaged.
    """

    def __init__(self, folder: Path, *, device: str | torch.device = "cpu") -> None:
        self._deblur = Deblurrer.from_pretrained(folder, device=device)
        self.identity = (folder / "model.json").read_text("utf-8")

    def __call__(self, image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 h w"]:
        """Deblur one picture."""
        return self._deblur(image)
