"""The network that ships, in tiles and whole: its reach is longer than any margin."""

import pytest
import torch
from skimage import data

from bluref.media.pixels import from_array
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.tiling import fit, tiles
from bluref.restore.tiling.footprint import Footprint
from bluref.restore.tiling.tile import TileOptions
from bluref.restore.tiling.tiles import deblur_rows


@pytest.fixture
def in_tiles(monkeypatch):
    """A picture deblurred in tiles of about 350 px."""
    for module in (tiles, fit):
        monkeypatch.setattr(module, "resident", lambda: 0)
    monkeypatch.setattr(tiles, "footprint", lambda *_, **__: Footprint({384: 1000 / 1.15}))

    def in_tiles(picture, deblurrer):
        rows, written = iter(picture.split(1, dim=-2)), []
        report = deblur_rows(
            lambda n: torch.cat([next(rows) for _ in range(n)], dim=-2), written.append,
            *picture.shape[-2:], deblurrer, memory=130 * 2**20, options=TileOptions(guard=False),
        )  # fmt: skip
        assert 256 <= max(report.tile_height, report.tile_width) <= 400
        return torch.cat(written, dim=-2)

    return in_tiles


@pytest.mark.slow
def test_tiles_of_a_trained_network_stay_close_to_the_whole_picture_and_show_no_seams(in_tiles):
    """Levels of 255."""
    photograph = from_array(data.astronaut())
    blurry = torch.stack([photograph.roll(i, dims=-1) for i in range(9)]).mean(dim=0)
    picture = torch.cat((blurry, blurry.flip(-1)), dim=-1)  # 512x1024
    deblurrer = Deblurrer.from_pretrained("general", precision="fp32")
    away = 255 * (in_tiles(picture, deblurrer) - deblurrer(picture))
    assert away.abs().mean() < 0.2
    assert away.abs().max() < 20
    # At a seam the difference would change all along one row or column.
    for side in (-1, -2):
        assert away.diff(dim=side).abs().mean(dim=(0, 1, -3 - side)).max() < 0.65
