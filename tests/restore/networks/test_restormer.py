import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.restore.deblurrer import Deblurrer
from bluref.restore.networks.restormer import (
    GatedFeedForward,
    Restormer,
    RestormerConfig,
    TransformerBlock,
)

TINY = RestormerConfig(width=4, blocks=(1, 1, 1, 1), refinement=1, heads=(1, 2, 2, 4))


def awake(module, seed=0):
    """The module with all weights random: fresh norms and temperatures are 1."""
    random = torch.Generator().manual_seed(seed)
    for value in module.parameters():
        if value.ndim == 4:
            limit = value[0].numel() ** -0.5  # so that maps neither grow nor vanish on their way
            value.data = torch.randn(value.shape, generator=random) * limit
        else:
            value.data += torch.randn(value.shape, generator=random) * 0.3
    return module.eval()


@pytest.fixture(scope="module")
def network():
    return awake(Restormer(TINY))


@pytest.mark.slow
@settings(max_examples=15, deadline=None, database=None)
@given(h=st.integers(1, 21), w=st.integers(1, 21), b=st.integers(1, 2))
def test_any_size_goes_in_and_the_same_size_comes_out(network, h, w, b):
    image = torch.rand(b, 3, h, w)
    with torch.no_grad():
        assert network(image).shape == image.shape


def test_right_and_bottom_are_reflected_to_the_multiple(network):
    image = torch.rand(1, 3, 9, 14)
    assert network.multiple == 8
    with torch.no_grad():
        whole = network(F.pad(image, (0, 2, 0, 7), mode="reflect"))
        assert torch.equal(network(image), whole[..., :9, :14])


def test_a_network_whose_ending_is_zero_does_nothing():
    network, image = awake(Restormer(TINY)), torch.rand(1, 3, 11, 16)
    assert not torch.allclose(network(image), image)
    for parameter in network.ending.parameters():
        torch.nn.init.zeros_(parameter)
    assert torch.equal(network(image), image)


def test_the_feed_forward_network_is_its_formula_read_literally():
    layer, x = awake(GatedFeedForward(4, 6)).double(), torch.randn(2, 4, 5, 6).double()
    with torch.no_grad():
        wide = layer.dwconv(layer.project_in(x))
        a, b = wide[:, :6], wide[:, 6:]
        normal = 0.5 * (1 + torch.erf(a / 2**0.5))
        torch.testing.assert_close(layer(x), layer.project_out(a * normal * b))


def test_a_block_adds_two_halves_of_normalised_maps():
    block = awake(TransformerBlock(TINY, 1, 8)).double()
    x = torch.randn(2, 8, 5, 6).double()

    def norm(layer, x):
        mean, variance = x.mean(1, keepdim=True), x.var(1, correction=0, keepdim=True)
        scaled = (x - mean) / torch.sqrt(variance + 1e-5)
        return scaled * layer.weight.view(1, -1, 1, 1) + layer.bias.view(1, -1, 1, 1)

    with torch.no_grad():
        y = x + block.attn(norm(block.norm1.body, x))
        torch.testing.assert_close(block(x), y + block.ffn(norm(block.norm2.body, y)))


def test_images_of_a_batch_do_not_see_each_other(network):
    images = torch.rand(3, 3, 8, 16)
    with torch.no_grad():
        alone = torch.cat([network(image[None]) for image in images])
        torch.testing.assert_close(network(images), alone, atol=1e-5, rtol=1e-5)


def test_channels_last_gives_the_same_answer_and_is_kept():
    network, image = awake(Restormer(TINY)), torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        plain = network(image)
        fast = network.to(memory_format=torch.channels_last)
        output = fast(image.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(output, plain, atol=1e-5, rtol=1e-5)
    assert output.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("training_size", [None, 8])
def test_bf16_in_channels_last_is_close_to_fp32(training_size):
    torch.manual_seed(0)
    network, image = Restormer(TINY), torch.rand(1, 3, 32, 40)
    coarse = Deblurrer(network, training_size=training_size, precision="bf16")(image)
    exact = Deblurrer(network, training_size=training_size, precision="fp32")(image)
    error, change = (coarse - exact).square().mean(), (exact - image).square().mean()
    assert 0 < error < 0.05**2 * change


def test_local_pooling_changes_pictures_larger_than_its_windows_alone(network):
    local = Deblurrer(network, training_size=16, precision="fp32")
    plain = Deblurrer(network, training_size=16, local_pooling=False, precision="fp32")
    small, large = torch.rand(1, 3, 24, 24), torch.rand(1, 3, 24, 48)
    assert torch.equal(local(small), plain(small))
    assert not torch.allclose(local(large), plain(large))


def test_every_weight_learns():
    network = awake(Restormer(TINY)).train()
    network(torch.rand(1, 3, 16, 16)).square().mean().backward()
    assert [name for name, p in network.named_parameters() if not p.grad.abs().sum() > 0] == []


def test_heads_and_strides_follow_the_levels():
    network = Restormer(TINY)
    seen = {
        name: (len(module.attn.temperature), module.attn.stride)
        for name, module in network.named_modules()
        if isinstance(module, TransformerBlock)
    }
    assert seen == {
        "encoder_level1.0": (1, 1),
        "encoder_level2.0": (2, 2),
        "encoder_level3.0": (2, 4),
        "latent.0": (4, 8),
        "decoder_level3.0": (2, 4),
        "decoder_level2.0": (2, 2),
        "decoder_level1.0": (1, 1),
        "refinement.0": (1, 1),
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"blocks": (1, 1, 1)}, "blocks and heads must be given for 4 levels, got 3 and 4"),
        ({"heads": (1,)}, "got 4 and 1"),
        ({"width": 7}, r"width must be even in \[2, 1024\], got 7"),
        ({"width": 0}, "got 0"),
        ({"blocks": (1, 1, 0, 1)}, r"blocks per level must lie in \[1, 256\], got 0"),
        ({"refinement": 257}, "got 257"),
        ({"heads": (1, 2, 5, 8)}, "heads must divide 192 channels, got 5"),
        ({"expansion": 0.5}, r"expansion must lie in \[1, 16.0\], got 0.5"),
    ],
)
def test_a_config_says_what_is_wrong_with_it(wrong, message):
    with pytest.raises(ValueError, match=message):
        RestormerConfig(**wrong)
