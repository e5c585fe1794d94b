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

    def size(self, sample: Sample) -> tuple[int, int]:
        """Height and width of its frame."""
        return self.bank.store.size(sample.blurry)

    @cached_property
    def _intervals(self) -> dict[str, int]:
        """The smallest step between frame numbers of each clip: it may keep every k-th frame."""
        steps: dict[str, int] = {}
        for sample in self.samples:
            for frame in sample.references:
                step = abs(frame.index - sample.blurry.index)
                steps[frame.clip] = min(step, steps.get(frame.clip, step))
        return steps

    def find(
        self,
        *,
        first: int = 0,
        every: int = 1,
        tell: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Match what is not matched yet.

        Args:
            first: sample to begin with, where others match those before it.
            every: how many share the work, each taking every so many samples.
            tell: called with (done, all).

        Raises:
            UserError: neighbours differ in size, or the disk is full.
        """
        samples = self.samples[first::every]
        self.bank.store.prepare(frame for s in samples for frame in (s.blurry, *s.references))
        self.bank.refresh(0, samples, BlurryItself(), tell=tell)

    def around(self, sample: Sample, crop: Crop) -> tuple[Motion, Float[Tensor, "1 1 h w"]]:
        """Motion inside a box of the sample's frame, flips applied, and how far to believe it.

        A frame that has but one neighbour moves as steadily on the other side. An interval is the
        smallest step between two frames of the clip.

        Returns:
            motion per frame interval, and the smaller confidence of the two matches.

        Raises:
            UserError: the match is not there, `find` was not called.
        """
        dense = expand(self.bank.matches(0, sample), crop)
        interval = self._intervals[sample.blurry.clip]
        steps = [(frame.index - sample.blurry.index) / interval for frame in sample.references]
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
