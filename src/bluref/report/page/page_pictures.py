"""Pictures inside a page: small enough, each and together, whatever they show."""

import base64
import io

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image as PillowImage
from PIL import ImageDraw
from torch import Tensor

from bluref.frames.crops import Crop
from bluref.media.pixels import to_array

# Bytes that one picture, a trust map or a thumbnail may take.
PICTURE, MAP, THUMBNAIL = 110_000, 30_000, 12_000
# Width in pixels of a thumbnail; as high as that times 2 at most.
THUMBNAIL_WIDTH = 180
# Tried in turn until a picture is small enough; after the last at half the size, and so on.
QUALITIES = (92, 86, 78, 66, 50, 30)
# What covers a pixel that is not trusted: no photograph has much of it.
COVER = (222, 0, 138)
# Steps between no trust and full trust; more cannot be told apart, and cost bytes.
LEVELS = 12


def picture_uri(image: Float[Tensor, "1 3 h w"], most: int = PICTURE) -> str:
    """A data URI of at most about 4/3 `most` characters, as WebP.

    Args:
        image: what to show.
        most: bytes of the encoded picture; its quality falls until it fits.
    """
    return _uri(PillowImage.fromarray(to_array(image)), most)


def trust_uri(trust: Float[Tensor, "1 1 h w"]) -> str:
    """A picture to lay over another: the less a pixel is trusted, the more it is covered."""
    small = (
        F.interpolate(trust, scale_factor=0.5, mode="area") if min(trust.shape[-2:]) > 1 else trust
    )
    cover = ((1 - small[0, 0].clamp(0, 1)) * LEVELS).round() / LEVELS
    drawn = np.empty((*cover.shape, 4), np.uint8)
    drawn[..., :3] = COVER
    drawn[..., 3] = (cover * 255).round().numpy()
    return _uri(PillowImage.fromarray(drawn, "RGBA"), MAP)


def thumbnail_uri(frame: Float[Tensor, "1 3 h w"], crop: Crop) -> str:
    """The whole frame, small, with a line around the box that is shown of it."""
    height, width = frame.shape[-2:]
    scale = min(1.0, THUMBNAIL_WIDTH / width, 2 * THUMBNAIL_WIDTH / height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = PillowImage.fromarray(to_array(frame)).resize(size, PillowImage.Resampling.LANCZOS)
    left, top = crop.left * scale, crop.top * scale
    right, bottom = left + crop.width * scale - 1, top + crop.height * scale - 1
    if crop.width < width or crop.height < height:
        pen = ImageDraw.Draw(small)
        pen.rectangle((left, top, right, bottom), outline=(0, 0, 0), width=3)
        pen.rectangle((left + 1, top + 1, right - 1, bottom - 1), outline=(255, 255, 255))
    return _uri(small, THUMBNAIL)


def _uri(picture: PillowImage.Image, most: int) -> str:
    encoded = _encoded(picture, most)
    return "data:image/webp;base64," + base64.b64encode(encoded).decode()


def _encoded(picture: PillowImage.Image, most: int) -> bytes:
    while True:
        for quality in QUALITIES:
            target = io.BytesIO()
            picture.save(target, "WEBP", quality=quality, method=4, alpha_quality=80)
            if target.tell() <= most or max(picture.size) <= 1:
                return target.getvalue()
        half = max(picture.width // 2, 1), max(picture.height // 2, 1)
        picture = picture.resize(half, PillowImage.Resampling.BOX)
