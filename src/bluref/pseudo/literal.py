"""The printed equations of the paper, taken at their word. For study only: they fail as printed.

`DenseMatch` is the paper's DM: (target, reference) -> (transformed reference, confidence mask).
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Image = Float[Tensor, "b 3 h w"]
Mask = Float[Tensor, "b 1 h w"]
DenseMatch = Callable[[Image, Image], tuple[Image, Mask]]

# Sec. 3.4: the mean mask is binarised at this value before it weighs the loss.
BINARISE_AT = 0.7


def literal_average(
    target: Image, references: Sequence[Image], dense_match: DenseMatch
) -> tuple[Image, Mask]:
    """Sec. 3.3: (1/N sum P_n M_n, 1/N sum M_n). Darkens where a reference is missing."""
    matched = [dense_match(target, reference) for reference in references]
    image = torch.stack([p * m for p, m in matched]).mean(dim=0)
    return image, torch.stack([m for _, m in matched]).mean(dim=0)


def literal_sequential(
    target: Image, references: Sequence[Image], dense_match: DenseMatch
) -> tuple[Image, Mask]:
    """Eq. 4: match the running composite, return the last warp and mask. Earlier ones are lost."""
    pseudo, mask = torch.zeros_like(target), torch.zeros_like(target[:, :1])
    for reference in references:
        pseudo, mask = dense_match(pseudo * mask + target * (1 - mask), reference)
    return pseudo, mask


def literal_progressive(
    target: Image, references: Sequence[Image], dense_match: DenseMatch
) -> tuple[Image, Mask]:
    """Eq. 5: match the target with what the last reference matched painted black, then average.

    A matched pixel is black for the next reference, so that with a matcher that cannot match black
    at most every second mask is 1: with two references or more the mean never exceeds 2/3 and
    never reaches `BINARISE_AT`.
    """
    mask = torch.zeros_like(target[:, :1])
    images, masks = [], []
    for reference in references:
        pseudo, mask = dense_match(target * (1 - mask), reference)
        images.append(pseudo * mask)
        masks.append(mask)
    return torch.stack(images).mean(dim=0), torch.stack(masks).mean(dim=0)


def binarise(mask: Mask) -> Mask:
    """Sec. 3.4: 1 where the mean mask exceeds 0.7, else 0."""
    return (mask > BINARISE_AT).to(mask.dtype)
