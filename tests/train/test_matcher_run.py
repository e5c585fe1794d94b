"""Training a matcher: on the same loop, resumable to the bit, by one process or by several."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from bluref.errors import UserError
from bluref.match.files import load_matcher, save_matcher
from bluref.match.pdcnet.config import COMPACT
from bluref.match.pdcnet.network import PDCNet
from bluref.media.picture import picture_size, write_picture
from bluref.train.matcher_recipe import MatcherRecipe
from bluref.train.matcher_run import pair_config, train_matcher
from bluref.train.metrics import read_metrics
from bluref.train.observe import Observer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sharp(tmp_path_factory):
    """A folder of two textured pictures."""
    folder = tmp_path_factory.mktemp("sharp")
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(1, 3, 40, 45, generator=generator)
        picture = F.interpolate(coarse, (240, 270), mode="bicubic").clamp(0, 1)
        write_picture(picture, folder / f"{seed}.png")
    return folder


RECIPE = MatcherRecipe(
    steps=4,
    batch=1,
    crop=128,
    first_steps=2,
    ramp=1,
    save_every=2,
    log_every=1,
    snapshot_every=100,
    precision="fp32",
)


@pytest.fixture(scope="module")
def straight(sharp, tmp_path_factory):
    """An uninterrupted run."""
    run = tmp_path_factory.mktemp("straight") / "run"
    assert train_matcher([sharp], run, RECIPE).finished
    return run


def test_a_hundred_pairs_can_be_looked_at_before_the_first_step(sharp, tmp_path):
    from bluref.report.watch import Watch

    with Watch() as watch:
        recipe = MatcherRecipe(**{**RECIPE.__dict__, "steps": 1, "snapshot_every": 1})
        train_matcher([sharp], tmp_path / "run", recipe, observer=watch)
    assert min(picture_size(tmp_path / "run" / "pairs.jpg")) > 1000
    assert (tmp_path / "run" / "curves.png").stat().st_size > 0


def test_a_run_leaves_a_matcher_and_its_metrics(straight, sharp):
    matcher = load_matcher(straight)
    image = torch.rand(1, 3, 130, 140)
    match = matcher.match(matcher.encode(image), matcher.encode(image))
    assert match.flow.shape == (1, 2, 130, 140)
    rows = read_metrics(straight / "metrics.csv")
    assert [row["phase"] for row in rows] == ["small", "small", "large", "large"]
    assert all(float(row["epe_zero"]) > 0 for row in rows)


def test_interrupted_and_resumed_it_ends_in_the_same_bits(digest, straight, sharp, tmp_path):
    class Interrupting(Observer):
        def on_step(self, step, loss):
            if step == 3:
                os.kill(os.getpid(), signal.SIGINT)

    run = tmp_path / "run"
    assert not train_matcher([sharp], run, RECIPE, observer=Interrupting()).finished
    assert train_matcher([sharp], run, RECIPE, resume=True).finished
    assert digest(run) == digest(straight)


def test_killed_between_checkpoints_it_ends_in_the_same_bits(digest, straight, sharp, tmp_path):
    class Killed(BaseException):
        pass

    class Deadly(Observer):
        def on_step(self, step, loss):
            if step == 3:
                raise Killed

    run = tmp_path / "run"
    with pytest.raises(Killed):
        train_matcher([sharp], run, RECIPE, observer=Deadly())
    assert train_matcher([sharp], run, RECIPE, resume=True).finished
    assert digest(run) == digest(straight)


def test_it_learns(sharp, tmp_path):
    """The likelihood of pairs seen again and again rises."""
    recipe = MatcherRecipe(
        **{**RECIPE.__dict__, "steps": 30, "first_steps": 0, "learning_rate": 1e-3, "ramp": 5}
    )
    train_matcher([sharp], tmp_path / "run", recipe)
    losses = [float(row["loss"]) for row in read_metrics(tmp_path / "run" / "metrics.csv")]
    assert sum(losses[-8:]) < 0.8 * sum(losses[:8])


def test_motion_and_blur_grow_to_the_recipes(sharp):
    small, full = (
        pair_config(RECIPE, crop=128, share=share, generator=torch.Generator().manual_seed(0))
        for share in (1 / 3, 1.0)
    )
    assert small.geometry.max_shift == pytest.approx(full.geometry.max_shift / 3)
    assert 0 < full.geometry.max_shift <= RECIPE.max_shift
    assert small.camera.motion.length[1] < full.camera.motion.length[1] == RECIPE.blur_length


def test_other_settings_are_refused_on_resume(straight, sharp):
    changed = MatcherRecipe(**{**RECIPE.__dict__, "max_shift": 5.0})
    with pytest.raises(UserError, match=r"max_shift: 64\.0 -> 5\.0"):
        train_matcher([sharp], straight, changed, resume=True)


def test_it_starts_from_a_matcher_trained_before_which_may_be_gone_on_resume(
    straight, sharp, tmp_path
):
    start = tmp_path / "start"
    shutil.copytree(straight / "last", start)
    recipe = replace(RECIPE, init=str(start), steps=2)
    train_matcher([sharp], tmp_path / "run", recipe)
    first = load_file(tmp_path / "run" / "last" / "training.safetensors")
    before = load_file(start / "model.safetensors")
    # Two steps away from where it began, which no fresh network is.
    assert all((first[f"network.{k}"] - v).abs().max() < 1e-2 for k, v in before.items())
    shutil.rmtree(start)
    assert train_matcher([sharp], tmp_path / "run", recipe, resume=True).finished


def test_before_its_first_checkpoint_it_begins_from_no_other_weights_than_before(
    straight, sharp, tmp_path
):
    start, run = tmp_path / "start", tmp_path / "run"
    shutil.copytree(straight / "last", start)
    recipe = replace(RECIPE, init=str(start), steps=1)
    train_matcher([sharp], run, recipe)
    shutil.rmtree(run / "last")
    torch.manual_seed(1)
    save_matcher(PDCNet(COMPACT), start, meta={})
    with pytest.raises(UserError, match="not the init any more"):
        train_matcher([sharp], run, recipe, resume=True)


@pytest.mark.parametrize(
    ("network", "told"), [("pdcnet-plus", "of other sizes"), (None, "no model at")]
)
def test_a_matcher_it_cannot_start_from_is_told_before_anything_is_written(
    straight, sharp, tmp_path, network, told
):
    start = straight / "last" if network else tmp_path / "nothing"
    asked = replace(RECIPE, init=str(start), network=network or RECIPE.network)
    with pytest.raises(UserError, match=told):
        train_matcher([sharp], tmp_path / "run", asked)
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_there_is_told(sharp, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(UserError, match="cannot compute on 'cuda'"):
        train_matcher([sharp], tmp_path / "run", RECIPE, device="cuda")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", 2**63),
        ("crop", 100),
        ("crop", 132),
        ("still", 1.0),
        ("strength", (0.5, 0.1)),
        ("network", "x"),
    ],
)
def test_what_no_run_could_do_is_refused(field, value):
    with pytest.raises(UserError, match=field):
        MatcherRecipe(**{field: value})


def test_two_processes_do_what_one_does_with_twice_the_batch(sharp, tmp_path):
    settings = ["--steps", "3", "--first-steps", "3", "--ramp", "1", "--precision", "fp32"]
    one, two = tmp_path / "one", tmp_path / "two"
    launch = [sys.executable, "-W", "ignore", "-m"]
    verb = ["bluref", "train-matcher", str(sharp), *settings]
    several = ["torch.distributed.run", "--nproc_per_node", "2", "-m"]
    for command in (
        [*launch, *verb, "-o", str(one), "--batch", "2"],
        [*launch, *several, *verb, "-o", str(two), "--batch", "1"],
    ):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=200, env=environment
        )
        assert done.returncode == 0, done.stderr
    a, b = (load_file(run / "last" / "training.safetensors") for run in (one, two))
    torch.manual_seed(0)
    start = PDCNet(COMPACT).state_dict()
    moved, apart = 0.0, 0.0
    for name, value in a.items():
        before = start[name.removeprefix("network.")]
        moved += (value - before).square().sum().item()
        apart += (value - b[name]).square().sum().item()
    # Adam magnifies the rounding of gradients that are nearly nothing.
    assert apart < 1e-4 * moved
