"""The network: a coarse branch on resized pictures, a fine branch on the pictures themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bluref.degrade.warp import pixel_grid
from bluref.match.pdcnet.config import PDCNetConfig
from bluref.match.pdcnet.correlation import global_correlation, local_correlation
from bluref.match.pdcnet.gocor import GlobalGOCor, LocalGOCor
from bluref.match.pdcnet.layers import (
    LEAK,
    Decoder,
    PatchUncertainty,
    Refinement,
    ScoreUncertainty,
    Uncertainty,
    doubling,
    is_channels_last,
    side_by_side,
)
from bluref.match.pdcnet.mixture import Estimate, Spread
from bluref.match.pdcnet.pyramid import Pyramid, SmallPyramid, VGGPyramid, unit_length

# Strides of the levels in the picture of their branch.
STRIDE = {4: 16, 3: 8, 2: 8, 1: 4}
# Of the softmax over scores at first: a right match scores about 1, a wrong one about 0.
SHARPNESS = 10.0
BRANCH = {4: "coarse", 3: "coarse", 2: "fine", 1: "fine"}


@dataclass(frozen=True)
class Encoded:
    """What the network needs to know of a picture.

    Attributes:
        coarse: features of the picture resized to the coarse side, at strides 8 and 16.
        fine: features of the picture itself, at strides 4 and 8.
        size: its (height, width), multiples of 8.
    """

    coarse: Pyramid
    fine: Pyramid
    size: tuple[int, int]

    @property
    def count(self) -> int:
        """Pictures in the batch."""
        return len(self.fine[STRIDE[1]])

    def part(self, items: slice) -> "Encoded":
        """Some items of the batch."""
        coarse = {stride: f[items] for stride, f in self.coarse.items()}
        return Encoded(coarse, {stride: f[items] for stride, f in self.fine.items()}, self.size)


def joined(batches: Sequence[Encoded]) -> Encoded:
    """Several batches of pictures of one size as a single one.

    Raises:
        ValueError: their sizes differ.
    """
    sizes = {batch.size for batch in batches}
    if len(sizes) != 1:
        raise ValueError(f"sizes must be equal, got {sorted(sizes)}")
    first = batches[0]
    return Encoded(
        {stride: torch.cat([batch.coarse[stride] for batch in batches]) for stride in first.coarse},
        {stride: torch.cat([batch.fine[stride] for batch in batches]) for stride in first.fine},
        first.size,
    )


class Level(nn.Module):
    """One level: from scores and the flow so far to a better flow and its distribution.

    Args:
        config: sizes.
        number: 4 (coarsest) to 1.
    """

    def __init__(self, config: PDCNetConfig, number: int) -> None:
        super().__init__()
        widths, norm = config.decoder[number], config.norm
        if number == 4:
            scores = (config.coarse_side // STRIDE[4]) ** 2
            before = 0
        else:
            scores = (2 * config.radius + 1) ** 2
            before = 6  # flow, log-variances, logits
        features = 2 if number in (4, 1) else 0  # an empty map at 4, the decoder's before at 1
        self.decoder = Decoder(scores + before + features, widths, norm=norm)
        self.refinement: Refinement | None = None
        last = widths[-1]
        if number in config.refinement:
            refined, dilations = config.refinement[number]
            self.refinement = Refinement(last + 2, refined, dilations, norm=norm)
        self.of_scores = (
            ScoreUncertainty(scores, config.score_width)
            if config.patch is None
            else PatchUncertainty(config.patch, halve=number == 4, norm=norm)
        )
        self.uncertainty = Uncertainty(
            self.of_scores.OUTPUTS + last + before,
            3 if config.narrow[0] == config.narrow[1] else 4,
            config.uncertainty,
            norm=norm,
        )


class PDCNet(nn.Module):
    """Flow and its mixture distribution at four levels, from two encoded pictures.

    Levels 4 and 3 are in pixels of the coarse picture, 2 and 1 in those of the picture itself.

    Args:
        config: every size.
    """

    def __init__(self, config: PDCNetConfig) -> None:
        super().__init__()
        self.config = config
        self.pyramid = _pyramid(config)
        self.coarse_pyramid = _pyramid(config) if config.own_coarse_pyramid else None
        self.global_gocor = GlobalGOCor(self.pyramid.channels[16], steps=config.global_steps)
        self.local_gocor = LocalGOCor(radius=config.radius)
        self.levels = nn.ModuleDict({str(n): Level(config, n) for n in (4, 3, 2, 1)})
        self.double_coarse = doubling()
        self.double_fine = doubling()
        self.double_features = nn.ConvTranspose2d(config.decoder[2][-1], 2, 4, stride=2, padding=1)
        if config.soft_argmax:
            self.log_sharpness = nn.Parameter(torch.tensor(SHARPNESS).log())
        self.spread = {
            branch: Spread(config.narrow, config.least, most**2)
            for branch, most in config.most.items()
        }

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Encoded:
        """Features of a picture.

        Args:
            image: RGB in [0, 1]; sides are multiples of 8.
        """
        size = (image.shape[-2], image.shape[-1])
        side = self.config.coarse_side
        image = self.pyramid.normalised(image)
        small = F.interpolate(image, (side, side), mode="area")
        pyramid = self.pyramid if self.coarse_pyramid is None else self.coarse_pyramid
        coarse, fine = pyramid(small), self.pyramid(image)
        return Encoded({s: coarse[s] for s in (8, 16)}, {s: fine[s] for s in (4, 8)}, size)

    def forward(
        self,
        target: Encoded,
        reference: Encoded,
        disturbance: Float[Tensor, "b 2 _ _"] | None = None,
    ) -> Mapping[int, Estimate]:
        """Where each target pixel is seen in the reference, by level: {4: ..., 1: ...}.

        Args:
            target: what is to be matched.
            reference: what it is matched with: as many pictures, or several times as many, where
                the targets stand for as many batches of references, one after the other.
            disturbance: pixels, on a grid of any size over the picture: added to what the coarse
                branch found. In training, it teaches the fine branch to mend larger errors than
                small pictures let the coarse one make.

        Raises:
            ValueError: the two pictures differ in size, or the numbers do not fit.
        """
        if target.size != reference.size:
            raise ValueError(f"sizes must be equal, got {target.size} and {reference.size}")
        if reference.count % target.count:
            raise ValueError(f"{reference.count} references do not fit {target.count} targets")
        found: dict[int, Estimate] = {}
        found[4], _ = self._mapping(target.coarse[16], reference.coarse[16])
        before = _doubled(found[4], self.double_coarse)
        found[3], _ = self._local(3, target.coarse[8], reference.coarse[8], before)
        before = _enlarged(found[3], target.size, self.config.coarse_side)
        if disturbance is not None:
            before = _disturbed(before, disturbance)
        found[2], features = self._local(2, target.fine[8], reference.fine[8], before)
        before = _doubled(found[2], self.double_fine)
        extra = self.double_features(features)
        found[1], _ = self._local(1, target.fine[4], reference.fine[4], before, extra)
        return found

    def _mapping(
        self, target: Float[Tensor, "b c h w"], reference: Float[Tensor, "n c h w"]
    ) -> tuple[Estimate, Tensor]:
        """Level 4: a global search that needs no flow to start from."""
        level: Level = self.levels["4"]  # type: ignore[assignment]
        dtype = self.double_coarse.weight.dtype
        target = _several(target, len(reference) // len(target))
        target, reference = unit_length(target.to(dtype)), unit_length(reference.to(dtype))
        with _exactly(target):
            # The filters' 2 x 2 system is nearly singular: it cannot be solved in half precision.
            scores = self.global_gocor(target, reference)
        expected = self._expected(scores, (reference.shape[-2], reference.shape[-1]))
        scores = F.leaky_relu(scores, LEAK)
        empty = torch.zeros_like(scores[:, :2])
        features, mapping = level.decoder(side_by_side(scores, empty))
        mapping = mapping.to(dtype) + expected
        h, w = mapping.shape[-2:]
        # The decoder gives places in [-1, 1], the ends being the centres of the outermost cells.
        half = mapping.new_tensor([w - 1, h - 1]).view(1, 2, 1, 1) / 2
        flow = ((mapping + 1) * half - pixel_grid(h, w, mapping)) * STRIDE[4]
        plain = level.of_scores(unit_length(F.relu(global_correlation(target, reference))))
        return self._estimate(4, flow, level.uncertainty(plain, features)), features

    def _expected(
        self, scores: Float[Tensor, "b o h w"], size: tuple[int, int]
    ) -> Float[Tensor, "b 2 h w"] | float:
        """Mean place in [-1, 1] under the softmax of the scores; 0 where that is not wanted."""
        if not self.config.soft_argmax:
            return 0.0
        rows, columns = (torch.linspace(-1, 1, side).to(scores) for side in size)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        places = torch.stack((x.flatten(), y.flatten()))  # 2 o
        shares = (scores * self.log_sharpness.exp()).softmax(dim=1)
        return torch.einsum("kc,bchw->bkhw", places, shares)

    def _local(
        self,
        number: int,
        target: Float[Tensor, "b c h w"],
        reference: Float[Tensor, "n c h w"],
        before: Estimate,
        *extra: Float[Tensor, "n 2 h w"],
    ) -> tuple[Estimate, Tensor]:
        """Levels 3 to 1: a search around where the level before points."""
        level: Level = self.levels[str(number)]  # type: ignore[assignment]
        warped = _warp_features(reference, before.flow / STRIDE[number])
        each = _several(target, len(warped) // len(target))
        plain = local_correlation(each, warped, self.config.radius)
        steps = self.config.local_steps[number]
        scores = self.local_gocor(target, warped, steps=steps) if steps else plain
        scores = F.leaky_relu(scores, LEAK)
        shown = before.flow
        if self.config.relative_flow and BRANCH[number] == "fine":
            shown = shown - shown.mean(dim=(2, 3), keepdim=True)
        known = side_by_side(scores, shown, *extra, before.uncertainty)
        features, residual = level.decoder(known)
        flow = before.flow + residual
        if level.refinement is not None:
            refined, correction = level.refinement(side_by_side(features, shown + residual))
            flow = flow + correction
            features = features + refined
        told = level.uncertainty(level.of_scores(plain), features, before.uncertainty, shown)
        return self._estimate(number, flow, told), features

    def _estimate(self, number: int, flow: Tensor, told: Tensor) -> Estimate:
        told = told.to(flow.dtype)
        spread = self.spread[BRANCH[number]]
        narrow = None if spread.fixed else told[:, 3:]
        log_variance = spread.log_variances(told[:, :1], narrow)
        return Estimate(flow, log_variance, told[:, 1:3])


def _pyramid(config: PDCNetConfig) -> VGGPyramid | SmallPyramid:
    return VGGPyramid() if config.pyramid is None else SmallPyramid(config.pyramid)


def _doubled(estimate: Estimate, doubling: nn.ConvTranspose2d) -> Estimate:
    """At twice the resolution, in the same unit of length."""
    told = F.interpolate(estimate.uncertainty, scale_factor=2, mode="bilinear", align_corners=False)
    with _exactly(estimate.flow):
        # In half precision a flow of 100 pixels would be off by a quarter of one.
        flow = doubling(estimate.flow)
    return Estimate(flow, told[:, :2], told[:, 2:])


def _exactly(like: Tensor) -> torch.autocast:
    """Without autocast."""
    return torch.autocast(like.device.type, enabled=False)


def _enlarged(estimate: Estimate, size: tuple[int, int], side: int) -> Estimate:
    """From the coarse branch to the fine one: in pixels of the picture of that size."""
    h, w = size
    scale = estimate.flow.new_tensor([w / side, h / side]).view(1, 2, 1, 1)
    both = torch.cat((estimate.flow, estimate.uncertainty), dim=1)
    cells = (h // STRIDE[2], w // STRIDE[2])
    both = F.interpolate(both, cells, mode="bilinear", align_corners=False)
    return Estimate(both[:, :2] * scale, both[:, 2:4], both[:, 4:])


def _disturbed(estimate: Estimate, disturbance: Float[Tensor, "b 2 _ _"]) -> Estimate:
    """With a flow that is off by what is given."""
    cells = (estimate.flow.shape[-2], estimate.flow.shape[-1])
    error = F.interpolate(disturbance, cells, mode="bicubic", align_corners=False)
    return Estimate(estimate.flow + error, estimate.log_variance, estimate.logits)


def _warp_features(
    features: Float[Tensor, "b c h w"], flow: Float[Tensor, "b 2 h w"]
) -> Float[Tensor, "b c h w"]:
    """Sample features at p + flow(p), flow in cells; zero outside, as the correlation's is.

    Apart from `degrade.warp` in what lies outside: there a repeated edge, here nothing.
    """
    h, w = features.shape[-2:]
    at = pixel_grid(h, w, flow) + flow
    x = 2 * at[:, 0] / max(w - 1, 1) - 1
    y = 2 * at[:, 1] / max(h - 1, 1) - 1
    grid = torch.stack((x, y), dim=-1)
    warped = F.grid_sample(features, grid, padding_mode="zeros", align_corners=True)
    layout = torch.channels_last if is_channels_last(features) else torch.contiguous_format
    return warped.contiguous(memory_format=layout)


def _several(features: Float[Tensor, "b c h w"], times: int) -> Float[Tensor, "n c h w"]:
    """The batch several times over."""
    return features if times == 1 else torch.cat([features] * times)
