"""One tile: turned upright, deblurred, judged, blended, turned back."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.restore.deblurrer import Deblurrer
from bluref.restore.tiling.guard import Verdict, guarded
from bluref.restore.tiling.trust import trust
from bluref.restore.tiling.turn import turn_back, turn_upright


@dataclass(frozen=True)
class TileOptions:
    """What becomes of a tile.

    orientation: what turns it upright, as EXIF counts it; the network sees it so.
    strength: 1 for the result, 0 for the picture as it came, the mean weighed so between.
    guard: judge every tile and take what is safer; see `restore.tiling.guard`.
    trust: add the map of `restore.tiling.trust` to the result.

    Raises:
        ValueError: `strength` outside [0, 1].
    """

    orientation: int = 1
    strength: float = 1.0
    guard: bool = True
    trust: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength must lie in [0, 1], got {self.strength}")


class TileRestorer:
    """Makes of a tile what takes its place.

    Args:
        deblurrer: does the work.
        options: how.
    """

    def __init__(self, deblurrer: Deblurrer, options: TileOptions) -> None:
        self.deblurrer = deblurrer
        self.options = options
        self._again = deblurrer.pooled_globally()

    @property
    def layers(self) -> int:
        """Of what is made: RGB, and the map of trust where it is wanted."""
        return 4 if self.options.trust else 3

    def __call__(
        self, stored: Float[Tensor, "3 h w"]
    ) -> tuple[Float[Tensor, "l h w"], Verdict | None]:
        """What takes the place of a tile, lying as it does, and what was found in it."""
        verdict = None
        if self.options.guard and not self.deblurrer.does_nothing:
            again = None if self._again is None else self._through(self._again)
            result, made, verdict = guarded(stored, self._through(self.deblurrer), again)
        else:
            result = made = self.network(stored)
        blended = torch.lerp(stored, result, self.options.strength)
        layers = [blended, trust(stored, made)] if self.options.trust else [blended]
        return torch.cat(layers), verdict

    def network(self, stored: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """What the network makes of a tile."""
        return self._through(self.deblurrer)(stored)

    def _through(self, deblurrer: Deblurrer) -> Callable[[Tensor], Tensor]:
        def run(stored: Tensor) -> Tensor:
            tile = turn_upright(stored, self.options.orientation).contiguous()
            return turn_back(deblurrer(tile[None])[0], self.options.orientation)

        return run
