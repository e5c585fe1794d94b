"""The last tenths of a pixel of matches, by what they make of the blurry frame.

A matcher compares a blurred picture with a sharp one, and settles anywhere in the smear. What a
reference shows, warped and blurred again along the motion of the frame, can be compared with the
blurry frame itself: where the two differ by a small shift, the flow is off by that shift. Goes
beyond the paper.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.motion import Motion, Shutter, expose_along
from bluref.degrade.warp import inside, warp
from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.match.luminance import grey_images
from bluref.match.pictures import Grey, as_exposed, polished_flow, resized
from bluref.match.protocol import Match
from bluref.pseudo.gate import LOST
from bluref.pseudo.motion import FootageMotion
from bluref.pseudo.targets import whole_frame

# Reductions of a picture of half the size at which shifts are looked for, one after the other.
SCALES = (8.0, 4.0, 2.0, 1.0)
# How smooth they are, and how long each is looked for: between two blurred pictures, differences
# are weak along the blur, and a shift along it is found slowly.
STIFFNESS, SWEEPS = 8.0, 15
# Moments of the exposure that are added up.
MOMENTS = 11
# Confidence from which a match is moved: what is lost is not found by small steps.
SURE = 0.1
# Sides of the picture of half the size below which it says nothing.
LEAST = 32

Image = Float[Tensor, "1 3 h w"]


@dataclass(frozen=True)
class Refine:
    """Refines the matches of blurry frames.

    Attributes:
        motion: around them.
        exposure: of them, in frame intervals.
    """

    motion: FootageMotion
    exposure: float

    def identity(self, frame: Frame) -> str:
        """Changes whenever a frame's matches would be refined otherwise."""
        sample = self.motion.sample(frame)
        if sample is None:
            return "no motion"
        try:
            moves = self.motion.bank.digest(0, sample)
        except UserError:
            return "no motion"
        settings = (moves, self.exposure, SCALES, STIFFNESS, SWEEPS, MOMENTS, SURE, LEAST)
        return hashlib.blake2b(repr(settings).encode(), digest_size=16).hexdigest()

    def __call__(
        self, frame: Frame, blurry: Image, references: Sequence[Image], found: Sequence[Match]
    ) -> list[Match]:
        """The matches of a frame, refined where its motion is known.

        Args:
            frame: the blurry one.
            blurry: its picture.
            references: theirs, as many as there are matches.
            found: matches of the blurry frame with them.
        """
        sample = self.motion.sample(frame)
        if sample is None:
            return list(found)
        try:
            motion, sure = self.motion.around(
                sample, whole_frame((blurry.shape[-2], blurry.shape[-1]))
            )
        except UserError:  # it was never followed
            return list(found)
        return refined(found, blurry, references, motion, sure, self.exposure)


def refined(
    found: Sequence[Match],
    blurry: Image,
    references: Sequence[Image],
    motion: Motion,
    sure: Float[Tensor, "1 1 h w"],
    exposure: float,
) -> list[Match]:
    """Matches moved to where the re-blurred reference agrees with the blurry frame.

    All at half the size, by the variational method that polishes matches (`match.pictures`).

    Args:
        found: matches of the blurry frame with each reference.
        blurry: the frame.
        references: of the frame's size.
        motion: around the frame.
        sure: confidence of the motion, in [0, 1].
        exposure: in frame intervals.
    """
    height, width = blurry.shape[-2:]
    size = (width // 2, height // 2)
    if not found or min(size) < LEAST:
        return list(found)
    slow = Motion(_scaled(motion.before, size), _scaled(motion.after, size))
    shown = [
        warp(_small(image, size), _scaled(match.flow, size), mode="bilinear")
        for image, match in zip(references, found, strict=True)
    ]
    again = expose_along(torch.cat(shown, dim=1), slow, Shutter(exposure), moments=MOMENTS)
    target, known = _grey(_small(blurry, size)), sure >= LOST
    moved = []
    for match, picture in zip(found, again.unbind(dim=1), strict=True):
        believed = (known & (match.confidence >= SURE)).float()
        shift = _shift(target, _grey(picture), _resized(believed, size))
        shift = _scaled(shift, (width, height)) * believed
        flow = warp(match.flow, shift, mode="bilinear") + shift
        within = inside(flow, (height, width))
        moved.append(replace(match, flow=flow, confidence=match.confidence * within, inside=within))
    return moved


def _shift(
    target: Grey, reference: Grey, sure: Float[Tensor, "1 1 q r"]
) -> Float[Tensor, "1 2 q r"]:
    """By how much the reference lies away from the target, in pixels."""
    still = np.zeros((*target.shape, 2), dtype=np.float32)
    alike = as_exposed(target, reference, still, sure[0, 0].numpy())
    found = polished_flow(target, alike, still, scales=SCALES, stiffness=STIFFNESS, sweeps=SWEEPS)
    return torch.from_numpy(found).permute(2, 0, 1)[None]


def _small(image: Image, size: tuple[int, int]) -> Float[Tensor, "1 1 q r"]:
    """Luminance."""
    grey = resized(grey_images(image)[0], size)
    return torch.from_numpy(grey)[None, None].float() / 255


def _grey(picture: Float[Tensor, "*one q r"]) -> Grey:
    levels: Grey = (255 * picture).round().clamp(0, 255).byte().reshape(picture.shape[-2:]).numpy()
    return levels


def _scaled(flow: Float[Tensor, "1 2 h w"], size: tuple[int, int]) -> Float[Tensor, "1 2 q r"]:
    """A flow in pixels of a picture of another (width, height)."""
    unit = flow.new_tensor([size[0] / flow.shape[-1], size[1] / flow.shape[-2]])
    return _resized(flow, size) * unit[:, None, None]


def _resized(values: Float[Tensor, "1 c h w"], size: tuple[int, int]) -> Float[Tensor, "1 c q r"]:
    planes = np.ascontiguousarray(values[0].permute(1, 2, 0).numpy())
    small = resized(planes, size).reshape(size[1], size[0], -1)
    return torch.from_numpy(small).permute(2, 0, 1)[None]
