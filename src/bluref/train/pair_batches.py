"""Batches from pairs that another run made: a student, of any size, on the same loop."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.frames.crops import Crop
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.train.batches import Batch, Drawing, draw

Image = Float[Tensor, "1 3 h w"]


@dataclass(frozen=True)
class PairBatches:
    """Blurry frames with their pseudo-sharp versions, the loss weighed by trust.

    Attributes:
        samples: as `found_pairs.find_pairs` gives them.
        store: where pictures are read from.
        drawing: how items are drawn; the same crops as the other batches draw.
    """

    samples: Sequence[Sample]
    store: FrameStore
    drawing: Drawing

    def __call__(self, step: int) -> Batch:
        """The batch of this step."""
        drawn = [
            draw(generator, self.samples, self.store, self.drawing.crop)
            for generator in self.drawing.generators(step)
        ]
        blurry = torch.cat([self.store.cut(sample.blurry, crop) for sample, crop in drawn])
        sharp, trust = zip(
            *(paired(self.store, sample, crop) for sample, crop in drawn), strict=True
        )
        return Batch(blurry, torch.cat(sharp), torch.cat(trust))


def paired(store: FrameStore, sample: Sample, crop: Crop) -> tuple[Image, Float[Tensor, "1 1 h w"]]:
    """The sharp version of a box of a pair, and the trust in it."""
    sharp, trust = sample.references
    return store.cut(sharp, crop), store.cut(trust, crop)[:, :1]
