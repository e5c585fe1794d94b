"""Engines: what runs a deblurring network on pictures.

Each takes pictures of any size, `b 3 h w` in [0, 1], and gives the same sizes in [0, 1]. `eager`
is torch as it is and follows weights that go on changing; the others keep what they were given.
"""

import copy
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bluref.errors import UserError
from bluref.restore.engines.graph import Graph
from bluref.restore.engines.graph_files import onnx_bytes
from bluref.restore.engines.runtimes import OnnxRuntime, OpenVINO
from bluref.restore.networks.nafnet import NAFNet
from bluref.restore.networks.padding import pad_to_multiple
from bluref.restore.networks.pooling import local_pooling
from bluref.weights.device import can_compile

Engine: TypeAlias = Callable[[Tensor], Tensor]
EngineName = Literal["auto", "eager", "compile", "onnxruntime", "openvino"]
ENGINES: tuple[EngineName, ...] = ("eager", "compile", "onnxruntime", "openvino")

MAX_COMPILED = 3
"""Picture sizes that `compile` compiles for; each takes a minute, and others run eagerly."""

_MODULES = {"onnxruntime": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino")}


@dataclass(frozen=True)
class Setting:
    """What an engine is asked for.

    Attributes:
        training_size: side of the training crops, px, for local pooling; None for global means.
        dtype: of the arithmetic inside.
        device: where to run; all but `eager` and `compile` know the CPU alone.
    """

    training_size: int | None
    dtype: torch.dtype
    device: torch.device


def why_not(name: EngineName, setting: Setting) -> UserError | None:
    """What keeps an engine from running here, or None."""
    if name not in ENGINES:
        return UserError(f"unknown engine {name!r}", f"choose one of: {', '.join(ENGINES)}")
    missing = [m for m in _MODULES.get(name, ()) if importlib.util.find_spec(m) is None]
    if missing:
        problem = f"the engine {name} needs {' and '.join(missing)}, not installed here"
        return UserError(problem, "pip install 'bluref[export]'")
    if name == "compile" and not can_compile(setting.device):
        return UserError("the engine compile needs a C++ compiler", "install one, such as g++")
    if name in _MODULES and setting.device.type != "cpu":
        return UserError(f"the engine {name} runs on the CPU alone", "choose the engine eager")
    if name == "onnxruntime" and setting.dtype != torch.float32:
        return UserError("the engine onnxruntime knows fp32 alone", "choose --precision fp32")
    return None


def build_engine(name: EngineName, model: nn.Module, setting: Setting) -> Engine:
    """An engine that runs `model`.

    Raises:
        UserError: it cannot run here, or cannot run this network; see `why_not` and `Graph`.
    """
    refused = why_not(name, setting)
    if refused is not None:
        raise refused
    if name == "eager":
        return Eager(model, setting)
    if name == "compile":
        return Compiled(model, setting)
    graph = Graph(model, setting.training_size)
    if name == "onnxruntime":
        return OnnxRuntime(onnx_bytes(graph))
    kept = copy.deepcopy(model)  # it is exported again for every size
    return OpenVINO(
        lambda size: onnx_bytes(Graph(kept, setting.training_size, size)),
        bf16=setting.dtype == torch.bfloat16,
        multiple=graph.multiple,
    )


class Eager:
    """torch as it is, in channels_last, with the network's own modules and weights.

    Args:
        model: it is taken over: moved to the device, set to evaluation. Its weights are never
            written, so an average that goes on changing may be given.
        setting: see `Setting`.
    """

    def __init__(self, model: nn.Module, setting: Setting) -> None:
        self.model = model.eval().to(setting.device)
        # The stubs of torch know no `to` with nothing but a memory format.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.setting = setting

    @torch.no_grad()
    def __call__(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Deblur pictures, returned on the device they came from."""
        h, w = image.shape[-2:]
        padded = pad_to_multiple(image.to(self.setting.device), multiple_of(self.model))
        padded = padded.contiguous(memory_format=torch.channels_last)
        # Only for this call: whoever shares the network finds it as it was.
        local_pooling(self.model, self.setting.training_size)
        try:
            sharp = self._run(padded)
        finally:
            local_pooling(self.model, None)
        return sharp[..., :h, :w].float().clamp(0, 1).contiguous().to(image.device)

    def _run(self, padded: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        dtype = self.setting.dtype
        if dtype != torch.float32 and isinstance(self.model, NAFNet):
            # Faster than autocast, which pads and divides in float32 and converts to and fro.
            weights = {name: value.to(dtype) for name, value in self.model.named_parameters()}
            sharp: Tensor = torch.func.functional_call(self.model, weights, (padded,))
            return sharp
        half = dtype != torch.float32
        with torch.autocast(self.setting.device.type, dtype if half else None, enabled=half):
            sharp = self.model(padded)
        return sharp  # noqa: RET504 - the type of what a module returns is unknown to mypy


class Compiled:
    """`torch.compile` for the first few sizes that it meets; all further ones run eagerly."""

    def __init__(self, model: nn.Module, setting: Setting) -> None:
        self._eager = Eager(copy.deepcopy(model), setting)
        inner = copy.deepcopy(model)
        if isinstance(inner, NAFNet):  # once and for all, so that the compiler sees no casts
            inner, setting = inner.to(setting.dtype), replace(setting, dtype=torch.float32)
        self._compiled = Eager(inner, setting)
        self._compiled.model.compile(dynamic=False)
        self._sizes: set[tuple[int, ...]] = set()

    def __call__(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Deblur pictures; a new size takes its minute to compile."""
        multiple = multiple_of(self._eager.model)
        size = (len(image), *(-(-side // multiple) for side in image.shape[-2:]))
        if size not in self._sizes and len(self._sizes) == MAX_COMPILED:
            return self._eager(image)
        self._sizes.add(size)
        return self._compiled(image)


def multiple_of(model: nn.Module) -> int:
    """What the sides of its pictures must divide by."""
    return int(getattr(model, "multiple", 1))
