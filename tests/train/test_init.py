"""Runs that start from a network trained elsewhere."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from bluref.errors import UserError
from bluref.restore.files import load_network, save_network
from bluref.restore.models import shipped_models
from bluref.restore.networks.backbones import BACKBONES, build_backbone
from bluref.train.run import train

pytestmark = pytest.mark.slow


@pytest.fixture
def pretrained():
    torch.manual_seed(3)
    return build_backbone("small")


def frozen(recipe, **changes):
    """A recipe whose steps move nothing that float32 could tell."""
    return replace(recipe, steps=2, warm_start=2, learning_rate=1e-30, final_rate=1e-31, **changes)


def weights(path):
    return load_network(path).model.state_dict()


def assert_same(found, expected):
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=1e-6)


def test_a_run_starts_from_a_network_of_ours(footage, recipe, pretrained, tmp_path):
    save_network(pretrained, tmp_path / "before", training_size=32, meta={})
    train(footage, tmp_path / "run", frozen(recipe, init=str(tmp_path / "before")))
    assert_same(weights(tmp_path / "run"), pretrained.state_dict())
    assert weights(tmp_path / "run")["ending.weight"].abs().max() > 0  # not begun by doing nothing


@pytest.mark.parametrize("name", ["wrapped.pth", "plain.ckpt", "plain.safetensors"])
def test_a_run_starts_from_a_published_checkpoint(footage, recipe, pretrained, tmp_path, name):
    state = pretrained.state_dict()
    if name.endswith(".safetensors"):
        save_file(state, tmp_path / name)
    else:
        torch.save({"params": state} if "wrapped" in name else state, tmp_path / name)
    train(footage, tmp_path / "run", frozen(recipe, init=str(tmp_path / name)))
    assert_same(weights(tmp_path / "run"), state)


def test_what_it_started_from_may_be_gone_when_it_is_resumed(footage, recipe, pretrained, tmp_path):
    save_network(pretrained, tmp_path / "before", training_size=32, meta={})
    begun = frozen(recipe, init=str(tmp_path / "before"))
    train(footage, tmp_path / "run", begun)
    (tmp_path / "before" / "model.safetensors").unlink()
    assert train(footage, tmp_path / "run", begun, resume=True).finished


def test_weights_of_another_backbone_are_refused(footage, recipe, tmp_path):
    other = build_backbone("light")
    save_network(other, tmp_path / "before", training_size=32, meta={})
    with pytest.raises(UserError, match="before does not hold the weights of a small") as caught:
        train(footage, tmp_path / "run", frozen(recipe, init=str(tmp_path / "before")))
    assert "--backbone" in caught.value.fix


@pytest.mark.parametrize("name", ["nothing", "nothing.pth", "identity"])
def test_a_start_that_is_missing_is_named_before_anything_is_written(
    footage, recipe, tmp_path, name
):
    init = name if name == "identity" else str(tmp_path / name)
    with pytest.raises(UserError, match=name):
        train(footage, tmp_path / "run", frozen(recipe, init=init))
    assert not (tmp_path / "run").exists()


def test_a_network_of_the_package_is_known_by_its_name(footage, recipe, tmp_path):
    shipped = load_network(shipped_models()["general"])
    backbone = next(n for n, c in BACKBONES.items() if c == shipped.model.config)
    begun = frozen(recipe, init="general", backbone=backbone)
    train(footage, tmp_path / "run", begun)
    assert_same(weights(tmp_path / "run"), shipped.model.state_dict())


def test_a_published_matcher_is_no_deblurring_network(footage, recipe, tmp_path):
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "vgg.pth")
    with pytest.raises(UserError, match=r"vgg\.pth"):
        train(footage, tmp_path / "run", frozen(recipe, init=str(tmp_path / "vgg.pth")))


@pytest.mark.parametrize("given", [True, False])
def test_a_network_that_can_deblur_teaches_from_the_first_round(
    footage, recipe, pretrained, tmp_path, given
):
    save_network(pretrained, tmp_path / "before", training_size=32, meta={})
    init = str(tmp_path / "before") if given else None
    train(footage, tmp_path / "run", replace(recipe, steps=1, warm_start=0, init=init))
    teacher = tmp_path / "run" / "bank" / "round-0000" / "teacher"
    assert teacher.is_dir() == given
    if given:
        assert load_network(teacher).training_size == recipe.crop
        assert_same(weights(teacher), pretrained.state_dict())


def test_a_teacher_can_pool_over_whole_frames(footage, recipe, pretrained, tmp_path):
    save_network(pretrained, tmp_path / "before", training_size=32, meta={})
    asked = replace(recipe, steps=1, warm_start=0, local_pooling=False)
    train(footage, tmp_path / "run", replace(asked, init=str(tmp_path / "before")))
    teacher = load_network(tmp_path / "run" / "bank" / "round-0000" / "teacher")
    assert teacher.training_size is None
    assert load_network(tmp_path / "run").training_size == recipe.crop  # who uses it pools
