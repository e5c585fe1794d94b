"""The printed equations fail where our readings of them do not."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.pseudo import fuse
from bluref.pseudo.literal import (
    BINARISE_AT,
    binarise,
    literal_average,
    literal_progressive,
    literal_sequential,
)
from bluref.pseudo.target import Warped

SIZE = (6, 8)


def picture(seed=0):
    """Nowhere black."""
    return 0.1 + 0.9 * torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(seed))


def cannot_match_black(target, reference):
    """A perfect matcher, but for what has been painted black."""
    return reference, (target.sum(dim=1, keepdim=True) > 0).float()


def sees(*masks):
    """A matcher whose n-th call finds what the n-th mask says."""
    remaining = iter(masks)
    return lambda target, reference: (reference, next(remaining))


def as_warped(references, masks):
    confidence = torch.stack(masks, dim=1)
    return Warped(torch.stack(references, dim=1), confidence, torch.ones_like(confidence) > 0)


@settings(max_examples=30, deadline=None, database=None)
@given(n=st.integers(2, 10), seed=st.integers(0, 99))
def test_eq_5_taken_literally_leaves_nothing_to_train_on(n, seed):
    target = picture(seed)
    _, mask = literal_progressive(target, [target] * n, cannot_match_black)
    assert mask.max() <= (n + 1) // 2 / n
    assert binarise(mask).sum() == 0


def test_eq_5_in_our_reading_keeps_what_was_matched():
    target = picture()
    everywhere = torch.ones(1, 1, *SIZE)
    ours = fuse.progressive(as_warped([target] * 6, [everywhere] * 6), threshold=0.7)
    assert ours.weight.min() == 1
    torch.testing.assert_close(ours.image, target)


def test_eq_5_shows_the_matcher_black_where_it_has_matched():
    target, seen = picture(), []

    def left_half(target, reference):
        seen.append(target)
        mask = torch.zeros(1, 1, *SIZE)
        mask[..., :4] = 1
        return reference, mask

    literal_progressive(target, [target] * 2, left_half)
    assert torch.equal(seen[0], target)
    assert torch.equal(seen[1][..., 4:], target[..., 4:])
    assert seen[1][..., :4].abs().max() == 0


def test_dividing_by_n_darkens_by_the_share_that_is_missing():
    target = picture()
    masks = [torch.ones(1, 1, *SIZE)] * 5 + [torch.zeros(1, 1, *SIZE)]
    image, mask = literal_average(target, [target] * 6, sees(*masks))
    torch.testing.assert_close(image, target * 5 / 6)
    torch.testing.assert_close(mask, torch.full_like(mask, 5 / 6))
    ours = fuse.average(as_warped([target] * 6, masks), threshold=0.7)
    torch.testing.assert_close(ours.image, target)
    assert ours.support.unique().tolist() == [5]


def test_eq_4_taken_literally_keeps_only_the_last_warp():
    left = torch.zeros(1, 1, *SIZE)
    left[..., :4] = 1
    first, last = picture(1), picture(2)
    image, mask = literal_sequential(picture(), [first, last], sees(left, 1 - left))
    assert torch.equal(image, last)
    assert torch.equal(mask, 1 - left)
    ours = fuse.sequential(as_warped([first, last], [left, 1 - left]), threshold=0.7)
    assert ours.mask.all()
    torch.testing.assert_close(ours.image, first * left + last * (1 - left))


def test_eq_4_matches_the_running_composite():
    left = torch.zeros(1, 1, *SIZE)
    left[..., :4] = 1
    target, first, seen = picture(), picture(1), []

    def watching(target, reference):
        seen.append(target)
        return reference, left

    literal_sequential(target, [first, picture(2)], watching)
    assert torch.equal(seen[0], target)
    torch.testing.assert_close(seen[1], first * left + target * (1 - left))


@pytest.mark.parametrize(("value", "passes"), [(0.0, 0), (BINARISE_AT, 0), (0.71, 1), (1.0, 1)])
def test_the_mask_is_binarised_above_the_threshold(value, passes):
    assert binarise(torch.full((1, 1, *SIZE), value)).unique().tolist() == [passes]
