"""What each engine costs on this machine: seconds, memory, and how far from float32 it ends.

Every engine runs in a process of its own, so that its peak memory is its own; the processes take
turns, picture by picture, so that whatever else the machine does falls on all of them alike.
"""

import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import log10
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bluref.errors import UserError
from bluref.media.picture import read_picture, write_picture
from bluref.restore.engines.engine import ENGINES, Setting, why_not
from bluref.weights.device import usable_device
from bluref.weights.precision import prefers_bf16

PLAIN = "plain"
"""torch as it is on a network as it is: no channels_last, fp32. All ratios are to this."""

CUDA = "cuda"
"""torch on the first graphics processor, pictures carried there and back included."""

COLUMNS = (*ENGINES, CUDA)
"""What can be measured beside PLAIN."""

FORMATS = ("fp32", "bf16", "fp16")

Tell = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Row:
    """One engine on pictures of one size.

    Attributes:
        model: as it was named.
        engine: one of COLUMNS, or PLAIN.
        precision: fp32, bf16 or fp16.
        height: of the picture, px.
        width: of the picture, px.
        seconds: median per picture.
        ratio_to_eager_fp32: how many times as fast as PLAIN in the same run.
        peak_memory_bytes: of the whole process; of CUDA that on the graphics processor as well.
        psnr_to_fp32: of the output against that of PLAIN, dB; None where they are equal.
    """

    model: str
    engine: str
    precision: str
    height: int
    width: int
    seconds: float
    ratio_to_eager_fp32: float
    peak_memory_bytes: int
    psnr_to_fp32: float | None


@dataclasses.dataclass(frozen=True)
class Left:
    """What could not be measured, and why."""

    engine: str
    precision: str
    reason: str


def combinations(
    engines: Sequence[str], precisions: Sequence[str]
) -> tuple[list[tuple[str, str]], list[Left]]:
    """Engine and precision of each column, PLAIN first, and those that cannot run here.

    Args:
        engines: names; all when empty.
        precisions: fp32, bf16, fp16; when empty fp32, and bf16 where the processor has it; on CUDA
            all three.

    Raises:
        UserError: an unknown engine.
    """
    wanted = [name for name in COLUMNS if name in (engines or COLUMNS)]
    unknown = [name for name in engines if name not in COLUMNS]
    if unknown:
        raise UserError(f"unknown engine {unknown[0]!r}", f"choose of: {', '.join(COLUMNS)}")
    formats = list(precisions) or (["fp32", "bf16"] if prefers_bf16() else ["fp32"])
    able, left = [(PLAIN, "fp32")], []
    for name in wanted:
        for precision in precisions or (FORMATS if name == CUDA else formats):
            reason = _why_not(name, precision)
            if reason is None:
                able.append((name, precision))
            else:
                left.append(Left(name, precision, reason))
    return able, left


def _why_not(engine: str, precision: str) -> str | None:
    """Why a column cannot be measured here; None if it can."""
    if engine == CUDA:
        try:
            usable_device(CUDA)
        except UserError as error:
            return error.problem
        return None
    if precision == "fp16":
        return "fp16 is for graphics processors"
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    known = next(name for name in ENGINES if name == engine)
    refused = why_not(known, Setting(None, dtype, torch.device("cpu")))
    return None if refused is None else refused.problem


def bench(
    model: str,
    sizes: Sequence[tuple[int, int]],
    columns: Sequence[tuple[str, str]],
    *,
    rounds: int,
    picture: Path | None = None,
    tell: Tell = lambda _line: None,
) -> tuple[list[Row], list[Left]]:
    """Measure a network.

    Args:
        model: see `bluref.restore.models.find_model`, or a name of `restore.networks.backbones` for
            one with random weights.
        sizes: height and width of the pictures, px.
        columns: engine and precision of each; PLAIN in fp32 first.
        rounds: pictures that each engine deblurs for the median, after one to warm up.
        picture: is repeated to fill the sizes; smooth noise when None.
        tell: hears of progress.

    Returns:
        a row per size and column, and what failed on the way.
    """
    rows: list[Row] = []
    left: list[Left] = []
    for height, width in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_picture(_picture(picture, height, width), folder / "in.png")
            found, failed = _bench_size(model, (height, width), columns, rounds, folder, tell)
        rows += found
        left += failed
    return rows, left


def _bench_size(
    model: str,
    size: tuple[int, int],
    columns: Sequence[tuple[str, str]],
    rounds: int,
    folder: Path,
    tell: Tell,
) -> tuple[list[Row], list[Left]]:
    taken: dict[tuple[str, str], list[float]] = {}
    peaks: dict[tuple[str, str], int] = {}
    left = []
    with ExitStack() as stack:
        workers = {}
        for engine, precision in columns:
            tell(f"{size[1]}x{size[0]}: starting {engine} {precision}")
            worker = stack.enter_context(_worker(model, engine, precision, folder))
            reason = _ask(worker, "warm").get("error")
            if reason is None:
                workers[engine, precision] = worker
            elif engine == PLAIN:
                raise UserError(f"{model} cannot be measured: {reason}", "name another model")
            else:
                left.append(Left(engine, precision, str(reason)))
        for turn in range(rounds):
            tell(f"{size[1]}x{size[0]}: round {turn + 1} of {rounds}")
            for key, worker in workers.items():
                taken.setdefault(key, []).append(_number(_ask(worker, "run")["seconds"]))
        for key, worker in workers.items():
            peaks[key] = int(_number(_ask(worker, "peak")["bytes"]))
    seconds = {key: statistics.median(times) for key, times in taken.items()}
    exact = _output(folder, PLAIN, "fp32")
    return [
        Row(
            model=model,
            engine=engine,
            precision=precision,
            height=size[0],
            width=size[1],
            seconds=seconds[engine, precision],
            ratio_to_eager_fp32=seconds[PLAIN, "fp32"] / seconds[engine, precision],
            peak_memory_bytes=peaks[engine, precision],
            psnr_to_fp32=_psnr(_output(folder, engine, precision), exact),
        )
        for engine, precision in seconds
    ], left


@contextmanager
def _worker(
    model: str, engine: str, precision: str, folder: Path
) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds one engine and does what lines on its stdin say."""
    told = [model, engine, precision, str(folder), str(torch.get_num_threads())]
    process = subprocess.Popen(  # noqa: S603 - this interpreter and our own module
        [sys.executable, "-m", "bluref.restore.engines.bench_worker", *told],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _ask(worker: "subprocess.Popen[str]", order: str) -> dict[str, object]:
    if worker.stdin is None or worker.stdout is None:
        raise ValueError("a worker must have pipes")
    try:
        worker.stdin.write(order + "\n")
        worker.stdin.flush()
    except BrokenPipeError:
        return {"error": "its process died"}
    line = worker.stdout.readline()
    answer: dict[str, object] = json.loads(line) if line else {"error": "its process died"}
    if order != "warm" and "error" in answer:
        raise UserError(f"an engine failed while it ran: {answer['error']}", "measure it alone")
    return answer


def _number(value: object) -> float:
    return float(str(value))


def _output(folder: Path, engine: str, precision: str) -> Tensor:
    return torch.from_numpy(np.load(folder / f"{engine}-{precision}.npy", allow_pickle=False))


def _psnr(output: Tensor, exact: Tensor) -> float | None:
    error = (output.double() - exact.double()).square().mean().item()
    return None if error == 0 else -10 * log10(error)


def _picture(path: Path | None, height: int, width: int) -> Tensor:
    """A photograph repeated in mirrors to fill the size, or smooth noise."""
    if path is None:
        random = torch.Generator().manual_seed(0)
        noise = torch.rand(1, 3, height // 8 + 2, width // 8 + 2, generator=random)
        return F.interpolate(noise, (height, width), mode="bicubic").clamp(0, 1)
    image = read_picture(path)
    both = torch.cat([image, image.flip(-1)], dim=-1)
    both = torch.cat([both, both.flip(-2)], dim=-2)
    down, along = -(-height // both.shape[-2]), -(-width // both.shape[-1])
    return both.repeat(1, 1, down, along)[..., :height, :width]
