"""How many crops of what side a step holds: as usual, or fewer where memory is short."""

from dataclasses import replace
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn

from bluref.degrade.synthesis import SynthesisConfig
from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.store import FrameStore
from bluref.restore.networks.backbones import build_backbone
from bluref.restore.tiling.memory import default_budget, resident
from bluref.train.batches import anchor_of, parts_of, warms
from bluref.train.data import TrainingData
from bluref.train.observe import Observer
from bluref.train.recipe import AT_LEAST, BATCH, CROP, Recipe
from bluref.train.recipe_file import read_run_recipe

# What is tried, one after the other: first fewer crops, then smaller ones.
TRIED = ((8, 128), (6, 128), (4, 128), (4, 96), (2, 96), (2, 64), (1, 64), (1, 32))
# Side of the crop on which memory is measured.
PROBED = 64
# Over what is kept for the gradients: gradients themselves, and what convolutions need at a time.
# Measured: 0.8 to 1.2, for networks of four kinds.
BESIDE = 1.3
# Weights, gradients, two moments of Adam, and the average.
COPIES = 5


def fitted(
    run: Path,
    recipe: Recipe,
    found: TrainingData,
    store: FrameStore,
    device: torch.device,
    observer: Observer,
) -> Recipe:
    """The recipe with batch and crop as numbers; those that were given stay as they are.

    A run that is resumed keeps its own, whatever memory there is now.

    Args:
        run: the run folder.
        recipe: may leave both open.
        found: no crop may be larger than the smallest of its frames.
        store: tells their sizes.
        device: whose memory counts.
        observer: is told of anything unusual.

    Raises:
        UserError: the run's recipe.yaml is damaged, or a frame cannot be read.
    """
    if recipe.batch is not None and recipe.crop is not None:
        return recipe
    if (run / "recipe.yaml").exists():
        before = read_run_recipe(run, Recipe)
        return replace(recipe, batch=recipe.batch or before.batch, crop=recipe.crop or before.crop)
    sized = fitting(recipe, found, store, device)
    if (sized.batch, sized.crop) != (recipe.batch or BATCH, recipe.crop or CROP):
        observer.on_message(
            f"each step takes {sized.batch} crops of {sized.crop} pixels: the smallest frame allows"
            f" {_largest_crop(recipe, found, store)[0]}, memory"
            f" {memory_for_training(device) / 2**30:.1f} GiB (--batch and --crop set them)"
        )
    return sized


def fitting(recipe: Recipe, found: TrainingData, store: FrameStore, device: torch.device) -> Recipe:
    """The recipe with batch and crop as a run would begin with them now; the rest as `fitted`."""
    side, _ = _largest_crop(recipe, found, store)
    batch, crop = choose_size(recipe, side, memory_for_training(device))
    return replace(recipe, batch=batch, crop=crop)


def choose_size(recipe: Recipe, side: int, budget: int) -> tuple[int, int]:
    """Batch and crop: those of the recipe, or the first of `TRIED` that fit.

    Args:
        recipe: what it gives is taken as it is.
        side: largest crop that frames allow, in pixels.
        budget: bytes; the last of `TRIED` is taken even if it does not fit.
    """
    fixed, per_pixel = step_bytes(build_backbone(recipe.backbone))
    crops = [recipe.crop or _even(min(crop, side)) for _, crop in TRIED]
    sizes = [(recipe.batch or batch, crop) for (batch, _), crop in zip(TRIED, crops, strict=True)]
    for batch, crop in sizes:
        if fixed + batch * crop * crop * per_pixel <= budget:
            return batch, crop
    return sizes[-1]


def step_bytes(model: nn.Module) -> tuple[int, float]:
    """What training it holds at a time: bytes whatever the batch, and bytes per pixel of it.

    One small crop goes through; what is kept for its gradients is counted, each memory once.

    Args:
        model: where the processor computes.
    """
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, Tensor] = {}  # held while they are counted: a freed address is used again

    def count(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in own:
            kept[address] = tensor
        return tensor

    probe = torch.zeros(1, 3, PROBED, PROBED).contiguous(memory_format=torch.channels_last)
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        model(probe)
    bytes_kept = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    return COPIES * weights, BESIDE * bytes_kept / PROBED**2


def memory_for_training(device: torch.device) -> int:
    """Bytes that one step may hold: half of what is free, since others want some as well."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) // 2
    most = int(psutil.virtual_memory().total)
    return default_budget(most=most) - resident()


def refuse_to_draw(recipe: Recipe, found: TrainingData, store: FrameStore, processes: int) -> None:
    """Refuse batches that could not be drawn, before anything is matched.

    Args:
        recipe: with numbers for batch and crop.
        found: what crops are cut from.
        store: tells sizes.
        processes: how many draw as many items each.

    Raises:
        UserError: the items of a batch cannot be parted, or a frame is too small for a crop; names
            the smallest one, and the largest crop that all can give.
    """
    parts_of(recipe, found, processes=processes)
    crop, (largest, frame) = recipe.crop or CROP, _largest_crop(recipe, found, store)
    if crop <= largest:
        return
    height, width = store.size(frame)
    needed = crop + min(height, width) - largest
    around = " (what random kernels bring in from outside included)" if needed > crop else ""
    lower = f"lower --crop to {largest} or less" if largest >= AT_LEAST["crop"] else ""
    fits = needed > crop and crop <= min(height, width)
    without = "set --warm-start 0 and --anchor 0" if fits else ""
    raise UserError(
        f"{frame} is {width}x{height}, but crops of {crop} need {needed} pixels each way{around}",
        ", or ".join(filter(None, (lower, without))) or "leave out frames that are so small",
    )


def _largest_crop(recipe: Recipe, found: TrainingData, store: FrameStore) -> tuple[int, Frame]:
    """In pixels, and the frame that allows no more.

    Crops are cut from blurry frames, and from sharp ones that are blurred here; random kernels need
    room around these.
    """
    kernels = recipe.blur == "kernels" or not found.moves
    synthesises = warms(recipe) or anchor_of(recipe, found) > 0
    room = 2 * SynthesisConfig().margin if kernels else 0
    sides = [(min(store.size(s.blurry)), s.blurry) for s in found.samples]
    if synthesises:
        sides += [(min(store.size(frame)) - room, frame) for frame in found.sharp]
    return min(sides, key=lambda side: side[0])


def _even(side: int) -> int:
    """A multiple of 16, which networks like, but no less than any crop may be."""
    return max(side // 16 * 16, AT_LEAST["crop"])
