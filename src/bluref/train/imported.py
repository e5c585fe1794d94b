"""Checkpoints that others have published, made into networks of BluRef."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bluref.errors import UserError
from bluref.match.files import save_matcher
from bluref.match.pdcnet.config import PAPER
from bluref.match.pdcnet.convert import pdcnet_from_state_dict
from bluref.match.pdcnet.network import PDCNet
from bluref.match.pdcnet.vgg import load_imagenet, pyramid_weights
from bluref.restore.files import SavedNetwork, save_network
from bluref.restore.models import find_model, is_published
from bluref.restore.networks.backbones import Backbone, build_backbone
from bluref.restore.networks.convert import nafnet_from_state_dict, restormer_from_state_dict
from bluref.weights.published import read_published

WRAPPINGS = ("params_ema", "params", "state_dict", "model")
"""Names under which trainers keep the state dict, among other things; the averaged one first."""

# Side of the crops that the published networks for deblurring have seen, px; of Restormer's, which
# grew (Sec. 4 of its paper), the last. Local pooling is made for it.
CROPS = {"NAFNet": 256, "Restormer": 384}
# Of the heads that have no published weights.
SEED = 0

_PARALLEL = "module."

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Imported:
    """What a checkpoint was.

    Attributes:
        kind: NAFNet, Restormer, PDC-Net, PDC-Net+ or VGG-16.
        network: with its weights, float32.
    """

    kind: str
    network: Backbone | PDCNet


@dataclass(frozen=True)
class _Kind:
    title: str
    telltale: str
    """How the name of a weight begins that no other kind has."""
    convert: Callable[[Weights], Imported]


def import_checkpoint(checkpoint: Path, folder: Path, *, vgg: Path | None = None) -> Imported:
    """Recognise a published checkpoint, convert it and save it as BluRef's own.

    Args:
        checkpoint: see `weights.published.read_published`.
        folder: new or empty; takes `model.safetensors` and `model.json`.
        vgg: VGG-16 of torchvision, for a PDC-Net that was saved without its feature pyramid.

    Raises:
        UserError: the files cannot be read, are of an unknown kind or do not fit, or `folder` holds
            something or cannot be written.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty", "choose a new folder")
    weights: Weights = plain_weights(read_published(checkpoint), checkpoint)
    if vgg is not None:
        weights = _with_pyramid(weights, plain_weights(read_published(vgg), vgg), checkpoint)
    imported = recognise(weights, checkpoint)
    meta = {"imported": imported.kind, "from": checkpoint.name}
    if isinstance(imported.network, PDCNet):
        save_matcher(imported.network, folder, meta=meta)
    else:
        crop = CROPS[imported.kind]
        save_network(imported.network, folder, training_size=crop, meta=meta)
    return imported


def weights_to_start_from(init: str, backbone: str) -> Weights:
    """The weights that a deblurring run begins with.

    Args:
        init: what others have published, or what `restore.models.find_model` takes.
        backbone: name of the network that they are to be for.

    Raises:
        UserError: nothing there, damaged, not a network's weights, or not those of that backbone.
    """
    path = Path(init)
    if is_published(path):
        network: nn.Module = recognise(plain_weights(read_published(path), path), path).network
    else:
        found = find_model(init)
        if not isinstance(found, SavedNetwork):
            raise UserError(f"{init} has no weights to train", "give the network of a run")
        network = found.model
    with torch.device("meta"):
        model = build_backbone(backbone)
    weights = network.state_dict()
    try:
        model.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise UserError(
            f"{init} does not hold the weights of a {backbone}",
            "give --backbone as that one was trained, or leave --init out",
        ) from error
    return weights


def recognise(weights: Weights, path: Path) -> Imported:
    """The network that these weights make, told by their names.

    Args:
        weights: as `plain_weights` gives them.
        path: where they come from, for messages.

    Raises:
        UserError: no kind that is known, or its weights do not fit.
    """
    kinds = [kind for kind in _KINDS if _has(weights, kind.telltale)]
    if len(kinds) != 1:
        known = ", ".join(kind.title for kind in _KINDS)
        raise UserError(f"{path} is of no kind that is known", f"known are: {known}")
    try:
        imported = kinds[0].convert(weights)
    except UserError as error:
        raise UserError(f"{path}: {error.problem}", error.fix) from error
    imported.network.float().eval()
    return imported


def plain_weights(found: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """The state dict of a checkpoint, out of its wrapping and without the names of parallel runs.

    Args:
        found: names to tensors, or a mapping that holds such a one under one of WRAPPINGS.
        path: where it comes from, for messages.

    Raises:
        UserError: no tensors in it, or such as are not dense, real and finite.
    """
    inner = next((found[name] for name in WRAPPINGS if isinstance(found.get(name), Mapping)), found)
    weights = {
        name: value
        for name, value in inner.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    if not weights:
        raise UserError(f"{path} holds no weights", "give the state dict of a network")
    for name, value in weights.items():
        if not _is_plain(value):
            problem = f"{path} has in {name!r} something else than finite numbers"
            raise UserError(problem, "use another copy")
    if all(name.startswith(_PARALLEL) for name in weights):
        return {name.removeprefix(_PARALLEL): value for name, value in weights.items()}
    return weights


def _is_plain(value: Tensor) -> bool:
    """Whether it is dense, real and finite, and as large as the file made us believe."""
    if value.layout != torch.strided or value.device.type != "cpu":
        return False
    if value.is_quantized or value.is_complex():
        return False
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return False  # one number, repeated without end by a stride of 0
    return bool(value.to(torch.float32).isfinite().all())


def _has(weights: Weights, beginning: str) -> bool:
    return any(name.startswith(beginning) for name in weights)


def _with_pyramid(weights: Weights, vgg: Weights, path: Path) -> Weights:
    """A PDC-Net's weights with the feature pyramid that it lacks."""
    if not _has(weights, _PDCNET.telltale):
        raise UserError(f"{path} is not a PDC-Net", "leave out --vgg")
    if _has(weights, "pyramid."):
        raise UserError(f"{path} has a feature pyramid of its own", "leave out --vgg")
    return {**weights, **{f"pyramid.{k}": v for k, v in pyramid_weights(vgg).items()}}


def _nafnet(weights: Weights) -> Imported:
    return Imported("NAFNet", nafnet_from_state_dict(weights))


def _restormer(weights: Weights) -> Imported:
    return Imported("Restormer", restormer_from_state_dict(weights))


def _pdcnet(weights: Weights) -> Imported:
    network = pdcnet_from_state_dict(weights)
    return Imported("PDC-Net+" if network.config.own_coarse_pyramid else "PDC-Net", network)


def _vgg(weights: Weights) -> Imported:
    """A network to start a training from: pyramids of ImageNet, all else as it is initialised."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = PDCNet(PAPER)
    load_imagenet(network, weights)
    return Imported("VGG-16", network)


_PDCNET = _Kind("PDC-Net and PDC-Net+", "corr.corr_module.", _pdcnet)
_KINDS = (
    _Kind("NAFNet", "intro.", _nafnet),
    _Kind("Restormer", "encoder_level1.", _restormer),
    _PDCNET,
    _Kind("VGG-16 of torchvision, to start a PDC-Net+ from", "features.0.", _vgg),
)
