"""Networks of `bluref export`, opened to be run."""

from math import prod
from pathlib import Path

import torch

from bluref.errors import UserError
from bluref.restore.engines.engine import Engine, EngineName, Setting, why_not
from bluref.restore.engines.runtimes import OnnxRuntime, OpenVINO

_PROBE = (2, 3, 17, 33)  # two: OpenVINO makes plans for sizes of single pictures


def refuse_wishes(
    path: Path,
    *,
    engine: EngineName | None,
    precision: str,
    device: torch.device,
) -> None:
    """Refuse what is asked for of an exported file and cannot be had of it.

    Args:
        path: the file.
        engine: which must be that of its format, or left open.
        precision: bf16 may be asked of OpenVINO, fp16 of neither.
        device: the CPU.

    Raises:
        UserError: what contradicts the file.
    """
    name = _engine_of(path)
    again = "give the network that it came from"
    if engine not in (None, "auto", name):
        raise UserError(
            f"{path} is run by {name}, not by {engine}", f"leave out --engine, or {again}"
        )
    if precision == "fp16" or (precision == "bf16" and name == "onnxruntime"):
        raise UserError(
            f"{path} is run by {name}, which knows no {precision}", f"choose fp32, or {again}"
        )
    if device.type != "cpu":
        raise UserError(f"{path} runs on the CPU alone, not on {device}", again)


def _engine_of(path: Path) -> EngineName:
    return "onnxruntime" if path.suffix.lower() == ".onnx" else "openvino"


def open_exported(path: Path, *, bf16: bool) -> tuple[Engine, EngineName, bool]:
    """The engine that runs an exported `.onnx` or `.xml` file, its name, and whether in bfloat16.

    A small picture is run through it: what comes back must have its size and be finite.

    Raises:
        UserError: the engine is not installed, or the file is damaged or no deblurring network.
    """
    name = _engine_of(path)
    bf16 = bf16 and name == "openvino"
    refused = why_not(name, Setting(None, torch.float32, torch.device("cpu")))
    if refused is not None:
        raise refused
    probe = torch.linspace(0, 1, prod(_PROBE)).view(_PROBE)
    try:
        engine: Engine = OnnxRuntime(path) if name == "onnxruntime" else OpenVINO(path, bf16=bf16)
        sharp = engine(probe)
    except Exception as error:  # both engines raise types of their own, unknown when not installed
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise UserError(
            f"{path} is no deblurring network that {name} can run: {reason}",
            "give a file that `bluref export` has written",
        ) from error
    if sharp.shape != probe.shape or not sharp.isfinite().all():
        what = "numbers that are not finite" if sharp.shape == probe.shape else "another size"
        raise UserError(
            f"{path} turns a picture into one of {what}", "export it again from sound weights"
        )
    return engine, name, bf16
