import pytest
import torch
import torch.nn.functional as F

from bluref.restore.tiling.guard import GuardNote, Notes, Verdict, guarded, harm


@pytest.fixture
def tile():
    """Soft grey blobs: nothing sharp, nothing flat, far from black and white."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 1, 16, 20, generator=random) * 0.6 + 0.2
    return F.interpolate(coarse, size=(192, 256), mode="bicubic", align_corners=False)[0].expand(
        3, -1, -1
    )


def sharpened(tile):
    """What a good network might do: fine detail is stronger, patches keep their means."""
    soft = F.avg_pool2d(F.pad(tile[None], (4, 4, 4, 4), mode="reflect"), 9, 1)[0]
    return (tile + 0.5 * (tile - soft)).clamp(0, 1)


def mosaic(tile):
    broken = sharpened(tile)
    broken[0, 32:64, 32:96] += 0.1
    return broken


BROKEN = {
    "broken": lambda t: sharpened(t).index_fill(-1, torch.tensor([9]), torch.nan),
    "clipped": lambda t: ((t - 0.5) * 9 + 0.5).clamp(0, 1),
    "colours": mosaic,
    "moved": lambda t: t.roll(5, dims=-1),
}


def test_a_good_result_is_kept(tile):
    assert harm(tile, sharpened(tile)) is None
    result, made, verdict = guarded(tile, sharpened, None)
    assert torch.equal(result, sharpened(tile))
    assert torch.equal(made, result)
    assert verdict is None


@pytest.mark.parametrize("finding", BROKEN)
def test_what_is_broken_on_purpose_is_found_and_the_picture_kept(tile, finding):
    assert harm(tile, BROKEN[finding](tile)) == finding
    result, made, verdict = guarded(tile, BROKEN[finding], None)
    assert torch.equal(result, tile)
    assert torch.equal(made.nan_to_num(), BROKEN[finding](tile).nan_to_num())
    assert verdict == Verdict(finding, "input")


def test_a_picture_that_became_darker_has_moved(tile):
    assert harm(tile, tile - 0.1) == "moved"
    patch = tile.clone()
    patch[:, 64:96, 64:96] = 0.05
    assert harm(tile, patch) == "moved"


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_nothing_is_moved_where_nothing_is_seen(level):
    flat = torch.full((3, 192, 256), level)
    wave = 0.01 * torch.linspace(-1, 1, 256)
    assert harm(flat, (flat + wave).clamp(0, 1)) is None


def test_infinite_values_are_broken(tile):
    assert harm(tile, tile + torch.inf) == "broken"


def test_global_pooling_is_taken_where_it_does_no_harm(tile):
    result, _, verdict = guarded(tile, mosaic, sharpened)
    assert torch.equal(result, sharpened(tile))
    assert verdict == Verdict("colours", "global pooling")
    result, _, verdict = guarded(tile, mosaic, BROKEN["moved"])
    assert torch.equal(result, tile)
    assert verdict == Verdict("colours", "input")


def test_the_second_pass_is_run_only_where_something_was_found(tile):
    def never(_tile):
        raise AssertionError

    assert guarded(tile, sharpened, never)[2] is None


def test_a_sharp_picture_never_meets_the_network():
    def never(_tile):
        raise AssertionError

    random = torch.Generator().manual_seed(0)
    blocks = torch.rand(1, 1, 192, 192, generator=random).expand(-1, 3, -1, -1)
    squares = F.interpolate(blocks, scale_factor=2, mode="nearest")[0]
    result, _, verdict = guarded(squares, never, never)
    assert torch.equal(result, squares)
    assert verdict == Verdict("already sharp", "input")


def test_noise_is_told_and_the_result_kept(tile):
    random = torch.Generator().manual_seed(0)
    noisy = tile + 0.15 * torch.randn(tile[:1].shape, generator=random)
    result, _, verdict = guarded(noisy, lambda t: t + 0.01, None)
    assert torch.equal(result, noisy + 0.01)
    assert verdict == Verdict("noise", "kept")


@pytest.mark.parametrize("dim", [-2, -1])
def test_what_breaks_beyond_the_last_whole_cell_is_seen(dim):
    tile = torch.full((3, 95, 95), 0.4)
    result = tile.clone()
    edge = result.narrow(dim, 95 - 31, 31)
    edge[0] += 0.2
    edge[2] -= 0.2
    assert harm(tile, result) == "colours"
    assert harm(tile, tile) is None


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (31, 31), (65, 65)])
def test_tiles_of_any_size_can_be_judged(size):
    small = torch.full((3, *size), 0.4)
    assert guarded(small, lambda t: t, None)[2] is None
    assert guarded(small, lambda t: t + 0.4, None)[2] == Verdict("moved", "input")


def test_notes_count_tiles_and_the_share_of_the_picture():
    notes = Notes(1000)
    notes.add(Verdict("colours", "input"), 100)
    notes.add(None, 500)
    notes.add(Verdict("noise", "kept"), 300)
    notes.add(Verdict("colours", "input"), 50)
    told = notes.told()
    assert told == (GuardNote("noise", "kept", 1, 0.3), GuardNote("colours", "input", 2, 0.15))
    assert Notes(10).told() == ()
