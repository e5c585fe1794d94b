"""Published PDC-Net and PDC-Net+ checkpoints: their names for the weights, and ours."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from bluref.errors import UserError
from bluref.match.pdcnet.config import PAPER
from bluref.match.pdcnet.network import PDCNet

_RULES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"^pyramid_256\.", "coarse_pyramid."),
    (r"pyramid\.level_([01])\.0\.", lambda m: f"pyramid.groups.0.{m[1]}."),
    (
        r"pyramid\.level_([234])\.([024])\.",
        lambda m: f"pyramid.groups.{int(m[1]) - 1}.{int(m[2]) // 2}.",
    ),
    (r"^corr\.corr_module\.filter_initializer\.target_fg$", "global_gocor.foreground"),
    (r"^corr\.corr_module\.filter_initializer\.target_bg$", "global_gocor.background"),
    (r"^corr\.corr_module\.filter_optimizer\.", "global_gocor."),
    (r"^local_corr\.filter_initializer\.scaling$", "local_gocor.scaling"),
    (r"^local_corr\.filter_optimizer\.", "local_gocor."),
    (r"\.reg_layer\.weight1$", ".over_reference"),
    (r"\.reg_layer\.weight2$", ".over_target"),
    (r"\.log_step_length$", ".log_step"),
    (r"\.filter_reg$", ".regularisation"),
    (r"\.label_map_predictor\.weight$", ".distance_functions.label"),
    (r"\.spatial_weight_predictor\.weight$", ".distance_functions.weight"),
    (r"\.target_mask_predictor\.0\.weight$", ".distance_functions.mask_logit"),
    (r"^decoder(\d)\.conv_(\d)\.", r"levels.\1.decoder.blocks.\2."),
    (
        r"^decoder(\d)\.conv(\d)_skip\.",
        lambda m: f"levels.{m[1]}.decoder.shortcuts.{int(m[2]) // 2}.",
    ),
    (r"^decoder(\d)\.(final|predict_flow)\.", r"levels.\1.decoder.head."),
    (r"^corr_uncertainty_decoder(\d)\.conv_(\d)\.", r"levels.\1.of_scores.blocks.\2."),
    (r"^corr_uncertainty_decoder(\d)\.predict_uncertainty\.", r"levels.\1.of_scores.head."),
    (r"^uncertainty_decoder(\d)\.conv_(\d)\.", r"levels.\1.uncertainty.blocks.\2."),
    (r"^uncertainty_decoder(\d)\.predict_uncertainty_final\.", r"levels.\1.uncertainty.head."),
    (r"^dc_conv7\.", "levels.3.refinement.head."),
    (r"^l_dc_conv7\.", "levels.1.refinement.head."),
    (r"^dc_conv(\d)\.", lambda m: f"levels.3.refinement.blocks.{int(m[1]) - 1}."),
    (r"^l_dc_conv(\d)\.", lambda m: f"levels.1.refinement.blocks.{int(m[1]) - 1}."),
    (r"^deconv4\.", "double_coarse."),
    (r"^deconv2\.", "double_fine."),
    (r"^upfeat2\.", "double_features."),
)


def from_published(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under our names."""
    found = {}
    for name, value in weights.items():
        ours = name
        for pattern, replacement in _RULES:
            ours = re.sub(pattern, replacement, ours)
        found[ours] = value.flatten() if "distance_functions" in ours else value
    return found


def pdcnet_from_state_dict(state: Mapping[str, Tensor | Mapping[str, Tensor]]) -> PDCNet:
    """A PDC-Net with published weights.

    PDC-Net keeps one feature pyramid for both branches, PDC-Net+ two; which it is, the names tell.

    Args:
        state: names to tensors, or a mapping that holds such a one under `state_dict`.

    Raises:
        UserError: the names or shapes are not those of a PDC-Net.
    """
    inner = state.get("state_dict", state)
    found = inner if isinstance(inner, Mapping) else {}
    weights = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    config = PAPER
    if not any(name.startswith("pyramid_256.") for name in weights):
        config = replace(PAPER, name="pdcnet", own_coarse_pyramid=False)
    with torch.device("meta"):
        network = PDCNet(config)
    try:
        network.load_state_dict(from_published(weights), assign=True)
    except RuntimeError as error:
        raise UserError(
            f"the weights are not those of a PDC-Net: {error}",
            "give the state dict of a published PDC-Net or PDC-Net+ checkpoint",
        ) from error
    return network
