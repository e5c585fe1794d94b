import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.restore.networks import nafnet
from bluref.restore.networks.nafnet import ChannelNorm, NAFBlock, NAFNet, NAFNetConfig, gate
from bluref.restore.networks.pooling import local_pooling

TINY = NAFNetConfig(width=4, encoder=(1, 1), middle=1, decoder=(1, 1))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(7, 20), (16, 24), (41, 33)])
@pytest.mark.parametrize("window", [None, 16])
def test_strips_of_rows_give_what_whole_maps_give(monkeypatch, size, window):
    torch.manual_seed(0)
    network = NAFNet(NAFNetConfig(width=4, encoder=(1, 1), decoder=(1, 1))).double()
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.3)
    image = torch.rand(2, 3, *size, dtype=torch.float64)
    local_pooling(network, window)
    with torch.no_grad():
        monkeypatch.setattr(nafnet, "STRIP_BYTES", 2**40)
        whole = network(image)
        monkeypatch.setattr(nafnet, "STRIP_BYTES", 1)
        monkeypatch.setattr(nafnet, "_FEWEST_ROWS", 3)
        assert len(nafnet.strips_of(image)) > 1
        torch.testing.assert_close(network(image), whole)


def test_training_works_on_whole_maps(monkeypatch):
    monkeypatch.setattr(nafnet, "STRIP_BYTES", 1)
    assert nafnet.strips_of(torch.rand(1, 3, 50, 50)) == [slice(0, 50)]


def awake(module, seed=0):
    """The module with all weights random: fresh blocks are the identity, as beta = gamma = 0."""
    random = torch.Generator().manual_seed(seed)
    for value in module.parameters():
        value.data = torch.randn(value.shape, generator=random) * 0.3
    return module.eval()


@pytest.mark.slow
@settings(max_examples=15, deadline=None, database=None)
@given(h=st.integers(1, 21), w=st.integers(1, 21), b=st.integers(1, 2))
def test_any_size_goes_in_and_the_same_size_comes_out(h, w, b):
    image = torch.rand(b, 3, h, w)
    with torch.no_grad():
        assert awake(NAFNet(TINY))(image).shape == image.shape


def test_right_and_bottom_are_padded_with_zeros_to_the_multiple():
    network, image = awake(NAFNet(TINY)), torch.rand(1, 3, 9, 14)
    assert network.multiple == 4
    with torch.no_grad():
        whole = network(F.pad(image, (0, 2, 0, 3)))
        assert torch.equal(network(image), whole[..., :9, :14])


def test_a_fresh_block_changes_nothing():
    x = torch.randn(2, 8, 5, 6)
    assert torch.equal(NAFBlock(8, stride=1)(x), x)


def test_a_block_is_its_formula_read_literally():
    block, x = awake(NAFBlock(4, stride=1)).double(), torch.randn(2, 4, 5, 6).double()

    def norm(layer, x):
        mean, variance = x.mean(1, keepdim=True), x.var(1, correction=0, keepdim=True)
        scaled = (x - mean) / torch.sqrt(variance + 1e-6)
        return scaled * layer.weight.view(1, -1, 1, 1) + layer.bias.view(1, -1, 1, 1)

    def halves(x):
        return x[:, :4] * x[:, 4:]

    with torch.no_grad():
        a = halves(block.conv2(block.conv1(norm(block.norm1, x))))
        a = a * block.sca[1](a.mean((2, 3), keepdim=True))
        y = x + block.beta * block.conv3(a)
        z = y + block.gamma * block.conv5(halves(block.conv4(norm(block.norm2, y))))
        torch.testing.assert_close(block(x), z)


def test_images_of_a_batch_do_not_see_each_other():
    network, images = awake(NAFNet(TINY)), torch.rand(3, 3, 8, 12)
    with torch.no_grad():
        alone = torch.cat([network(image[None]) for image in images])
        torch.testing.assert_close(network(images), alone, atol=1e-5, rtol=1e-5)


def test_channels_last_gives_the_same_answer_and_is_kept():
    network, image = awake(NAFNet(TINY)), torch.rand(1, 3, 16, 12)
    with torch.no_grad():
        plain = network(image)
        fast = network.to(memory_format=torch.channels_last)
        output = fast(image.contiguous(memory_format=torch.channels_last))
        features = fast.intro(image)
    torch.testing.assert_close(output, plain, atol=1e-5, rtol=1e-5)
    assert output.is_contiguous(memory_format=torch.channels_last)
    assert features.is_contiguous(memory_format=torch.channels_last)


def test_the_norm_copies_nothing_in_channels_last():
    x = torch.randn(2, 8, 5, 6).contiguous(memory_format=torch.channels_last)
    assert ChannelNorm(8)(x).is_contiguous(memory_format=torch.channels_last)


def test_every_weight_learns():
    network = awake(NAFNet(TINY)).train()
    network(torch.rand(1, 3, 8, 8)).square().mean().backward()
    assert [name for name, p in network.named_parameters() if not p.grad.abs().sum() > 0] == []


def test_a_fresh_network_learns_from_the_first_step():
    torch.manual_seed(0)
    network = NAFNet(TINY)
    network(torch.rand(1, 3, 8, 8)).square().mean().backward()
    assert network.encoders[0][0].beta.grad.abs().sum() > 0


def test_the_gate_multiplies_the_first_half_by_the_second():
    x = torch.tensor([2.0, 3.0, 5.0, 7.0]).view(1, 4, 1, 1)
    assert gate(x).flatten().tolist() == [10, 21]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"encoder": (1, 1)}, "encoder has 2 levels, decoder 4"),
        ({"encoder": (), "decoder": ()}, r"levels must lie in \[1, 8\], got 0"),
        ({"width": 0}, r"width must lie in \[1, 1024\], got 0"),
        ({"middle": -1}, r"blocks per level must lie in \[0, 256\], got -1"),
        ({"decoder": (1, 1, 1, 257)}, "got 257"),
    ],
)
def test_a_config_says_what_is_wrong_with_it(wrong, message):
    with pytest.raises(ValueError, match=message):
        NAFNetConfig(**wrong)


def test_what_it_learns_in_bfloat16_is_what_it_learns_in_float32():
    """torch adds the gradients of a layer norm up in bfloat16: over so many pixels, nonsense."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 16, 96, 96, generator=generator)
    wanted = torch.randn(8, 16, 96, 96, generator=generator) + 0.01
    learnt = []
    for dtype in (torch.float32, torch.bfloat16):
        norm = ChannelNorm(16)
        (norm(x.to(dtype)).float() * wanted).sum().backward()
        learnt.append(torch.cat([norm.weight.grad, norm.bias.grad]))
    exact, coarse = learnt
    assert (coarse - exact).norm() < 0.01 * exact.norm()
