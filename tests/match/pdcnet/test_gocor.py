"""GOCor against its objective, differentiated by autograd rather than by hand."""

import pytest
import torch
import torch.nn.functional as F

from bluref.match.pdcnet.gocor import STEP_DAMPING, DistanceFunctions, GlobalGOCor, LocalGOCor


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(1, 6, 5, 6, generator=generator, dtype=torch.double) for _ in "ab")
    return F.normalize(one), F.normalize(other)


def slopes_along(terms, start, direction, step=1e-6):
    """Derivative of every term along a direction, by central differences."""
    ahead, behind = terms(start + step * direction), terms(start - step * direction)
    return [(a - b) / (2 * step) for a, b in zip(ahead, behind, strict=True)]


def distances(size):
    y, x = torch.meshgrid(*(torch.arange(s, dtype=torch.double) for s in size), indexing="ij")
    places = torch.stack((y.flatten(), x.flatten()), dim=1)
    return torch.cdist(places, places)


def test_distance_functions_start_as_a_bell_a_constant_and_a_slope():
    label, weight, mask = DistanceFunctions()(torch.tensor([0.0, 1.0, 2.0, 100.0]))
    bell = torch.exp(-torch.tensor([0.0, 0.5, 2.0]))
    torch.testing.assert_close(label[:3], bell, atol=1e-3, rtol=0)
    torch.testing.assert_close(label[3], torch.tensor(0.0))
    torch.testing.assert_close(weight, torch.ones(4))
    assert mask[0] > 0.97
    assert mask[3] < 0.03
    torch.testing.assert_close(mask[2], torch.tensor(0.5))


def test_distance_functions_are_linear_between_bins():
    functions = DistanceFunctions()
    at = functions(torch.tensor([0.5, 0.75, 1.0]))[0]
    torch.testing.assert_close(at[1], (at[0] + at[2]) / 2)


def test_global_steps_follow_the_gradient_of_the_objective(features):
    target, reference = features
    gocor = GlobalGOCor(6, steps=1).double()
    own, seen = target[0].flatten(1).T, reference[0].flatten(1)
    label, weight, mask = gocor.distance_functions(distances((5, 6)))
    damping = gocor.regularisation.square()
    start = gocor._initial(own[None])[0].detach().requires_grad_()

    def terms(filters):
        scores = filters @ own.T
        kept = torch.where(scores > 0, scores, mask * scores)
        smooth = gocor._smooth((filters @ seen)[None], (5, 6), (5, 6))
        return weight.sqrt() * (kept - label), smooth, damping.sqrt() * filters

    objective = sum(term.square().sum() for term in terms(start)) / 2
    (gradient,) = torch.autograd.grad(objective, start, retain_graph=True)
    # The length minimises the quadratic of the slopes along the gradient, damped.
    along = slopes_along(terms, start.detach(), gradient)
    steepness = gradient.square().sum()
    curvature = sum(term.square().sum() for term in along) + STEP_DAMPING * steepness
    expected = ((start - steepness / curvature * gradient) @ seen).T.reshape(1, 30, 5, 6)
    torch.testing.assert_close(gocor(target, reference), expected)


def test_the_initial_filter_answers_one_to_itself_and_nothing_to_the_mean(features):
    target, _ = features
    own = target.flatten(2).transpose(1, 2)
    filters = GlobalGOCor(6).double()._initial(own)
    torch.testing.assert_close((filters * own).sum(-1), torch.ones(1, 30, dtype=torch.double))
    torch.testing.assert_close(
        (filters * own.mean(1, keepdim=True)).sum(-1), torch.zeros(1, 30, dtype=torch.double)
    )


def test_the_smoothing_adjoint_is_the_transpose():
    gocor = GlobalGOCor(4).double()
    scores = torch.randn(2, 12, 20, dtype=torch.double)
    smooth = gocor._smooth(scores, (3, 4), (4, 5))
    other = torch.randn_like(smooth)
    one = (smooth * other).sum()
    torch.testing.assert_close((scores * gocor._smooth_adjoint(other, (3, 4), (4, 5))).sum(), one)


def test_a_local_step_follows_the_gradient_of_the_objective(features):
    target, reference = features
    gocor = LocalGOCor(radius=2).double()
    channels = target.shape[1]
    padded = F.unfold(F.pad(target, (2,) * 4), 5).view(channels, 25, 30)  # c o n
    d = torch.arange(-2.0, 3, dtype=torch.double)
    label, weight, mask = gocor.distance_functions((d[:, None] ** 2 + d**2).sqrt().flatten())
    damping = gocor.regularisation.square() / channels
    own = target[0].flatten(1)
    start = (own / (own.square().mean(0) + 1e-6)).requires_grad_()

    def terms(filters):
        scores = torch.einsum("cn,con->on", filters, padded) / channels
        kept = torch.where(scores > 0, scores, mask[:, None] * scores)
        return weight.sqrt()[:, None] * (kept - label[:, None]), damping.sqrt() * filters

    objective = sum(term.square().sum() for term in terms(start)) / 2
    (gradient,) = torch.autograd.grad(objective, start, retain_graph=True)
    along = slopes_along(terms, start.detach(), gradient)
    length = gradient.square().sum(0) / sum(term.square().sum(0) for term in along)
    filters = (start - length * gradient).view(1, channels, 5, 6)
    found = gocor(target, reference, steps=1)
    sought = F.unfold(F.pad(reference, (2,) * 4), 5).view(channels, 25, 5, 6)
    torch.testing.assert_close(found, torch.einsum("bchw,cohw->bohw", filters, sought) / channels)


def test_more_steps_lower_the_local_objective(features):
    target, _ = features
    gocor = LocalGOCor(radius=2).double()
    d = torch.arange(-2.0, 3, dtype=torch.double)
    label = gocor.distance_functions((d[:, None] ** 2 + d**2).sqrt().flatten())[0]
    errors = [
        (gocor(target, target, steps=steps).clamp(min=0) - label.view(1, -1, 1, 1)).square().mean()
        for steps in (1, 3, 8)
    ]
    assert errors[0] > errors[1] > errors[2]
