import inspect

import pytest
import torch
from tests.media.films.films import Film
from torch import nn

from bluref.errors import UserError
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.files import save_network
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig
from bluref.restore.networks.pooling import ContextMean
from bluref.weights.precision import prefers_bf16

TINY = NAFNetConfig(width=4, encoder=(1, 1, 1), middle=1, decoder=(1, 1, 1))


class Spy(nn.Module):
    """Remembers what it was given and returns twice that, minus a half."""

    multiple = 8

    def forward(self, x):
        self.seen = x
        return 2 * x - 0.5


@pytest.fixture
def network():
    random = torch.Generator().manual_seed(0)
    network = NAFNet(TINY)
    for value in network.parameters():
        value.data = torch.randn(value.shape, generator=random) * 0.2
    return network


@pytest.mark.parametrize(
    ("picture", "told"),
    [
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "fractions"),
        (torch.full((1, 3, 8, 8), 255.0), "divide by 255"),
        (torch.zeros(3, 8, 8), "b 3 h w"),
        (torch.zeros(1, 1, 8, 8), "b 3 h w"),
        (torch.zeros(1, 3, 0, 8), "b 3 h w"),
        ("a.png", "read_picture"),
    ],
)
def test_what_is_no_picture_in_fractions_is_refused(picture, told):
    call = inspect.unwrap(Deblurrer.__call__)  # as users have it, without checks of annotations
    with pytest.raises(ValueError, match=told):
        call(Deblurrer(Spy(), training_size=None, precision="fp32"), picture)


def test_a_device_that_is_not_there_is_told(network, tmp_path):
    save_network(network, tmp_path, training_size=None, meta={})
    with pytest.raises(UserError, match="cannot compute on"):
        Deblurrer.from_pretrained(tmp_path, device="cuda:77")


@pytest.mark.parametrize("size", [(16, 24), (9, 17), (1, 1), (1, 30), (5, 8), (4, 12), (12, 4)])
def test_any_size_comes_back_in_its_size_clamped(size):
    spy, image = Spy(), torch.rand(2, 3, *size)
    output = Deblurrer(spy, training_size=None, precision="fp32")(image)
    torch.testing.assert_close(output, (2 * image - 0.5).clamp(0, 1))
    assert [side % 8 for side in spy.seen.shape[-2:]] == [0, 0]
    assert spy.seen.is_contiguous(memory_format=torch.channels_last)
    assert output.is_contiguous()


def test_a_blurry_image_is_left_untouched(network):
    image = torch.rand(1, 3, 20, 20)
    before = image.clone()
    Deblurrer(network, training_size=8)(image)
    assert torch.equal(image, before)


def test_local_pooling_holds_for_the_call_only(network):
    image = torch.rand(1, 3, 40, 56)
    plain = Deblurrer(network, training_size=8, local_pooling=False, precision="fp32")
    local = Deblurrer(network, training_size=8, precision="fp32")
    unknown = Deblurrer(network, training_size=None, precision="fp32")
    first = plain(image)
    assert not torch.allclose(local(image), first)
    assert {m.window for m in network.modules() if isinstance(m, ContextMean)} == {None}
    assert torch.equal(plain(image), first)
    assert torch.equal(unknown(image), first)


def test_weights_that_go_on_changing_are_followed(network):
    deblur, image = Deblurrer(network, training_size=None), torch.rand(1, 3, 8, 8)
    before = deblur(image)
    with torch.no_grad():
        network.ending.bias += 0.1
    assert not torch.equal(deblur(image), before)


@pytest.mark.slow
def test_no_gradient_is_kept(network):
    image = torch.rand(1, 3, 8, 8, requires_grad=True)
    assert not Deblurrer(network, training_size=None)(image).requires_grad


def test_bf16_is_close_to_fp32_and_comes_back_as_float32(network):
    image = torch.rand(1, 3, 32, 40)
    coarse = Deblurrer(network, training_size=16, precision="bf16")(image)
    exact = Deblurrer(network, training_size=16, precision="fp32")(image)
    assert coarse.dtype == torch.float32
    assert 0 < (coarse - exact).abs().max() < 0.05


def test_auto_takes_bf16_where_tiles_are(network, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    assert prefers_bf16()
    assert Deblurrer(network, training_size=None).bf16
    assert not Deblurrer(network, training_size=None, precision="fp32").bf16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert not prefers_bf16()
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not prefers_bf16()


def test_a_saved_network_is_ready_to_use(network, tmp_path):
    save_network(network, tmp_path, training_size=16, meta={})
    image = torch.rand(1, 3, 40, 40)
    ours = Deblurrer(network, training_size=16)(image)
    assert torch.equal(Deblurrer.from_pretrained(tmp_path)(image), ours)
    assert Deblurrer.from_pretrained(tmp_path, local_pooling=False).window_of is None
    assert not Deblurrer.from_pretrained(str(tmp_path), precision="fp32").bf16


def test_the_identity_does_nothing():
    image = torch.rand(2, 3, 7, 5)
    assert torch.equal(Deblurrer.identity()(image), image)


def test_an_unknown_precision_is_refused(network):
    with pytest.raises(Exception, match="precision"):
        Deblurrer(network, training_size=None, precision="fp8")


@pytest.mark.slow
def test_a_video_is_begun_anew_with_other_weights_or_another_precision(tmp_path):
    class Stop(torch.nn.Module):
        def __init__(self, weight, frames):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor(weight))
            self.frames = frames

        def forward(self, x):
            self.frames -= 1
            if self.frames < 0:
                raise KeyboardInterrupt
            return x * self.weight

    def deblurrer(weight, frames, precision="fp32"):
        return Deblurrer(Stop(weight, frames), training_size=None, precision=precision)

    source = Film("libx264", size=(16, 32), frames=70).write(tmp_path / "a.mp4")
    for number, other in enumerate([deblurrer(0.8, 99), deblurrer(0.9, 99, "bf16")]):
        target = tmp_path / f"{number}.mp4"
        with pytest.raises(KeyboardInterrupt):
            deblurrer(0.9, 65).video(source, target)
        report = other.video(source, target)
        assert (report.frames, report.resumed) == (70, 0)
        assert any("model" in note for note in report.notes)
    with pytest.raises(KeyboardInterrupt):
        deblurrer(0.9, 65).video(source, target)
    assert deblurrer(0.9, 99).video(source, target).resumed == 60


def test_the_fingerprint_changes_with_all_that_changes_the_output(network):
    def of(model=network, size=64, precision="fp32", **how):
        return Deblurrer(model, training_size=size, precision=precision, **how).fingerprint

    first = of()
    assert of() == first
    others = [of(size=32), of(local_pooling=False), of(precision="bf16")]
    with torch.no_grad():
        next(network.parameters()).add_(1e-3)
    others.append(of())
    assert len({first, *others}) == 5


def test_margins_follow_the_window_of_local_pooling_or_else_the_reach(network):
    assert Deblurrer(network, training_size=128).margin == 96
    assert Deblurrer(network, training_size=128).multiple == network.multiple == 8
    alone = Deblurrer(network, training_size=None)
    assert alone.margin == min(48, network.receptive_radius)
    assert Deblurrer.identity().margin == 0


def test_the_same_network_can_be_pooled_globally(network):
    image = torch.rand(1, 3, 40, 56)
    local = Deblurrer(network, training_size=8, precision="fp32")
    plain = Deblurrer(network, training_size=None, precision="fp32")
    before = local(image)
    assert torch.equal(local.pooled_globally()(image), plain(image))
    assert torch.equal(local(image), before)
    assert plain.pooled_globally() is None
