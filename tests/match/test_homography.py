import cv2
import pytest
import torch

from bluref.degrade.warp import inside, pixel_grid, warp
from bluref.match.checked import CheckedMatcher
from bluref.match.dis import DISMatcher
from bluref.match.homography import HomographyMatcher, resampled, similarity
from bluref.match.protocol import Match, Matcher, Probabilistic

pytestmark = pytest.mark.slow

SIZE = (150, 203)
# From the target to the reference, with perspective.
PERSPECTIVE = torch.tensor(
    ((0.7, -0.15, 40.0), (0.12, 0.75, 10.0), (4e-4, -3e-4, 1.0)), dtype=torch.float64
)


class Scripted:
    """Answers one after the other; sure by 0.9 in the last, by 0.5 before."""

    radius, most, identity = 2.0, 0.8, "scripted"

    def __init__(self, *flows):
        self.flows = list(flows)

    def encode(self, image):
        return tuple(image.shape)

    def match(self, target, reference):
        flow = self.flows.pop(0)
        visible = inside(flow, target[-2:])
        return Match(flow, visible * (0.5 if self.flows else 0.9), visible)


def flow_of(matrix, size, shift=(0.0, 0.0)):
    """M(p + shift) - p, written down once more."""
    grid = pixel_grid(*size, torch.zeros((), dtype=torch.float64))
    x, y = grid[0, 0] + shift[0], grid[0, 1] + shift[1]
    m = matrix.tolist()
    divisor = m[2][0] * x + m[2][1] * y + m[2][2]
    rows = [(row[0] * x + row[1] * y + row[2]) / divisor for row in m[:2]]
    return (torch.stack(rows)[None] - grid).float()


def turned(angle, scale, size=SIZE):
    """The reference appears `scale` times as large, turned by an angle, centre on centre."""
    return similarity(scale, float(angle), size, size)


def matched(matcher, target, reference):
    return matcher.match(matcher.encode(target), matcher.encode(reference))


def scores(match, matrix, reference_size=SIZE):
    """End-point error over what the reference shows, and the share that is matched there."""
    true = flow_of(matrix, match.flow.shape[-2:])
    visible = inside(true, reference_size)
    error = (match.flow - true).square().sum(1, keepdim=True).sqrt()[visible]
    return error.mean().item(), (match.confidence >= 0.7)[visible].float().mean().item()


def test_flows_are_composed_through_the_homography():
    first = flow_of(PERSPECTIVE, SIZE)
    residual = torch.tensor([1.5, -2.25]).view(1, 2, 1, 1).expand(1, 2, *SIZE)
    matcher = HomographyMatcher(Scripted(first, residual), scales=(1.0,))
    found = matched(matcher, torch.rand(1, 3, *SIZE), torch.rand(1, 3, *SIZE))
    expected = flow_of(PERSPECTIVE, SIZE, (1.5, -2.25))
    second = inside(residual, SIZE) & inside(expected, SIZE)
    assert second.float().mean() > 0.6
    torch.testing.assert_close(
        found.flow[second.expand_as(first)], expected[second.expand_as(first)], atol=2e-3, rtol=0
    )
    assert (found.confidence[second] == 0.9).all()
    # Where the second pass sees nothing, the direct one speaks, flow and confidence.
    direct = ~second & inside(first, SIZE)
    assert direct.any()
    assert torch.equal(found.flow[direct.expand_as(first)], first[direct.expand_as(first)])
    assert (found.confidence[direct] == 0.5).all()
    assert (found.confidence[~second & ~direct] == 0).all()
    assert not found.inside[~second & ~direct].any()


def test_the_direct_pass_stays_where_it_is_surer():
    first = flow_of(PERSPECTIVE, SIZE)

    class Doubting(Scripted):
        def match(self, target, reference):
            match = super().match(target, reference)
            return match if self.flows else Match(match.flow, match.confidence / 9, match.inside)

    matcher = HomographyMatcher(Doubting(first, torch.zeros_like(first)), scales=(1.0,))
    found = matched(matcher, torch.rand(1, 3, *SIZE), torch.rand(1, 3, *SIZE))
    assert torch.equal(found.flow[..., found.inside[0, 0]], first[..., found.inside[0, 0]])
    assert (found.confidence[found.inside] == 0.5).all()


@pytest.mark.parametrize(
    ("matrix", "size", "step"),
    [
        (PERSPECTIVE, SIZE, 1.0),
        (turned(25, 0.4), SIZE, 2.5),
        (turned(0, 2.5), SIZE, 1.0),
        (turned(-70, 0.15), SIZE, 6.7),
        (similarity(0.37, 12.0, (61, 83), SIZE), (61, 83), 2.7),
        (similarity(1.3, 90.0, (83, 61), SIZE), (83, 61), 1.0),
    ],
)
def test_resampling_shows_at_p_what_the_reference_shows_at_its_image(matrix, size, step):
    # The reference's channels hold x and y, which resampling keeps, smaller or larger.
    grid = pixel_grid(*SIZE, torch.zeros(()))
    seen = resampled(grid / 300, matrix, size) * 300
    flow = flow_of(matrix, size)
    at = flow + pixel_grid(*size, flow)
    edge = 2 * step + 2  # there the filters leave the reference
    well = inside(flow - edge, SIZE) & inside(flow + edge, SIZE)
    assert well.sum() > 200
    # On a ramp the bicubic kernel (a = -0.75) is off by up to 0.048 of a pixel, the area filter
    # by a little more.
    tolerance = 0.07 * step
    found, true = (x[0][:, well[0, 0]] for x in (seen, at))
    torch.testing.assert_close(found, true, atol=tolerance, rtol=0)
    assert (found - true).mean().abs() < 0.005 * step  # to no side


def test_shrinking_does_not_alias():
    checkers = (torch.arange(120)[:, None] + torch.arange(160)) % 2
    seen = resampled(
        checkers.float()[None, None], similarity(0.4, 0.0, (120, 160), (120, 160)), (40, 50)
    )
    torch.testing.assert_close(seen, torch.full_like(seen, 0.5), atol=0.02, rtol=0)


def test_a_similarity_turns_clockwise_about_the_centre_and_enlarges():
    matrix = similarity(2.0, 90.0, (41, 61), (101, 81))
    # What lies 10 to the right of the reference's centre is seen 20 below the target's.
    at = matrix @ torch.tensor((30.0, 40.0, 1.0), dtype=torch.float64)
    torch.testing.assert_close(at, torch.tensor((50.0, 50.0, 1.0), dtype=torch.float64))


@pytest.mark.parametrize("scale", [0.4, 0.6, 1 / 0.6, 2.2])
def test_a_change_of_scale_that_dis_cannot_follow_is_matched(texture, scale):
    reference, matrix = texture(0, *SIZE), turned(0, scale)
    target = resampled(reference, matrix, SIZE)
    error, share = scores(matched(DISMatcher(), target, reference), matrix)
    assert error > 5
    assert share < 0.3
    error, share = scores(matched(HomographyMatcher(DISMatcher()), target, reference), matrix)
    assert error < 0.3
    assert share > 0.98


def test_a_turn_of_40_degrees_at_scale_0_6_is_matched_where_turns_are_tried(texture):
    reference, matrix = texture(1, *SIZE), turned(40, 0.6)
    target = resampled(reference, matrix, SIZE)
    assert scores(matched(DISMatcher(), target, reference), matrix)[0] > 20
    matcher = HomographyMatcher(DISMatcher(), angles=(-30.0, 0.0, 30.0))
    error, share = scores(matched(matcher, target, reference), matrix)
    assert error < 0.3
    assert share > 0.95


def test_a_perspective_is_matched_to_a_part_of_a_pixel(texture):
    reference = texture(2, *SIZE)
    target = resampled(reference, PERSPECTIVE, SIZE)
    found = matched(HomographyMatcher(DISMatcher()), target, reference)
    error, share = scores(found, PERSPECTIVE)
    assert error < 0.3
    assert share > 0.95


def test_local_motion_beyond_the_homography_is_kept(texture):
    reference, matrix = texture(3, *SIZE), turned(0, 0.6)
    grid = pixel_grid(*SIZE, reference)
    away = (grid - grid.mean(dim=(2, 3), keepdim=True)).square().sum(1, keepdim=True)
    bump = 3 * torch.exp(-away / (2 * 25**2)) * torch.tensor([1.0, -1.0]).view(1, 2, 1, 1)
    target = warp(resampled(reference, matrix, SIZE), bump)
    found = matched(HomographyMatcher(DISMatcher()), target, reference)
    # M is affine here: M(p + bump) = M(p) + bump / 0.6.
    true = flow_of(matrix, SIZE) + bump / 0.6
    middle = (..., slice(40, 110), slice(60, 140))
    assert (found.flow - true)[middle].square().sum(1).sqrt().mean() < 0.3
    assert bump[middle].square().sum(1).sqrt().mean() > 1.5


def test_without_common_content_little_is_matched_and_nothing_breaks(texture):
    pair = (texture(0, *SIZE), texture(7, *SIZE))
    found, plain = (matched(m, *pair) for m in (HomographyMatcher(DISMatcher()), DISMatcher()))
    assert (found.confidence >= 0.7).float().mean() < 0.3
    assert found.confidence.mean() < 1.1 * plain.confidence.mean()
    assert found.flow.isfinite().all()
    assert found.flow.abs().max() < 3 * max(SIZE)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_flat_pictures_are_no_trouble(texture, level):
    flat = torch.full((1, 3, *SIZE), level)
    for target, reference in ((texture(0, *SIZE), flat), (flat, texture(0, *SIZE)), (flat, flat)):
        found = matched(HomographyMatcher(DISMatcher()), target, reference)
        assert found.flow.isfinite().all()
        assert found.confidence.isfinite().all()


class Unsure(DISMatcher):
    """Sure of nothing."""

    def match(self, target, reference):
        found = super().match(target, reference)
        return Match(found.flow, 0 * found.confidence, found.inside)


def test_without_a_homography_the_direct_pass_is_the_answer(texture):
    target, reference = texture(0, *SIZE), texture(1, *SIZE)
    found = matched(HomographyMatcher(Unsure()), target, reference)
    plain = matched(Unsure(), target, reference)
    for name in ("flow", "confidence", "inside"):
        assert torch.equal(getattr(found, name), getattr(plain, name))


def test_a_batch_is_matched_pair_by_pair(texture):
    references = torch.cat([texture(4, *SIZE), texture(5, *SIZE), texture(6, *SIZE)])
    parts = zip(references.split(1), (0.6, 1.8, 1.0), strict=True)
    targets = torch.cat([resampled(one, turned(0, scale), SIZE) for one, scale in parts])
    targets[2] = 0.5  # nothing to find a homography by
    matcher = HomographyMatcher(DISMatcher())
    both = matched(matcher, targets, references)
    for n in range(3):
        one = matched(matcher, targets[n : n + 1], references[n : n + 1])
        for name in ("flow", "confidence", "inside"):
            assert torch.equal(getattr(both, name)[n : n + 1], getattr(one, name))


def test_a_reference_of_another_size_is_matched(texture):
    reference, matrix = texture(8, 180, 130), similarity(0.6, 0.0, SIZE, (180, 130))
    target = resampled(reference, matrix, SIZE)
    found = matched(HomographyMatcher(DISMatcher()), target, reference)
    assert found.flow.shape == (1, 2, *SIZE)
    error, share = scores(found, matrix, (180, 130))
    assert error < 0.3
    assert share > 0.9
    at = found.flow + pixel_grid(*SIZE, found.flow)
    outside = (at[:, :1] > 129) | (at[:, 1:] > 179)
    assert (found.confidence[outside] == 0).all()
    assert not found.inside[outside].any()


def test_the_answer_does_not_depend_on_anybodys_random_numbers(texture):
    reference = texture(2, *SIZE)
    target = resampled(reference, PERSPECTIVE, SIZE)
    target[..., :60] = texture(3, *SIZE)[..., :60]  # so that RANSAC has something to leave out
    found = []
    for seed in (1, 2, 3):
        cv2.setRNGSeed(seed)
        torch.manual_seed(seed)
        found.append(matched(HomographyMatcher(DISMatcher()), target, reference))
    for other in found[1:]:
        assert torch.equal(found[0].flow, other.flow)
        assert torch.equal(found[0].confidence, other.confidence)


def test_it_is_probabilistic_if_the_inner_one_is():
    outer = HomographyMatcher(Scripted())
    assert isinstance(outer, Matcher)
    assert isinstance(outer, Probabilistic)
    assert (outer.radius, outer.most) == (2.0, 0.8)
    assert not isinstance(HomographyMatcher(DISMatcher()), Probabilistic)
    assert not isinstance(HomographyMatcher(CheckedMatcher(Scripted())), Probabilistic)


def test_every_setting_is_part_of_the_identity():
    inner = DISMatcher()
    matchers = [inner, HomographyMatcher(inner), HomographyMatcher(DISMatcher("fast"))]
    matchers += [HomographyMatcher(inner, scales=(1.0, 2.0)), HomographyMatcher(inner, agree=0.02)]
    matchers += [
        HomographyMatcher(inner, angles=(0.0, 9.0)),
        HomographyMatcher(inner, confident=1.0),
    ]
    assert len({matcher.identity for matcher in matchers}) == len(matchers)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"scales": ()}, "scales must be above 0 and hold 1"),
        ({"scales": (0.5, 2.0)}, "scales must be above 0 and hold 1"),
        ({"scales": (1.0, -1.0)}, "scales must be above 0 and hold 1"),
        ({"angles": (30.0,)}, "angles must hold 0"),
        ({"confident": 0.0}, "confident must lie in"),
        ({"confident": 1.1}, "confident must lie in"),
        ({"agree": 0.0}, "agree must be above 0"),
    ],
)
def test_settings_out_of_range_are_misuse(wrong, told):
    with pytest.raises(ValueError, match=told):
        HomographyMatcher(DISMatcher(), **wrong)


def test_as_many_references_as_targets_are_needed(texture):
    with pytest.raises(ValueError, match="need a reference for every target, got 1 and 2"):
        matched(HomographyMatcher(DISMatcher()), texture(0), texture(0).expand(2, -1, -1, -1))
