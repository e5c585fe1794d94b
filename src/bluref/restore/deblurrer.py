"""The Deblurrer: any picture in, a sharper one out, in one pass of a network."""

import copy
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bluref.restore.files import load_network
from bluref.restore.padding import pad_to_multiple
from bluref.restore.pooling import local_pooling as set_local_pooling
from bluref.weights.precision import prefers_bf16

MARGIN = 48
"""Pixels; what lies farther from a pixel hardly matters to it, whatever a network could see."""

Precision = Literal["auto", "fp32", "bf16"]
"""`auto` is bf16 where `prefers_bf16` says so; `bf16` insists, and is slow on other hardware."""


class Deblurrer:
    """Runs a network on whole pictures of any size.

    Sides are made multiples of what the network wants by reflecting the right and bottom edges, and
    cut back. Weights and pictures are kept in channels_last, the fast layout.

    Args:
        model: the network; it is taken over: moved to the device, set to evaluation. Its weights
            are never written, so an average that goes on changing may be given.
        training_size: side of the training crops, px; None switches local pooling off.
        local_pooling: take means or attention around each pixel, as wide as training was (see
            `bluref.restore.pooling`). Sharper; on rare photographs it makes coloured mosaics.
        precision: of the arithmetic inside.
        device: where to run, as torch names it.

    Raises:
        ValueError: an unknown precision.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        training_size: int | None,
        local_pooling: bool = True,
        precision: Precision = "auto",
        device: str | torch.device = "cpu",
    ) -> None:
        if precision not in ("auto", "fp32", "bf16"):
            raise ValueError(f"precision must be auto, fp32 or bf16, got {precision!r}")
        self.device = torch.device(device)
        self.model = model.eval().to(self.device)
        # The stubs of torch know no `to` with nothing but a memory format.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.window_of = training_size if local_pooling else None
        self.bf16 = prefers_bf16(self.device) if precision == "auto" else precision == "bf16"

    @classmethod
    def from_pretrained(
        cls,
        path: Path | str,
        *,
        local_pooling: bool = True,
        precision: Precision = "auto",
        device: str | torch.device = "cpu",
    ) -> "Deblurrer":
        """The network saved at `path`: a run folder, a network's folder or a .safetensors file.

        Raises:
            UserError: no usable network there; see `bluref.restore.files.load_network`.
        """
        saved = load_network(Path(path))
        return cls(
            saved.model,
            training_size=saved.training_size,
            local_pooling=local_pooling,
            precision=precision,
            device=device,
        )

    @classmethod
    def identity(cls) -> "Deblurrer":
        """Does nothing: the row that every table begins with."""
        return cls(nn.Identity(), training_size=None, precision="fp32")

    @property
    def multiple(self) -> int:
        """Tiles that start at multiples of this, in pixels, see the grid of the whole picture."""
        return _multiple(self.model)

    @property
    def margin(self) -> int:
        """Pixels from the end of a tile at which the rest of the picture hardly matters any more.

        Half a window of local pooling, or else the receptive radius, but at most MARGIN: what a
        trained network sees farther away has little weight. See docs/experiments.md.
        """
        reach = min(MARGIN, int(getattr(self.model, "receptive_radius", 0)))
        return reach if self.window_of is None else max(reach, 3 * self.window_of // 4)

    def pooled_globally(self) -> "Deblurrer | None":
        """The same network with means over all it is shown, or None if it has those already."""
        if self.window_of is None:
            return None
        other = copy.copy(self)
        other.window_of = None
        return other

    @torch.no_grad()
    def __call__(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Deblur pictures, [0, 1] in and out, returned on the device they came from."""
        h, w = image.shape[-2:]
        padded = pad_to_multiple(image.to(self.device), _multiple(self.model))
        padded = padded.contiguous(memory_format=torch.channels_last)
        # Only for this call: whoever shares the network finds it as it was.
        set_local_pooling(self.model, self.window_of)
        try:
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
                sharp: Tensor = self.model(padded)
        finally:
            set_local_pooling(self.model, None)
        return sharp[..., :h, :w].float().clamp(0, 1).contiguous().to(image.device)


def _multiple(model: nn.Module) -> int:
    return int(getattr(model, "multiple", 1))
