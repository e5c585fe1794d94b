"""The task of the deblurring networks: bring the output near the target where it is trusted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bluref.restore.files import load_network, save_network
from bluref.train.batches import Batch
from bluref.train.losses import masked_loss
from bluref.train.metrics import describe
from bluref.train.processes import Alone, Processes
from bluref.train.recipe import Recipe


@dataclass(frozen=True)
class Deblurring:
    """From the blurry crop to the target, which may speak in places only (paper Eq. 3).

    Attributes:
        kind: of loss: `l1`, `l2` or `psnr`.
        min_coverage: share of a crop that references must cover, or it does not count.
        use_bf16: autocast to bfloat16.
        reblur: weight of re-blur consistency, for batches that know how they came to be blurry.
        processes: who else learns from a part of each batch, and where to compute.
        weighted: each pixel counts by the trust in its target; else as M of Sec. 3.4, by whether
            there is any.
    """

    kind: str
    min_coverage: float
    use_bf16: bool
    reblur: float = 0.0
    processes: Processes = field(default_factory=Alone)
    weighted: bool = True

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Masked loss, and the network's output."""
        device = self.processes.device
        blurry = batch.blurry.to(device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.use_bf16):
            output = model(blurry)
        output = output.float()
        loss = masked_loss(
            output,
            batch.target.to(device),
            (batch.weight if self.weighted else (batch.weight > 0).float()).to(device),
            kind=self.kind,
            min_coverage=self.min_coverage,
            mean=self.processes.mean,
        )
        if batch.reblur is not None and self.reblur:
            own = len(output) - batch.synthetic
            blurred = batch.reblur.to(device)
            silent = 1 - batch.weight[:own].to(device)  # elsewhere the target knows better
            consistency = blurred.loss(output[:own], blurry[:own], silent, mean=self.processes.mean)
            loss = loss + self.reblur * consistency
        return loss, output.detach().cpu()

    def describe(self, batch: Batch, seen: Tensor) -> dict[str, float]:
        """Coverage, trust, agreement, drift, and the truth where there is one."""
        return describe(batch, seen.clamp(0, 1))


def deblurring_of(recipe: Recipe, processes: Processes, *, use_bf16: bool) -> Deblurring:
    """The task as a recipe has it."""
    return Deblurring(
        recipe.loss,
        recipe.min_coverage,
        use_bf16,
        recipe.reblur,
        processes,
        weighted=recipe.weighted,
    )


@dataclass(frozen=True)
class DeblurringFiles:
    """Deblurring networks on disk.

    Attributes:
        training_size: side of the training crops in pixels, for local pooling at test time.
    """

    training_size: int

    def save(self, model: nn.Module, folder: Path, meta: Mapping[str, Any]) -> None:
        """Write the network."""
        save_network(model, folder, training_size=self.training_size, meta=dict(meta))

    def load(self, folder: Path) -> nn.Module:
        """Read it."""
        return load_network(folder).model
