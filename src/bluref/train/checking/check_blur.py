"""What kind of blur it is, told from what blurry frames keep of the detail of their references."""

from collections.abc import Sequence
from statistics import median

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.train.checking.check_coverage import Matched
from bluref.train.checking.check_report import Kind, Problem

BLURRED = 0.5
"""Share of the gradient energy, along the direction that lost most, below which a patch is blurred:
0.15 is the median on davis_blur, 0.98 on frames as sharp as their references."""
FEWEST = 12
"""Patches that allow a verdict."""
HARDLY, LITTLE = 0.02, 0.25
"""Share of blurred patches below which there is nothing to learn, and little: 0.81 on davis_blur,
0.43 where its blurred frames alone give the sharp ones too, 0.08 on its sharp frames, which are not
all sharp, 0.001 and 0.012 on two films without blur."""
DIRECTED = 1.5
"""How much faster, as a ratio of logarithms, the worst direction loses than the best: measured
medians are 1.25 to 1.29 for discs of 2 to 7 pixels, noise or not, and 1.8 to 2.6 for motion."""
ADDED = 1.15
"""Median of what is kept along the worst direction above which it is noise that was added."""
NOISE = 0.04
"""Standard deviation of noise, in [0, 1], from which it is told."""


def kind_of(kept: Float[Tensor, "n 2"]) -> tuple[Kind, float | None]:
    """The kind of blur, and the share of patches that are blurred (None where unknown).

    Args:
        kept: least and largest share of the gradient energy that each patch keeps.
    """
    if len(kept) < FEWEST:
        return "unknown", None
    blurred = kept[kept[:, 0] < BLURRED]
    share = len(blurred) / len(kept)
    if share < HARDLY:
        return ("noise" if float(kept[:, 0].median()) > ADDED else "none"), share
    losses = blurred.clamp(1e-4, 0.95).log()
    directed = float((losses[:, 0] / losses[:, 1]).median())
    return ("motion" if directed >= DIRECTED else "defocus"), share


def blur_of(matched: Sequence[Matched]) -> tuple[Kind, float | None, list[Problem]]:
    """The kind of blur of matched frames, the share of blurred patches, and what is wrong."""
    kept = torch.cat([one.kept for one in matched]) if matched else torch.zeros(0, 2)
    kind, share = kind_of(kept)
    problems = []
    if kind == "none":
        problems.append(
            Problem(
                "the blurry frames",
                "they are hardly blurrier than their references: all are sharp, or all are equally"
                " blurred, and there is nothing to learn",
                "give footage in which blur comes and goes, or sharper pictures of the same places",
                "hopeless",
            )
        )
    elif kind == "defocus":
        problems.append(
            Problem(
                "the blurry frames",
                "the blur is alike in all directions, as of a lens out of focus: training expects"
                " motion, and blurs sharp frames along it",
                "try --blur kernels --gate 0, or give footage that motion has blurred",
                "thin",
            )
        )
    elif share is not None and share < LITTLE and kind == "motion":
        problems.append(
            Problem(
                "the blurry frames",
                f"{share:.0%} of what both show is blurrier than in the references: little to"
                " learn from",
                "give footage with more blur, or sharper references",
                "thin",
            )
        )
    loud = median(one.noise for one in matched) if matched else 0.0
    if kind == "noise" or loud > NOISE:
        problems.append(
            Problem(
                "the blurry frames",
                f"noise of about {255 * loud:.0f} grey levels of 255: deblurring does not remove"
                " noise",
                "denoise the footage first, or use brighter footage",
                "thin",
            )
        )
    return kind, share, problems
