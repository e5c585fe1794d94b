"""How sharp a frame is beside its neighbours in time.

Absolute sharpness measures confuse texture with focus: a wall is less "sharp" than a tree. Frames a
few steps apart show nearly the same scene, so that the difference between them is blur.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.frames.clip import Frame

Sharpness = Callable[[Frame], float]

# Neighbours on each side that a frame is compared with: about half a second of video.
WINDOW = 12
# Of each neighbourhood, the sharpest and the most blurred share take a role.
SHARP_SHARE = 0.4
BLURRY_SHARE = 0.4


def image_sharpness(image: Float[Tensor, "1 3 h w"]) -> float:
    """Log of the fine-scale gradient energy of the luminance; only differences mean anything."""
    weights = image.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    grey = (image * weights).sum(dim=1, keepdim=True)
    grey = F.avg_pool2d(grey, 2) if min(grey.shape[-2:]) >= 8 else grey
    energy = grey.diff(dim=-1).square().mean() + grey.diff(dim=-2).square().mean()
    return float(torch.log(energy + 1e-8))


def split_by_sharpness(
    frames: Mapping[int, Frame], sharpness: Sharpness
) -> tuple[list[Frame], list[Frame]]:
    """The frames of one clip that are blurrier, and those that are sharper, than their neighbours.

    Returns:
        blurry and sharp frames, in order; frames in between are in neither.
    """
    indices = sorted(frames)
    values = [sharpness(frames[i]) for i in indices]
    blurry, sharp = [], []
    for place, index in enumerate(indices):
        near = values[max(0, place - WINDOW) : place + WINDOW + 1]
        below = sum(v < values[place] for v in near)
        equal = sum(v == values[place] for v in near) - 1  # itself does not count
        rank = (below + equal / 2) / max(len(near) - 1, 1)
        if rank >= 1 - SHARP_SHARE:
            sharp.append(frames[index])
        elif rank <= BLURRY_SHARE:
            blurry.append(frames[index])
    return blurry, sharp
