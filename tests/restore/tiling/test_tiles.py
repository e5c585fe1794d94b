import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bluref.errors import UserError
from bluref.restore import deblurrer as deblurrer_module
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig
from bluref.restore.tiling import fit, tiles
from bluref.restore.tiling.footprint import Footprint
from bluref.restore.tiling.tile import TileOptions
from bluref.restore.tiling.tiles import SLACK, deblur_rows
from bluref.restore.tiling.trust import trust
from bluref.restore.tiling.turn import ORIENTATIONS, turn_back, turn_upright

pytestmark = pytest.mark.slow

MIB = 2**20


class Blur(nn.Module):
    """Convolutions on a grid of four, with a radius that is declared."""

    multiple = 4
    receptive_radius = 11

    def __init__(self):
        super().__init__()
        random = torch.Generator().manual_seed(0)
        self.down = nn.Conv2d(3, 4, 4, stride=4)
        self.middle = nn.Conv2d(4, 48, 3, padding=1)
        self.fine = nn.Conv2d(3, 3, 3, padding=1)
        for value in self.parameters():
            value.data = torch.randn(value.shape, generator=random) * 0.1

    def forward(self, x):
        coarse = nn.functional.pixel_shuffle(self.middle(self.down(x)), 4)
        return self.fine((x + coarse).sigmoid()) + 0.5


class Source:
    """A picture that is read once, from the top."""

    def __init__(self, picture):
        self.picture, self.at = picture, 0

    def __call__(self, rows):
        assert 0 < rows <= self.picture.shape[-2] - self.at
        self.at += rows
        return self.picture[..., self.at - rows : self.at, :].clone()


@pytest.fixture
def small_tiles(monkeypatch):
    """Memory of which nothing is taken yet, and networks that take 1000 bytes per pixel."""
    for module in (tiles, fit):
        monkeypatch.setattr(module, "resident", lambda: 0)
    monkeypatch.setattr(tiles, "footprint", lambda *_, **__: Footprint({384: 1000 / 1.15}))


UNGUARDED = TileOptions(guard=False)


def run(picture, deblurrer, *, memory=30, **options):
    """Without a guard, which has good reasons to doubt these networks."""
    options.setdefault("options", UNGUARDED)
    written = []
    report = deblur_rows(
        Source(picture), written.append, *picture.shape[-2:], deblurrer,
        memory=memory * MIB, **options,
    )  # fmt: skip
    return torch.cat(written, dim=-2), report


def plain(model):
    return Deblurrer(model, training_size=None, precision="fp32")


@pytest.fixture
def network():
    random = torch.Generator().manual_seed(0)
    network = NAFNet(NAFNetConfig(width=4, encoder=(1, 1), middle=1, decoder=(1, 1)))
    for value in network.parameters():
        value.data = torch.randn(value.shape, generator=random) * 0.3
    return network


def test_a_picture_that_fits_is_what_the_deblurrer_makes_of_it(network):
    picture = torch.rand(1, 3, 61, 83)
    deblurrer = Deblurrer(network, training_size=16)
    result, report = run(picture, deblurrer, memory=4000)
    assert torch.equal(result, deblurrer(picture))
    assert (report.tiles, report.tile_height, report.tile_width) == (1, 61, 83)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("size", [(300, 420), (129, 1000), (700, 131)])
def test_tiles_equal_the_whole_picture_where_the_network_sees_no_farther_than_margins(size):
    picture = torch.rand(1, 3, *size)
    result, report = run(picture, plain(Blur()))
    assert report.tiles > 1
    torch.testing.assert_close(result, plain(Blur())(picture), atol=1e-6, rtol=0)


@pytest.mark.usefixtures("small_tiles")
@settings(max_examples=15, deadline=None, database=None)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 2), st.sampled_from(ORIENTATIONS))
def test_doing_nothing_in_tiles_changes_not_a_bit(height, width, planes, orientation):
    picture = torch.rand(planes, 3, height, width)
    nothing = plain(nn.Identity())
    result, report = run(picture, nothing, orientation=orientation)
    assert torch.equal(result, picture)
    assert report.tiles > 1 or height * width < 40_000


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_turned_picture_is_deblurred_as_if_it_were_upright(orientation):
    upright = torch.rand(1, 3, 210, 333)  # neither side on the grid
    stored = turn_back(upright, orientation)
    sideways, _ = run(stored, plain(Blur()), orientation=orientation)
    expected = plain(Blur())(upright)
    torch.testing.assert_close(turn_upright(sideways, orientation), expected, atol=1e-6, rtol=0)


@pytest.mark.usefixtures("small_tiles")
def test_planes_are_pictures_of_their_own():
    picture = torch.rand(2, 3, 200, 300)
    both, _ = run(picture, plain(Blur()))
    expected = plain(Blur())(picture)
    torch.testing.assert_close(both, expected, atol=1e-6, rtol=0)


@pytest.mark.usefixtures("small_tiles")
def test_rows_are_written_before_the_last_are_read():
    source, behind = Source(torch.rand(1, 3, 2000, 100)), []
    written = [0]

    def write(rows):
        written[0] += rows.shape[-2]
        behind.append(source.at - written[0])

    report = deblur_rows(source, write, 2000, 100, plain(Blur()), memory=25 * MIB)
    assert written == [2000]
    assert max(behind) <= report.tile_height + 64


class Hungry(Blur):
    """Fails on images of more pixels than `limit`, from call `first` on."""

    def __init__(self, limit, first=0, error=None):
        super().__init__()
        self.limit, self.left = limit, first
        self.error = error or RuntimeError("DefaultCPUAllocator: can't allocate memory: 7 bytes")
        self.sizes = []

    def forward(self, x):
        self.left -= 1
        if self.left < 0 and x.shape[-1] * x.shape[-2] > self.limit:
            raise self.error
        self.sizes.append(x.shape[-1] * x.shape[-2])
        return super().forward(x)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("first", [0, 1, 4, 7])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_where_memory_runs_out_tiles_shrink_and_rows_stay_right(first, orientation):
    upright = torch.rand(1, 3, 700, 500)
    hungry = Hungry(20_000, first)
    picture = turn_back(upright, orientation)
    result, report = run(picture, plain(hungry), memory=60, orientation=orientation)
    expected = turn_back(plain(Blur())(upright), orientation)
    torch.testing.assert_close(result, expected, atol=1e-6, rtol=0)
    assert report.shrunk >= 2
    assert max(hungry.sizes[first:]) <= 20_000 < report.tile_height * report.tile_width


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_every_kind_of_memory_error_is_known(error):
    result, report = run(torch.rand(1, 3, 300, 300), plain(Hungry(20_000, error=error)))
    assert report.shrunk > 0
    assert result.shape == (1, 3, 300, 300)


@pytest.mark.usefixtures("small_tiles")
def test_other_errors_of_the_network_are_not_taken_for_memory():
    with pytest.raises(RuntimeError, match="shapes"):
        run(torch.rand(1, 3, 300, 300), plain(Hungry(0, error=RuntimeError("shapes"))))


@pytest.mark.usefixtures("small_tiles")
def test_memory_that_runs_out_for_the_smallest_tiles_is_said():
    with pytest.raises(UserError, match="even with the smallest tiles"):
        run(torch.rand(1, 3, 300, 300), plain(Hungry(0)))


@pytest.mark.usefixtures("small_tiles")
def test_too_small_a_budget_names_the_least_that_would_do():
    picture = torch.rand(1, 3, 300, 300)
    with pytest.raises(UserError, match="5MiB of memory are too little") as caught:
        run(picture, plain(Blur()), memory=5)
    least = int(caught.value.fix.split("MiB")[0].split()[-1])
    assert run(picture, plain(Blur()), memory=least)[1].tiles > 1
    with pytest.raises(UserError, match="too little"):
        run(picture, plain(Blur()), memory=int(least / SLACK) - 1)


@pytest.mark.usefixtures("small_tiles")
def test_what_reader_and_writer_hold_is_kept_free():
    picture = torch.rand(1, 3, 600, 600)
    free, _ = run(picture, plain(Blur()), memory=60)
    _, report = run(picture, plain(Blur()), memory=60)
    shared, less = run(picture, plain(Blur()), memory=90, reserve=30 * MIB)
    assert less == report
    assert torch.equal(free, shared)


@pytest.mark.usefixtures("small_tiles")
def test_strength_blends_with_the_picture_and_is_exact_at_its_ends():
    picture = torch.rand(1, 3, 200, 300)
    full, none, half = (
        run(picture, plain(Blur()), options=TileOptions(strength=s, guard=False))[0]
        for s in (1.0, 0.0, 0.5)
    )
    assert torch.equal(full, run(picture, plain(Blur()))[0])
    assert torch.equal(none, picture)
    torch.testing.assert_close(half, (full + picture) / 2, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="strength must lie in"):
        TileOptions(strength=1.1)


@pytest.mark.usefixtures("small_tiles")
def test_a_survey_brings_tiles_closer_to_the_whole_picture(network):
    # Dark on one side and bright on the other: no tile has the means of the picture.
    picture = torch.rand(1, 3, 300, 900) * torch.linspace(0.1, 1, 900)
    deblurrer = plain(network)
    whole = deblurrer(picture)
    alone, report = run(picture, deblurrer)
    assert report.tiles > 4
    told, _ = run(picture, deblurrer, survey=Source(picture))
    assert (told - whole).abs().mean() < 0.25 * (alone - whole).abs().mean()
    torch.testing.assert_close(deblurrer(picture), whole)  # and nothing is left of it


@pytest.mark.usefixtures("small_tiles")
def test_no_survey_is_made_where_it_would_tell_nothing(network):
    asked = []

    def survey(rows):
        asked.append(rows)
        raise AssertionError(rows)

    picture = torch.rand(1, 3, 200, 300)
    run(picture, Deblurrer(network, training_size=16), survey=survey)
    run(picture, plain(Blur()), survey=survey)
    run(picture, plain(network), memory=4000, survey=survey)
    assert asked == []


@pytest.fixture
def outside(network, monkeypatch):
    """A network that pools globally, with an engine outside torch, whose calls are counted."""
    calls = []

    def build(_name, model, _setting):
        model = copy.deepcopy(model)  # which torch cannot be told anything of

        def engine(image):
            calls.append(tuple(image.shape[-2:]))
            with torch.no_grad():
                return model(image).clamp(0, 1)

        return engine

    monkeypatch.setattr(deblurrer_module, "build_engine", build)
    deblurrer = Deblurrer(network, training_size=None, precision="fp32", engine="onnxruntime")
    return deblurrer, calls


@pytest.mark.usefixtures("small_tiles")
def test_the_engine_asked_for_runs_what_fits_whole_and_torch_what_needs_a_survey(outside):
    deblurrer, calls = outside
    picture = torch.rand(1, 3, 120, 128)
    run(picture, deblurrer, memory=4000, survey=Source(picture))
    assert calls == [(120, 128)]
    assert deblurrer.engine == "onnxruntime"
    large = torch.rand(1, 3, 300, 900)
    told, report = run(large, deblurrer, survey=Source(large))
    assert report.tiles > 1
    assert calls == [(120, 128)]
    assert deblurrer.engine == "onnxruntime, eager"
    torch.testing.assert_close(told, run(large, plain(deblurrer.model), survey=Source(large))[0])


def test_what_torch_takes_in_its_place_is_measured_once(outside, monkeypatch):
    deblurrer, _ = outside
    measured = set()

    def measure(tried, *_, **__):
        measured.add(tried)
        return Footprint({384: 1000 / 1.15})

    monkeypatch.setattr(tiles, "footprint", measure)
    for module in (tiles, fit):
        monkeypatch.setattr(module, "resident", lambda: 0)
    picture = torch.rand(1, 3, 200, 600)
    for _ in range(2):
        run(picture, deblurrer, survey=Source(picture))
    assert len(measured) == 2


@pytest.mark.parametrize("auto", [True, False])
def test_torch_stands_in_where_an_engine_left_to_us_takes_too_much(outside, monkeypatch, auto):
    deblurrer, calls = outside
    deblurrer.auto = auto
    monkeypatch.setattr(
        tiles, "footprint",
        lambda tried, *_, **__: Footprint({384: 1e6 if tried is deblurrer else 1000.0}),
    )  # fmt: skip
    for module in (tiles, fit):
        monkeypatch.setattr(module, "resident", lambda: 0)
    picture = torch.rand(1, 3, 200, 300)
    if not auto:
        with pytest.raises(UserError, match="30MiB of memory are too little"):
            run(picture, deblurrer)
        return
    run(picture, deblurrer)
    assert deblurrer.engine == "eager"
    assert calls == []


class Short(NAFNet):
    """Fails on images of more than 20000 pixels, once it has run two."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        if self.calls > 2 and x.shape[-1] * x.shape[-2] > 20_000:
            raise MemoryError
        return super().forward(x)


@pytest.mark.usefixtures("small_tiles")
def test_where_memory_runs_out_in_the_survey_it_is_left_out():
    short = Short(NAFNetConfig(width=4, encoder=(1,), middle=1, decoder=(1,)))
    picture = torch.rand(1, 3, 300, 900)
    result, report = run(picture, plain(short), memory=60, survey=Source(picture))
    assert report.shrunk > 0
    assert result.shape == picture.shape
    short.calls = 2
    torch.testing.assert_close(result, run(picture, plain(short), memory=60)[0])


class Mosaic(Blur):
    """Paints one corner green, wherever a tile sees a dark pixel; changes nothing else."""

    def forward(self, x):
        return x if x.min() > 0.1 else x + torch.tensor([-0.1, 0.2, -0.1]).view(3, 1, 1)


@pytest.mark.usefixtures("small_tiles")
def test_one_broken_tile_is_replaced_and_told_and_the_others_are_not_touched():
    picture = torch.full((1, 3, 300, 420), 0.5)
    picture[..., 10, 10] = 0
    broken, _ = run(picture, plain(Mosaic()))
    assert (broken - picture).abs().max() > 0.1
    result, report = run(picture, plain(Mosaic()), options=TileOptions())
    assert torch.equal(result, picture)
    assert [(n.finding, n.action, n.tiles) for n in report.guard] == [("colours", "input", 1)]
    assert 0 < report.guard[0].share < 0.5


@pytest.mark.usefixtures("small_tiles")
def test_the_map_of_trust_comes_row_by_row_with_the_picture():
    picture = torch.rand(1, 3, 300, 420, generator=torch.Generator().manual_seed(0))
    maps = []
    result, _ = run(picture, plain(Blur()), write_trust=maps.append)
    believed = torch.cat(maps, dim=-2)
    whole = trust(picture[0], plain(Blur())(picture)[0])
    torch.testing.assert_close(believed[0], whole, atol=2e-2, rtol=0)
    assert torch.equal(result, run(picture, plain(Blur()))[0])
