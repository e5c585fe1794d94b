"""GOCor: correlation with filters that are optimised to tell each feature from its surroundings.

A plain correlation compares features as they are. GOCor turns each target feature into a filter w,
and improves the filters by a few steps of steepest descent before they are correlated with the
reference: a filter should answer to its own place and not to look-alikes around it (Truong et al.,
"GOCor", NeurIPS 2020, Secs. 3.2 to 3.4). With scores s = w . f over the target's own features, the
first term of the objective is

    |v (sigma(s; m) - y)|^2,    sigma(s; m) = s where s > 0, m s elsewhere,

in which y (what to answer), v (how much it matters) and m (whether negative answers count) are
learned functions of the distance to the filter's place.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bluref.match.pdcnet.correlation import combine, products, tiling_of

# Distances are described by triangular bins this many cells apart, the last one open.
BINS = 10
SPACING = 0.5

# Added to the global objective's curvature: keeps steps short where it is nearly flat.
STEP_DAMPING = 0.1


class DistanceFunctions(nn.Module):
    """The learned functions y, v and m of distance: piecewise linear over triangular bins.

    They start as y = exp(-d^2 / 2), v = 1, m = sigmoid(4 tanh(2 - d)).
    """

    def __init__(self) -> None:
        super().__init__()
        d = torch.arange(BINS) * SPACING
        bell = torch.exp(-d.square() / 2)
        self.label = nn.Parameter(bell - bell.min())
        self.weight = nn.Parameter(torch.ones(BINS))
        self.mask_logit = nn.Parameter(4 * torch.tanh(2 - d))

    def forward(
        self, distance: Float[Tensor, "*places"]
    ) -> tuple[Float[Tensor, "*places"], Float[Tensor, "*places"], Float[Tensor, "*places"]]:
        """(y, v^2, m) at each distance in cells."""
        at = distance[..., None] / SPACING
        bins = torch.arange(BINS, device=distance.device, dtype=distance.dtype)
        share = (1 - (at - bins).abs()).clamp(min=0)
        beyond = (1 + at[..., 0] - bins[-1]).clamp(0, 1)
        share = torch.cat((share[..., :-1], beyond[..., None]), dim=-1)
        label, weight, logit = (
            (share * values).sum(dim=-1) for values in (self.label, self.weight, self.mask_logit)
        )
        return label, weight.square(), logit.sigmoid()


class SteepestDescent(nn.Module):
    """What both kinds of GOCor share: the reference term, its derivatives, and the step length."""

    def __init__(self) -> None:
        super().__init__()
        self.distance_functions = DistanceFunctions()
        self.log_step = nn.Parameter(torch.zeros(1))
        self.regularisation = nn.Parameter(torch.tensor([1e-2]))

    def residual(
        self, scores: Tensor, label: Tensor, weight: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """v^2 sigma' (sigma(s) - y), whose correlation with the features is the gradient; v sigma'.

        The slope of sigma at zero is the mean of its two sides.
        """
        low, high = (1 - mask) / 2, (1 + mask) / 2
        slope = high + low * scores.sign()
        return weight * slope * (slope * scores - label), weight.sqrt() * slope


class GlobalGOCor(SteepestDescent):
    """GOCor over the whole picture, with the query term: one filter per target cell.

    The query term |R (w . g)|^2, g the reference's features, asks for smooth correspondences: R is
    a learned convolution of the four-dimensional volume of scores, 3 x 3 over the reference's
    places followed by 3 x 3 over the target's.

    Args:
        channels: of the features.
        steps: of steepest descent.
        inner: channels within and after R.
    """

    def __init__(self, channels: int, *, steps: int = 3, inner: int = 16) -> None:
        super().__init__()
        self.steps = steps
        self.foreground = nn.Parameter(torch.ones(channels))
        self.background = nn.Parameter(torch.zeros(channels))
        self.over_reference = nn.Parameter(torch.randn(inner, 1, 3, 3) / 30)
        self.over_target = nn.Parameter(torch.randn(inner, inner, 3, 3) / 30)

    def forward(
        self, target: Float[Tensor, "b c h w"], reference: Float[Tensor, "b c H W"]
    ) -> Float[Tensor, "b o h w"]:
        """Scores of every reference place (o = H W, row by row) at every target place.

        Args:
            target: features of unit length.
            reference: the same.
        """
        size, other = _size(target), _size(reference)
        own = target.flatten(2).transpose(1, 2)  # b n c
        seen = reference.flatten(2)  # b c k
        maps = self.distance_functions(_distances(size, own))
        filters = self._initial(own)
        damping = self.regularisation.square()
        for _ in range(self.steps):
            residual, slope = self.residual(filters @ own.transpose(1, 2), *maps)
            smooth = self._smooth(filters @ seen, size, other)
            gradient = (
                residual @ own
                + self._smooth_adjoint(smooth, size, other) @ seen.transpose(1, 2)
                + damping * filters
            )
            steepness = gradient.square().sum(dim=(1, 2))
            curvature = (
                (slope * (gradient @ own.transpose(1, 2))).square().sum(dim=(1, 2))
                + self._smooth(gradient @ seen, size, other).flatten(1).square().sum(dim=1)
                + (damping + STEP_DAMPING) * steepness
            )
            length = self.log_step.exp() * steepness / curvature.clamp(min=1e-8)
            filters = filters - length[:, None, None] * gradient
        scores = (filters @ seen).transpose(1, 2)
        return scores.reshape(*scores.shape[:2], *size)

    def _initial(self, own: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        """Filters of answer `foreground` to their own feature and `background` to the mean one.

        The filter lies in the plane of the two; its coefficients solve a 2 x 2 system, here for
        each channel with targets of its own.
        """
        mean = own.mean(dim=1, keepdim=True)
        ff, mm = own.square().sum(-1, keepdim=True), mean.square().sum(-1, keepdim=True)
        fm = (own * mean).sum(-1, keepdim=True)
        along_own = self.foreground * mm - self.background * fm
        along_mean = self.foreground * fm - self.background * ff
        return (along_own * own - along_mean * mean) / (ff * mm - fm * fm)

    def _smooth(
        self, scores: Float[Tensor, "b n k"], size: tuple[int, int], other: tuple[int, int]
    ) -> Float[Tensor, "b k d h w"]:
        """R applied to scores (target place, reference place)."""
        b, n, k = scores.shape
        over = F.conv2d(scores.reshape(b * n, 1, *other), self.over_reference, padding=1)
        turned = over.view(b, n, -1, k).permute(0, 3, 2, 1).reshape(b * k, -1, *size)
        smooth = F.conv2d(turned, self.over_target, padding=1)
        return smooth.view(b, k, *smooth.shape[1:])

    def _smooth_adjoint(
        self, smooth: Float[Tensor, "b k d h w"], size: tuple[int, int], other: tuple[int, int]
    ) -> Float[Tensor, "b n k"]:
        """The transpose of R, applied to what `_smooth` returned."""
        b, k = smooth.shape[:2]
        over = F.conv_transpose2d(smooth.flatten(0, 1), self.over_target, padding=1)
        n = size[0] * size[1]
        turned = over.view(b, k, -1, n).permute(0, 3, 2, 1).reshape(b * n, -1, *other)
        return F.conv_transpose2d(turned, self.over_reference, padding=1).view(b, n, k)


class LocalGOCor(SteepestDescent):
    """GOCor within a search window: one filter per target pixel, and the reference term alone.

    Args:
        radius: of the search, in pixels.
    """

    def __init__(self, *, radius: int = 4) -> None:
        super().__init__()
        self.radius = radius
        self.scaling = nn.Parameter(torch.ones(1))

    def forward(
        self, target: Float[Tensor, "b c h w"], reference: Float[Tensor, "n c h w"], *, steps: int
    ) -> Float[Tensor, "n o h w"]:
        """Scores of the (2 radius + 1)^2 reference pixels around every target pixel.

        Ordered as in `local_correlation`; a score is the mean over channels. The filters are made
        from the target alone, once for all of its references.

        Args:
            target: features.
            reference: features of the same size: as many, or several times as many.
            steps: of steepest descent.
        """
        tiling = tiling_of(target, self.radius)
        channels = target.shape[1]
        own, around = tiling.queries(target), tiling.keys(target)
        label, weight, mask = self.distance_functions(_offsets(self.radius, self.scaling))
        damping = self.regularisation.square() / channels
        filters = self.scaling * own / (own.square().mean(-1, keepdim=True) + 1e-6)
        for _ in range(steps):
            scores = products(filters, around, self.radius) / channels
            residual, slope = self.residual(scores, label, weight, mask)
            gradient = combine(residual, around, self.radius) / channels + damping * filters
            steepness = gradient.square().sum(-1, keepdim=True)
            answer = slope * products(gradient, around, self.radius) / channels
            curvature = answer.square().sum(-1, keepdim=True) + damping * steepness
            length = self.log_step.exp() * steepness / curvature.clamp(min=1e-8)
            filters = filters - length * gradient
        several, times = tiling_of(reference, self.radius), len(reference) // len(target)
        filters = filters.repeat(times, 1, 1)
        return several.join(products(filters, several.keys(reference), self.radius)) / channels


def _size(features: Float[Tensor, "b c h w"]) -> tuple[int, int]:
    return features.shape[-2], features.shape[-1]


def _distances(size: tuple[int, int], like: Tensor) -> Float[Tensor, "n n"]:
    """Distances in cells between all places of a grid, row by row."""
    y, x = torch.meshgrid(*(torch.arange(side) for side in size), indexing="ij")
    places = torch.stack((y.flatten(), x.flatten()), dim=1).to(like)
    apart: Tensor = (places[:, None] - places).norm(dim=-1)
    return apart


def _offsets(radius: int, like: Tensor) -> Float[Tensor, "o"]:
    """Lengths of the offsets of the search window, row by row."""
    d = torch.arange(-radius, radius + 1, device=like.device, dtype=like.dtype)
    return (d[:, None].square() + d.square()).sqrt().flatten()
