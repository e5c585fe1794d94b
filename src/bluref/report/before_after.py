"""One picture that shows what a network does: before, after, and the truth where there is one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from torch import Tensor

from bluref.media.pixels import from_array
from bluref.report.flow_picture import beside

CAPTION_HEIGHT = 26


@dataclass(frozen=True)
class Row:
    """One scene in a before/after picture.

    Attributes:
        pictures: of one size, left to right.
        captions: one per picture.
    """

    pictures: Sequence[Float[Tensor, "1 3 h w"]]
    captions: Sequence[str]


def before_after(rows: Sequence[Row]) -> Float[Tensor, "1 3 H W"]:
    """Rows of pictures below each other, each picture with its caption above."""
    drawn = [
        beside(
            [
                torch.cat((caption_bar(text, picture.shape[-1]), picture), dim=-2)
                for picture, text in zip(row.pictures, row.captions, strict=True)
            ]
        )
        for row in rows
    ]
    return torch.cat(drawn, dim=-2)


def caption_bar(text: str, width: int) -> Float[Tensor, "1 3 h w"]:
    """Dark letters on white, as wide as the picture below."""
    bar = PillowImage.new("RGB", (width, CAPTION_HEIGHT), "white")
    font = ImageFont.load_default(size=15)
    ImageDraw.Draw(bar).text((4, 3), text, fill=(40, 40, 40), font=font)
    return from_array(np.array(bar))
