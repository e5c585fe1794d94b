"""The mixture of Laplacians against numerical integration."""

import math

import pytest
import torch

from bluref.match.pdcnet.mixture import (
    Estimate,
    Spread,
    largest_probability,
    negative_log_likelihood,
    probability_within,
)

SPREAD = Spread((1.0, 1.0), 2.0, 520.0**2)


def estimate(h=1.0, logits=(0.3, -0.4), flow=(0.0, 0.0)):
    h = torch.full((1, 1, 1, 1), float(h), dtype=torch.double)
    return Estimate(
        torch.tensor(flow, dtype=torch.double).view(1, 2, 1, 1),
        SPREAD.log_variances(h),
        torch.tensor(logits, dtype=torch.double).view(1, 2, 1, 1),
    )


def grid(half, count):
    at = (torch.arange(count, dtype=torch.double) + 0.5) / count * 2 * half - half
    y, x = torch.meshgrid(at, at, indexing="ij")
    return torch.stack((x, y))[None], (2 * half / count) ** 2


def over(one, places):
    """The estimate of one pixel, at every place."""
    h, w = places.shape[-2:]
    return Estimate(*(v.expand(1, 2, h, w) for v in (one.flow, one.log_variance, one.logits)))


def test_the_density_integrates_to_one():
    places, area = grid(60, 1500)
    density = torch.exp(-negative_log_likelihood(over(estimate(), places), places))
    assert density.sum() * area == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("radius", [0.5, 1.0, 3.0])
def test_probability_is_the_density_over_a_square(radius):
    one = estimate(flow=(0.2, -0.1))
    places, area = grid(radius, 600)
    density = torch.exp(-negative_log_likelihood(over(one, places), places + one.flow))
    assert probability_within(one, radius).item() == pytest.approx(
        (density.sum() * area).item(), rel=1e-3
    )


@pytest.mark.parametrize(
    ("radius", "most"), [(1.0, 0.5729), (1.2815, 0.70), (1.5, 0.775), (2.0, 0.885), (3.0, 0.971)]
)
def test_the_largest_probability_is_what_the_facts_say(radius, most):
    assert largest_probability(Spread((1.0, 1.0), 2.0, 520.0**2), radius) == pytest.approx(
        most, abs=1e-3
    )


def test_the_wide_component_stays_within_its_bounds():
    spread = Spread((1.0, 1.0), 2.0, 520.0**2)
    h = torch.tensor([-50.0, 0.0, 5.0, 50.0], dtype=torch.double).view(1, 1, 1, 4)
    wide = spread.log_variances(h)[0, 1, 0].exp()
    expected = [2.0, 3.0, 2 + math.exp(5), 520.0**2]
    torch.testing.assert_close(wide, torch.tensor(expected, dtype=torch.double), rtol=1e-3, atol=0)


def test_the_likelihood_falls_with_the_distance():
    one = estimate()
    near, far = (
        negative_log_likelihood(one, torch.full((1, 2, 1, 1), d, dtype=torch.double))
        for d in (0.1, 4.0)
    )
    assert near < far


def test_a_narrow_component_that_is_predicted_stays_within_its_bounds():
    spread = Spread((0.01, 1.0), 2.0, 520.0**2)
    narrow = torch.tensor([-50.0, 0.0, 50.0], dtype=torch.double).view(1, 1, 1, 3)
    found = spread.log_variances(torch.zeros_like(narrow), narrow)[0, 0, 0].exp()
    torch.testing.assert_close(found, torch.tensor([0.01, 0.1, 1.0], dtype=torch.double))
    assert not spread.fixed
