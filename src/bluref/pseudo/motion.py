"""The motion of footage: what the matcher finds between a frame and its neighbours in time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from bluref.degrade.motion import Motion
from bluref.frames.clip import Frame
from bluref.frames.crops import Crop
from bluref.frames.references import Sample
from bluref.pseudo.bank import Bank, BlurryItself
from bluref.pseudo.compact import DenseMatches, expand


@dataclass(frozen=True)
class FootageMotion:
    """Motion around frames, matched once and kept in a bank of its own.

    Attributes:
        samples: frames with the neighbours that they are matched with, the earlier first
            (`frames.neighbours.with_neighbours`).
        bank: where matches are kept.
    """

    samples: Sequence[Sample]
    bank: Bank

    @cached_property
    def _by_frame(self) -> dict[Frame, Sample]:
        return {sample.blurry: sample for sample in self.samples}

    def sample(self, frame: Frame) -> Sample | None:
        """The frame with its neighbours; None if it has none."""
        return self._by_frame.get(frame)

    def find(self, *, tell: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Match what is not matched yet.

        Args:
            tell: called with (done, all).

        Raises:
            UserError: neighbours differ in size, or the disk is full.
        """
        self.bank.refresh(0, self.samples, BlurryItself(), tell=tell)

    def around(self, sample: Sample, crop: Crop) -> tuple[Motion, Float[Tensor, "1 1 h w"]]:
        """Motion inside a box of the sample's frame, flips applied, and how far to believe it.

        A frame that has but one neighbour moves as steadily on the other side.

        Returns:
            motion per frame interval, and the smaller confidence of the two matches.

        Raises:
            UserError: the match is not there, `find` was not called.
        """
        dense = expand(self.bank.matches(0, sample), crop)
        steps = [frame.index - sample.blurry.index for frame in sample.references]
        fields = [_flipped(dense.flow[n : n + 1] / abs(step), crop) for n, step in enumerate(steps)]
        if len(fields) == 1:
            fields = [fields[0], -fields[0]] if steps[0] < 0 else [-fields[0], fields[0]]
        return Motion(fields[0], fields[1]), crop.flip(_least(dense))


def _least(dense: DenseMatches) -> Float[Tensor, "1 1 h w"]:
    return dense.confidence.amin(dim=0, keepdim=True)


def _flipped(flow: Float[Tensor, "1 2 h w"], crop: Crop) -> Float[Tensor, "1 2 h w"]:
    """The field as the flipped crop shows it: vectors turn with the picture."""
    signs = flow.new_tensor((-1.0 if crop.mirror else 1.0, -1.0 if crop.upend else 1.0))
    return crop.flip(flow) * signs.view(1, 2, 1, 1)
