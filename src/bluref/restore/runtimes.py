"""Engines outside torch, which run an exported graph."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


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

    def __call__(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Deblur pictures."""
        return _through(lambda x: self._session.run(None, {"image": x})[0], image)


class OpenVINO:
    """OpenVINO on the CPU, with as many threads as torch has.

    Args:
        exported: an ONNX file, a file of OpenVINO, or the bytes of the former.
        bf16: whether bfloat16 may be used where the processor has it.
    """

    def __init__(self, exported: bytes | Path, *, bf16: bool) -> None:
        import openvino

        core = openvino.Core()
        model = core.read_model(exported if isinstance(exported, bytes) else str(exported))
        config = {
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._request = core.compile_model(model, "CPU", config).create_infer_request()

    def __call__(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Deblur pictures."""
        return _through(lambda x: self._request.infer([x])[0], image)


def _through(run: Callable[[Any], Any], image: Tensor) -> Tensor:
    """What `run` makes of the picture as an array; copied, for engines use their buffers again."""
    sharp = run(np.ascontiguousarray(image.detach().cpu().float().numpy()))
    return torch.from_numpy(np.array(sharp)).to(image.device)
