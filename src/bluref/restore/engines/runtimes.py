"""Engines outside torch, which run an exported graph."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bluref.restore.engines.graph import Size
from bluref.restore.networks.padding import pad_to_multiple
from bluref.restore.tiling.memory import give_back, resident

# What ONNX Runtime says where memory runs out.
_NO_MEMORY = ("failed to allocate memory", "bad_alloc", "bad allocation")


class OnnxRuntime:
    """ONNX Runtime on the CPU, in float32, with as many threads as torch has.

    Args:
        exported: an ONNX file, or its bytes.
    """

    def __init__(self, exported: bytes | Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.enable_mem_pattern = False  # it would be kept for every size of picture
        options.log_severity_level = 3
        told = exported if isinstance(exported, bytes) else str(exported)
        self._session = onnxruntime.InferenceSession(
            told, options, providers=["CPUExecutionProvider"]
        )
        self._once = onnxruntime.RunOptions()
        self._once.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def __call__(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Deblur pictures."""
        # Or the arena keeps as much as the largest picture took. Without an arena each call takes
        # 1.4 times as long, and twice the memory by chance: the C library's heap gets gaps.
        told = self._once
        try:
            return _through(lambda x: self._session.run(None, {"image": x}, told)[0], image)
        except Exception as error:  # its exceptions share no class but this
            if any(words in str(error).lower() for words in _NO_MEMORY):
                raise MemoryError(str(error)) from error
            raise


Exporter: TypeAlias = Callable[[Size | None], bytes]
"""Makes an ONNX file for pictures of one size, or of any size for None."""

MAX_PLANNED = 3
"""Picture sizes that `OpenVINO` plans for: a few seconds each, and half as long per picture."""


class OpenVINO:
    """OpenVINO on the CPU, with as many threads as torch has.

    The first few sizes of picture that it meets get plans of their own; all others share one.

    Args:
        exported: an ONNX file or a file of OpenVINO, of any size; or what makes ONNX files.
        bf16: whether bfloat16 may be used where the processor has it.
        multiple: what the sides of pictures of one size must divide by.

    Attributes:
        held: bytes that the plans keep, about; `forget` gives them back.
    """

    def __init__(self, exported: Path | Exporter, *, bf16: bool, multiple: int = 1) -> None:
        import openvino

        self._core = openvino.Core()
        self._exported, self._multiple = exported, multiple
        self._config = {
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._requests: dict[Size | None, Any] = {}
        self.held = 0
        if isinstance(exported, Path):  # what is wrong with it is told now
            self._request(None)

    def __call__(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Deblur pictures."""
        h, w = image.shape[-2:]
        padded = pad_to_multiple(image, self._multiple)
        size = (padded.shape[-2], padded.shape[-1])
        sized = [known for known in self._requests if known is not None]
        if len(image) == 1 and (size in sized or len(sized) < MAX_PLANNED):
            return self._infer(size, padded)[..., :h, :w].contiguous()
        return self._infer(None, image)

    def forget(self) -> None:
        """Drop all plans; what comes next is planned anew."""
        self._requests.clear()
        self.held = 0
        give_back()

    def _infer(self, size: Size | None, image: Tensor) -> Tensor:
        """Through the plan for a size."""
        before = None if size in self._requests else resident()
        request = self._request(size)
        sharp = _through(lambda x: request.infer([x])[0], image)
        if before is not None:
            give_back()
            self.held += max(0, resident() - before)
        return sharp

    def _request(self, size: Size | None) -> Any:  # noqa: ANN401 - openvino has no types
        if size not in self._requests:
            if isinstance(self._exported, Path):
                model = self._core.read_model(str(self._exported))
                if size is not None:
                    model.reshape([1, 3, *size])
            else:
                model = self._core.read_model(self._exported(size))
            compiled = self._core.compile_model(model, "CPU", self._config)
            self._requests[size] = compiled.create_infer_request()
        return self._requests[size]


def _through(run: Callable[[Any], Any], image: Tensor) -> Tensor:
    """What `run` makes of the picture as an array; copied, for engines use their buffers again."""
    sharp = run(np.ascontiguousarray(image.detach().cpu().float().numpy()))
    return torch.from_numpy(np.array(sharp)).to(image.device)
