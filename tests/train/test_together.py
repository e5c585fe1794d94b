"""Several processes that train one deblurring network."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bluref.restore.networks.backbones import build_backbone
from bluref.train.batches import Drawing
from bluref.train.losses import masked_loss

SETTINGS = {
    "--matcher": "dis",
    "--steps": 6,
    "--warm-start": 2,
    "--refresh-every": 2,
    "--ramp": 1,
    "--crop": 32,
    "--refs": 2,
    "--anchor": 0.5,
    "--reblur": 0.5,
    "--precision": "fp32",
    "--snapshot-every": 100,
}


# As `accelerate launch` of the README; port 0 is any that is free.
TOGETHER = [
    "accelerate.commands.launch",
    "--multi_gpu",
    "--num_processes",
    "2",
    "--main_process_port",
    "0",
    "-m",
]
ALONE = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(footage, run, changes, *, several, resume=False):
    launch = TOGETHER if several else []
    settings = [str(word) for option in (SETTINGS | changes).items() for word in option]
    verb = ["bluref", "train", str(footage), "-o", str(run), *settings]
    return [sys.executable, "-W", "ignore", "-m", *launch, *verb, *["--resume"][: int(resume)]]


def train(footage, run, changes, *, several=False, resume=False):
    done = subprocess.run(
        command(footage, run, changes, several=several, resume=resume),
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env=ALONE,
    )
    assert done.returncode == 0, done.stderr


def kill_at_step(step, footage, run, changes, *, only=None):
    """Two processes and their launcher, killed without warning; or one, by its number alone.

    Returns:
        the exit status of the launcher.
    """
    started = subprocess.Popen(
        command(footage, run, changes, several=True),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=ALONE,
    )
    given_up = time.monotonic() + 200
    while _steps_saved(run) < step and started.poll() is None and time.monotonic() < given_up:
        time.sleep(0.05)
    alive = [path.parent for path in Path("/proc").glob("[0-9]*/cmdline") if _names(path, run)]
    assert len(alive) == 3
    rank = f"RANK={only}".encode()
    killed = [p for p in alive if only is None or rank in (p / "environ").read_bytes().split(b"\0")]
    assert len(killed) == (3 if only is None else 1)
    for process in killed:
        os.kill(int(process.name), signal.SIGKILL)
    return started.wait(timeout=200)


def _names(path, run):
    """Whether a process was started with this run on its command line."""
    with contextlib.suppress(OSError):  # it has ended meanwhile
        return os.fsencode(run) in path.read_bytes().split(b"\0")
    return False


def _steps_saved(run):
    try:
        return json.loads((run / "last" / "meta.json").read_text())["step"]
    except (OSError, ValueError):
        return -1


def entries(run):
    """Of the last round: what it holds by name."""
    return {path.name: path.read_bytes() for path in (run / "bank").glob("round-*/*.safetensors")}


SHARED = {"--batch": 2, "--save-every": 1, "--steps": 8}


@pytest.fixture(scope="module")
def two(footage, tmp_path_factory):
    """A run of two processes that nobody interrupted."""
    run = tmp_path_factory.mktemp("together") / "two"
    train(footage, run, SHARED, several=True)
    return run


@pytest.mark.slow
def test_two_processes_do_what_one_does_with_twice_the_batch(footage, two, tmp_path):
    one = tmp_path / "one"
    train(footage, one, SHARED | {"--batch": 4})
    a, b = (load_file(run / "last" / "training.safetensors") for run in (one, two))
    torch.manual_seed(0)
    start = build_backbone("small").state_dict()
    start = {name: torch.zeros_like(v) if "ending" in name else v for name, v in start.items()}
    moved = sum((value - start[name]).square().sum().item() for name, value in a.items())
    apart = sum((value - b[name]).square().sum().item() for name, value in a.items())
    # Adam magnifies the rounding of gradients that are nearly nothing.
    assert moved > 0
    assert apart < 1e-4 * moved


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found through /proc")
@pytest.mark.parametrize("only", [None, 1])
def test_two_processes_that_are_killed_leave_a_run_that_goes_on_to_the_same_weights(
    footage, two, tmp_path, digest, only
):
    broken = tmp_path / "broken"
    assert kill_at_step(3, footage, broken, SHARED, only=only) != 0
    assert 3 <= _steps_saved(broken) < 8
    train(footage, broken, SHARED, several=True, resume=True)
    assert digest(broken) == digest(two)


@pytest.mark.slow
def test_two_processes_fill_the_same_bank(footage, two, tmp_path):
    """Of matches on what a network makes of the blurry frames."""
    alone, together = tmp_path / "one", tmp_path / "two"
    round_0 = {"--warm-start": 0, "--steps": 1, "--init": two / "last"}
    train(footage, alone, {**round_0, "--batch": 4})
    train(footage, together, {**round_0, "--batch": 2}, several=True)
    assert len(entries(alone)) == 8
    assert entries(alone) == entries(together)


def test_processes_draw_what_one_would_draw_for_all_of_them():
    whole = [g.initial_seed() for g in Drawing(3, 8, 32).generators(5)]
    parts = [Drawing(3, 4, 32).shared(rank, 2).generators(5) for rank in range(2)]
    assert [g.initial_seed() for part in parts for g in part] == whole
    own, synthetic = Drawing(3, 8, 32).parted(0.25)
    own2, synthetic2 = Drawing(3, 4, 32).parted(0.25)
    for whole_part, part, before in ((own, own2, 0), (synthetic, synthetic2, own2.batch)):
        shared = [part.shared(rank, 2, before=before) for rank in range(2)]
        drawn = [g.initial_seed() for one in shared for g in one.generators(5)]
        assert drawn == [g.initial_seed() for g in whole_part.generators(5)]


def test_an_image_counts_as_much_in_whichever_process_it_is():
    torch.manual_seed(0)
    output, target = torch.rand(4, 3, 8, 8, requires_grad=True), torch.rand(4, 3, 8, 8)
    weight = torch.rand(4, 1, 8, 8)
    weight[2] = 0  # of the second process' two images only one counts
    settings = {"kind": "l1", "min_coverage": 0.05}
    together = masked_loss(output, target, weight, **settings)
    (whole,) = torch.autograd.grad(together, output)
    halves = [
        masked_loss(
            output[part], target[part], weight[part], **settings, mean=lambda _: torch.tensor(1.5)
        )
        for part in (slice(0, 2), slice(2, 4))
    ]
    (shared,) = torch.autograd.grad(sum(halves) / 2, output)
    torch.testing.assert_close(shared, whole)
