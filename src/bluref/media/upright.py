"""How a film says that its frames are to be turned and mirrored before they are seen."""

import math
import struct
from dataclasses import dataclass
from typing import cast

import av
import torch
from av.sidedata.sidedata import SideData, Type
from jaxtyping import Shaped
from torch import Tensor


@dataclass(frozen=True)
class Turn:
    """What makes a stored picture upright.

    Attributes:
        mirrored: left and right change places, before it is turned.
        quarters: turns by 90 degrees counter-clockwise, 0 to 3.
    """

    mirrored: bool = False
    quarters: int = 0

    @property
    def sideways(self) -> bool:
        """Whether height and width change places."""
        return self.quarters % 2 == 1

    def upright(self, stored: Shaped[Tensor, "b c h w"]) -> Shaped[Tensor, "b c h2 w2"]:
        """The picture as it is to be seen."""
        image = stored.flip(-1) if self.mirrored else stored
        return torch.rot90(image, self.quarters, (2, 3)) if self.quarters else image

    def stored(self, upright: Shaped[Tensor, "b c h2 w2"]) -> Shaped[Tensor, "b c h w"]:
        """What `upright` was given."""
        image = torch.rot90(upright, -self.quarters, (2, 3)) if self.quarters else upright
        return image.flip(-1) if self.mirrored else image


def turn_of(frame: av.VideoFrame) -> Turn:
    """What makes a frame upright, to the nearest quarter turn.

    The matrix maps a stored point (x, y), y down, to the shown point (a x + c y, b x + d y)
    (ISO/IEC 14496-12, 6.2.2). Where that changes the sense of rotation it mirrors.
    """
    matrix = display_matrix(frame)
    if matrix is None:
        return Turn()
    a, b, _, c, d = matrix[:5]
    mirrored = a * d - b * c < 0
    right, down = (-a, -b) if mirrored else (a, b)  # where what lies to the right comes to lie
    return Turn(mirrored, round(math.atan2(-down, right) / (math.pi / 2)) % 4)


def display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """The nine numbers by which players turn and mirror a frame; None where nothing is said."""
    found = cast("SideData | None", frame.side_data.get(Type.DISPLAYMATRIX.name))
    return None if found is None else struct.unpack("=9i", bytes(found)[:36])
