"""What a run tells whoever watches it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from bluref.match.pairs import Pairs


@dataclass(frozen=True)
class Snapshot:
    """The same few crops at one moment of training.

    Attributes:
        step: steps done.
        blurry: the network's input.
        target: pseudo-sharp target; black during the warm start, when there is none.
        trust: its weight.
        output: what the averaged network makes of `blurry`.
    """

    step: int
    blurry: Float[Tensor, "b 3 h w"]
    target: Float[Tensor, "b 3 h w"]
    trust: Float[Tensor, "b 1 h w"]
    output: Float[Tensor, "b 3 h w"]


class Observer:
    """Watches a run; nothing it does changes the result. Override what is of interest."""

    def on_start(self, folder: Path, step: int, steps: int) -> None:
        """The run begins, or goes on, at `step`."""

    def on_check(self, what: str, done: int, total: int) -> None:
        """The footage is being looked at before anything else; `what` says how."""

    def on_prepare(self, done: int, total: int) -> None:
        """Frames are being decoded."""

    def on_references(self, done: int, total: int) -> None:
        """References are being chosen by what they show."""

    def on_motion(self, done: int, total: int) -> None:
        """Frames are being matched with their neighbours."""

    def on_exposure(self, done: int, total: int) -> None:
        """How long the shutter was open is being found."""

    def on_hold_out(self, done: int, total: int) -> None:
        """Frames held back are being matched."""

    def on_refresh(self, round_: int, done: int, total: int) -> None:
        """Targets are being renewed."""

    def on_export(self, done: int, total: int) -> None:
        """Pairs are being made of the targets."""

    def on_step(self, step: int, loss: float) -> None:
        """`step` steps are done."""

    def on_metrics(self, row: Mapping[str, float | str]) -> None:
        """A row was added to metrics.csv."""

    def on_validation(self, step: int, columns: Mapping[str, float], best: bool) -> None:
        """Frames held back were looked at; `best` if never before did they look as good."""

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """A picture of where training stands."""

    def on_pairs(self, pairs: Pairs) -> None:
        """What a matcher is going to learn from: pairs to be looked at before hours are spent."""

    def on_draw(self) -> None:
        """It is time to draw the curves anew."""

    def on_message(self, text: str) -> None:
        """Something a person should read."""

    def on_end(self, folder: Path) -> None:
        """The run is over, finished or interrupted; its files are complete."""
