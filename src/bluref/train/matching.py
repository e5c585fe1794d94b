"""The task of the matchers: make the true flow likely, at every level (PDC-Net+, Sec. 3.5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from bluref.match.files import load_matcher, save_matcher
from bluref.match.pairs import Pairs
from bluref.match.pdcnet.mixture import Estimate, negative_log_likelihood, probability_within
from bluref.match.pdcnet.network import BRANCH, PDCNet

COLUMNS = ("valid", "epe", "epe_coarse", "epe_zero", "pck1", "p1")


@dataclass(frozen=True)
class Lesson:
    """What one step learns from.

    Attributes:
        pairs: with their true flow.
        disturbance: pixels; what the coarse flow of each pair is put off by, on a coarse grid.
    """

    pairs: Pairs
    disturbance: Float[Tensor, "b 2 r c"]


@dataclass(frozen=True)
class Matching:
    """Negative log-likelihood of the true flow, summed over the valid cells of every level.

    Attributes:
        weights: of levels 4, 3, 2, 1.
        device: where the network is.
        use_bf16: autocast to bfloat16.
    """

    weights: Sequence[float]
    device: torch.device
    use_bf16: bool

    def loss(self, model: nn.Module, batch: Lesson) -> tuple[Tensor, Mapping[int, Estimate]]:
        """Sum over valid cells, mean over the batch, weighted sum over levels."""
        pairs, disturbance = batch.pairs.to(self.device), batch.disturbance.to(self.device)
        size = (pairs.target.shape[-2], pairs.target.shape[-1])
        both = torch.cat((pairs.target, pairs.reference))
        both = both.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.use_bf16):
            found = model(both, disturbance)
        total = both.new_zeros(())
        for level, weight in zip((4, 3, 2, 1), self.weights, strict=True):
            estimate = found[level].to_float()
            unit = model_side(model) if BRANCH[level] == "coarse" else None
            flow, valid = truth_at(pairs, estimate.flow, unit, size)
            likelihood = negative_log_likelihood(estimate, flow) * valid
            total = total + weight * likelihood.sum() / len(flow)
        return total, {level: found[level].to_float() for level in (4, 1)}

    def describe(self, batch: Lesson, seen: Mapping[int, Estimate]) -> dict[str, float]:
        """Errors of the flow in pixels, and how likely the network held it to be within one."""
        pairs = batch.pairs.to(self.device)
        h, w = pairs.target.shape[-2:]
        fine, coarse = seen[1], seen[4]
        flow, valid = truth_at(pairs, fine.flow, None, (h, w))
        distance = (fine.flow - flow).norm(dim=1, keepdim=True)[valid]
        rough, rough_valid = truth_at(pairs, coarse.flow, coarse.flow.shape[-1] * 16, (h, w))
        scale = w / (coarse.flow.shape[-1] * 16)
        return {
            "valid": valid.float().mean().item(),
            "epe": distance.mean().item(),
            "epe_coarse": (coarse.flow - rough).norm(dim=1)[rough_valid[:, 0]].mean().item()
            * scale,
            "epe_zero": flow.norm(dim=1, keepdim=True)[valid].mean().item(),
            "pck1": (distance <= 1).float().mean().item(),
            "p1": probability_within(fine, 1.0)[valid].mean().item(),
        }


class Siamese(nn.Module):
    """A PDC-Net on targets and references that come as one batch, half and half."""

    def __init__(self, network: PDCNet) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, both: Float[Tensor, "b2 3 h w"], disturbance: Float[Tensor, "b 2 r c"]
    ) -> Mapping[int, Estimate]:
        """The first half of the batch are targets, the second their references."""
        encoded = self.network.encode(both)
        half = len(both) // 2
        found: Mapping[int, Estimate] = self.network(
            encoded.part(slice(0, half)), encoded.part(slice(half, None)), disturbance
        )
        return found


def model_side(model: nn.Module) -> int:
    """Side of the coarse branch's pictures."""
    inner = getattr(model, "module", model)  # as a process group wraps it
    if not isinstance(inner, Siamese):
        raise TypeError(f"need a Siamese PDCNet, got {type(inner).__name__}")
    return inner.network.config.coarse_side


def truth_at(
    pairs: Pairs, like: Float[Tensor, "b 2 r c"], unit: int | None, size: tuple[int, int]
) -> tuple[Float[Tensor, "b 2 r c"], Bool[Tensor, "b 1 r c"]]:
    """The true flow at the centres of a level's cells, and where it is known.

    Args:
        pairs: hold it in pixels of the crop.
        like: flow of the level; tells the number of cells.
        unit: side of the coarse picture, in whose pixels the flow is wanted; None for the crop's.
        size: (height, width) of the crop.
    """
    cells = like.shape[-2:]
    both = torch.cat((pairs.flow, pairs.valid.float()), dim=1)
    both = F.interpolate(both, tuple(cells), mode="bilinear", align_corners=False)
    flow, valid = both[:, :2], both[:, 2:] > 0.999
    if unit is not None:
        flow = flow * flow.new_tensor([unit / size[1], unit / size[0]]).view(1, 2, 1, 1)
    return flow, valid


@dataclass(frozen=True)
class MatcherFiles:
    """Matchers on disk."""

    def save(self, model: nn.Module, folder: Path, meta: Mapping[str, Any]) -> None:
        """Write the network."""
        save_matcher(model.network, folder, meta=meta)  # type: ignore[arg-type]

    def load(self, folder: Path) -> nn.Module:
        """Read it."""
        return Siamese(load_matcher(folder).network)
