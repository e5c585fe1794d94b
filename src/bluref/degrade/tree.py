"""Simulated clips on disk, as the GoPro set lays them out: SCENE/{blur,sharp}/NNNNNN.png."""

import io
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from bluref.degrade.footage import Exposure
from bluref.media.picture import write_picture
from bluref.media.pixels import from_array, to_array


def develop(
    image: Float[Tensor, "1 3 h w"],
    generator: torch.Generator,
    *,
    noise: float,
    jpeg: int | None,
) -> Float[Tensor, "1 3 h w"]:
    """What a camera makes of a blurry exposure before it is stored.

    Args:
        image: sRGB-encoded.
        generator: the only source of the noise.
        noise: standard deviation of Gaussian noise on the encoded values, in levels of 255.
        jpeg: quality, 1 to 100, of a JPEG compression with halved colour resolution, or None.
    """
    noisy = image + torch.randn(image.shape, generator=generator) * (noise / 255)
    if jpeg is None:
        return noisy.clamp(0, 1)
    file = io.BytesIO()
    Image.fromarray(to_array(noisy)).save(file, "JPEG", quality=jpeg, subsampling="4:2:0")
    return from_array(np.array(Image.open(file)))


def write_clip(
    exposures: Iterable[Exposure],
    folder: Path,
    develop_frame: Callable[[Tensor, int], Tensor],
    *,
    least: int,
    wrote: Callable[[], None],
) -> int:
    """Write a clip that appears whole in `folder`, and return its number of frames.

    The frames are written beside the splits and renamed into `folder` when all are there; a
    failure leaves nothing.

    Args:
        exposures: the frames in order.
        folder: SPLIT/SCENE in the data folder; must not exist.
        develop_frame: (blurry frame, its number) -> what is stored.
        least: a clip of fewer frames is dropped, and 0 returned.
        wrote: called after each frame.

    Raises:
        UserError: the disk is full, or the place may not be written to.
    """
    partial = folder.parent.parent / f".{folder.name}.partial"
    count = 0
    try:
        for exposure in exposures:
            name = f"{count:06d}.png"
            write_picture(develop_frame(exposure.blurry, count), partial / "blur" / name)
            write_picture(exposure.sharp, partial / "sharp" / name)
            count += 1
            wrote()
        if count < least:
            return 0
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return count
