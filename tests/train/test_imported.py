import pytest
import torch

from bluref.errors import UserError
from bluref.match.pdcnet.convert import pdcnet_from_state_dict
from bluref.match.pdcnet.network import PDCNet
from bluref.restore.files import load_network
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig
from bluref.restore.networks.restormer import Restormer, RestormerConfig
from bluref.train.imported import import_checkpoint, plain_weights, recognise

pytestmark = pytest.mark.slow

SMALL = NAFNetConfig(width=4, encoder=(1, 1), middle=1, decoder=(1, 1))
CHANNELS = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256)}
CHANNELS |= {14: (256, 256), 17: (256, 512), 19: (512, 512), 21: (512, 512)}
VGG = {f"features.{n}.weight": torch.full((b, a, 3, 3), n / 100) for n, (a, b) in CHANNELS.items()}
VGG |= {f"features.{n}.bias": torch.full((b,), n / 10) for n, (_, b) in CHANNELS.items()}


def same(network, expected):
    ours, theirs = network.state_dict(), expected.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.fixture(scope="module")
def published(parity):
    return parity.weights("pdcnet_plus/pdcnet_state_dict.json")


@pytest.fixture
def nafnet(tmp_path):
    network = NAFNet(SMALL)
    torch.save({"params": network.state_dict()}, tmp_path / "nafnet.pth")
    return network


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"params": s},
        lambda s: {"state_dict": s, "epoch": 4},
        lambda s: {"model": {f"module.{name}": value for name, value in s.items()}},
        lambda s: {f"module.{name}": value for name, value in s.items()},
    ],
)
def test_weights_come_out_of_every_wrapping(tmp_path, wrap):
    network = NAFNet(SMALL)
    torch.save(wrap(network.state_dict()), tmp_path / "net.pth")
    imported = import_checkpoint(tmp_path / "net.pth", tmp_path / "net")
    assert imported.kind == "NAFNet"
    saved = load_network(tmp_path / "net")
    assert same(saved.model, network)
    assert saved.training_size == 256
    assert saved.meta == {"imported": "NAFNet", "from": "net.pth"}


def test_a_restormer_is_recognised_and_saved_with_the_last_crop_of_its_training(tmp_path):
    network = Restormer(RestormerConfig(width=4, blocks=(1, 1, 2, 1), heads=(1, 1, 2, 4)))
    torch.save({"params": network.state_dict()}, tmp_path / "motion_deblurring.pth")
    imported = import_checkpoint(tmp_path / "motion_deblurring.pth", tmp_path / "net")
    assert imported.kind == "Restormer"
    saved = load_network(tmp_path / "net")
    assert same(saved.model, network)
    assert saved.training_size == 384


def test_weights_of_half_precision_become_whole(tmp_path):
    network = NAFNet(SMALL).half()
    torch.save(network.state_dict(), tmp_path / "net.pth")
    import_checkpoint(tmp_path / "net.pth", tmp_path / "net")
    assert same(load_network(tmp_path / "net").model, network.float())


@pytest.mark.parametrize(
    "weights",
    [
        {"encoder.weight": torch.ones(3)},
        {**NAFNet(SMALL).state_dict(), **VGG},  # two kinds at once
    ],
)
def test_unknown_kinds_are_refused_with_what_is_known(tmp_path, weights):
    with pytest.raises(UserError, match=r"a\.pth is of no kind") as caught:
        recognise(weights, tmp_path / "a.pth")
    assert all(word in caught.value.fix for word in ("NAFNet", "Restormer", "PDC-Net+", "VGG-16"))


@pytest.mark.parametrize(
    "value",
    [
        torch.tensor([1.0, torch.nan]),
        torch.ones(2, dtype=torch.complex64),
        torch.ones(2).to_sparse(),
        torch.ones(1).expand(2**40),
        torch.ones(2, device="meta"),
    ],
)
def test_only_dense_finite_numbers_are_weights(tmp_path, value):
    with pytest.raises(UserError, match=r"net\.pth has in 'b' something else"):
        plain_weights({"a": torch.ones(1), "b": value}, tmp_path / "net.pth")


@pytest.mark.parametrize("found", [{}, {"epoch": 3}, {"state_dict": {}}, {"model": {0: 1}}])
def test_checkpoints_without_weights_are_refused(tmp_path, found):
    with pytest.raises(UserError, match="holds no weights"):
        plain_weights(found, tmp_path / "net.pth")


def test_vgg_makes_a_network_to_start_from_always_the_same(tmp_path):
    state = torch.random.get_rng_state()
    first, second = (recognise({**VGG, "classifier.0.bias": torch.ones(2)}, tmp_path) for _ in "12")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.kind == "VGG-16"
    assert isinstance(first.network, PDCNet)
    assert first.network.config.name == "pdcnet-plus"
    for pyramid in (first.network.pyramid, first.network.coarse_pyramid):
        assert torch.equal(pyramid.groups[3][2].weight, VGG["features.21.weight"])
    assert same(first.network, second.network)


def test_parity_of_one_pyramid_less_is_a_pdcnet(published, tmp_path):
    weights = {k: v for k, v in published.items() if not k.startswith("pyramid_256.")}
    imported = recognise(weights, tmp_path)
    assert imported.kind == "PDC-Net"
    assert same(imported.network, pdcnet_from_state_dict(weights))


def test_parity_of_weights_that_are_missing_or_rotated_are_refused(published, tmp_path):
    name = "decoder2.conv_0.0.weight"
    rotated = {**published, name: published[name].permute(1, 0, 2, 3).contiguous()}
    missing = {k: v for k, v in published.items() if k != name}
    for weights in (rotated, missing):
        with pytest.raises(UserError, match=r"net\.pth: the weights are not those of a PDC-Net"):
            recognise(weights, tmp_path / "net.pth")


def test_parity_of_a_lacking_pyramid_is_filled_from_vgg(published, tmp_path):
    heads = {k: v for k, v in published.items() if not k.startswith("pyramid")}
    torch.save(heads, tmp_path / "heads.pth")
    torch.save(VGG, tmp_path / "vgg16.pth")
    with pytest.raises(UserError, match="not those of a PDC-Net"):
        import_checkpoint(tmp_path / "heads.pth", tmp_path / "net")
    assert not (tmp_path / "net").exists()
    imported = import_checkpoint(
        tmp_path / "heads.pth", tmp_path / "net", vgg=tmp_path / "vgg16.pth"
    )
    assert imported.kind == "PDC-Net"
    assert torch.equal(imported.network.pyramid.groups[0][0].bias, VGG["features.0.bias"])


def test_a_pyramid_that_nobody_needs_is_refused(nafnet, tmp_path):
    torch.save(VGG, tmp_path / "vgg16.pth")
    vgg = tmp_path / "vgg16.pth"
    with pytest.raises(UserError, match=r"nafnet\.pth is not a PDC-Net"):
        import_checkpoint(tmp_path / "nafnet.pth", tmp_path / "net", vgg=vgg)
    own = {"corr.corr_module.a": torch.ones(1), "pyramid.level_0.0.bias": torch.ones(1)}
    torch.save(own, tmp_path / "own.pth")
    with pytest.raises(UserError, match=r"own\.pth has a feature pyramid of its own"):
        import_checkpoint(tmp_path / "own.pth", tmp_path / "net", vgg=vgg)


def test_a_folder_with_something_in_it_is_left_alone(nafnet, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text("steps: 3\n")
    with pytest.raises(UserError, match="run is not empty"):
        import_checkpoint(tmp_path / "nafnet.pth", tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["recipe.yaml"]
