import pytest
import torch

from bluref.restore.tiling.spans import Overlap, even_spans
from bluref.restore.tiling.weave import Weaver, fade_weights


@pytest.mark.parametrize("width", [1, 2, 5, 16, 32, 33])
def test_weights_of_two_tiles_sum_to_one_exactly_and_mirror(width):
    later = fade_weights(width)
    earlier = 1 - later
    assert torch.equal(later + earlier, torch.ones(width))
    assert torch.equal(earlier, later.flip(0))
    assert (later.diff() > 0).all()
    assert 0 <= later[0] <= 0.5 <= later[-1] <= 1


def test_weights_begin_and_end_without_a_kink():
    slopes = fade_weights(64).diff()
    assert slopes[0] < 0.1 * slopes.max() > slopes[-1]


def joined(spans, make, axis=-1):
    weaver = Weaver(axis, 8)
    return torch.cat([weaver.add(make(s), last=s is spans[-1]) for s in spans], dim=axis)


def test_tiles_that_agree_come_out_as_they_are():
    image = torch.rand(3, 40, 300)
    spans = even_spans(300, 96, Overlap(10, 8), 4)
    assert torch.equal(joined(spans, lambda s: image[..., s.first : s.last].clone()), image)
    tall = image.mT.contiguous()
    assert torch.equal(joined(spans, lambda s: tall[:, s.first : s.last].clone(), axis=-2), tall)


def test_tiles_that_disagree_pass_from_one_to_the_other():
    spans = even_spans(100, 64, Overlap(4, 8), 4)
    values = iter([0.0, 1.0])
    out = joined(spans, lambda s: torch.full((1, 1, s.last - s.first), next(values)))[0, 0]
    fade = slice(spans[1].first, spans[1].first + 8)
    assert out[: fade.start].unique().tolist() == [0]
    assert out[fade.stop :].unique().tolist() == [1]
    assert torch.equal(out[fade], fade_weights(8))
