"""References chosen by what they show: those that together show most of the blurry frame.

Nearness in time is a good guess where a clip has its own sharp frames. Photographs of the same
place have no time, and a camera that turns back shows a thing again long after.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.frames.clip import Frame
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.match.protocol import Matcher, MatchesMany

# Frames are matched at a fraction of their size: at most this one, and the shorter side not below.
SHRINK, LEAST = 4, 120
# Candidates kept encoded: consecutive blurry frames share most of theirs.
ENCODED_KEPT = 64


def most_covering(
    samples: Sequence[Sample],
    refs: int,
    *,
    matcher: Matcher[Any],
    store: FrameStore,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> list[Sample]:
    """Of each sample's candidates the `refs` that together show most of its blurry frame.

    One after the other, the candidate that adds most to the sum over pixels of the probability
    that at least one of the chosen shows them, 1 - prod(1 - confidence): the best that a quick
    choice can do but for a factor of 1 - 1/e (Nemhauser, Wolsey, Fisher, 1978). What one shows
    surely counts once, what it shows unsurely is worth a second witness.

    Args:
        samples: blurry frames with their candidates, in order of preference.
        refs: how many to keep; samples that have no more are left as they are.
        matcher: finds candidates in the blurry frame, at a fraction of the size.
        store: where frames are read from.
        tell: called with (done, all).

    Returns:
        the samples; chosen references keep the order of the candidates.

    Raises:
        UserError: a frame cannot be read.
    """
    encoded: OrderedDict[Frame, Any] = OrderedDict()
    chosen = []
    for done, sample in enumerate(samples, start=1):
        if len(sample.references) > refs:
            shown = _shown(sample, matcher, store, encoded)
            kept = _greedy(shown, refs)
            sample = replace(sample, references=tuple(sample.references[n] for n in kept))
        chosen.append(sample)
        tell(done, len(samples))
    return chosen


@torch.no_grad()
def _shown(
    sample: Sample, matcher: Matcher[Any], store: FrameStore, encoded: OrderedDict[Frame, Any]
) -> Float[Tensor, "n h w"]:
    """How likely each candidate shows each pixel of the reduced blurry frame."""
    target = _encode(sample.blurry, matcher, store)
    features = []
    for frame in sample.references:
        if frame not in encoded:
            encoded[frame] = _encode(frame, matcher, store)
        encoded.move_to_end(frame)
        features.append(encoded[frame])
    while len(encoded) > max(ENCODED_KEPT, len(features)):
        encoded.popitem(last=False)
    if isinstance(matcher, MatchesMany):
        matches = matcher.match_many(target, features)
    else:
        matches = [matcher.match(target, reference) for reference in features]
    return torch.cat([(match.confidence * match.inside)[:, 0] for match in matches])


def _encode(frame: Frame, matcher: Matcher[Any], store: FrameStore) -> Any:  # noqa: ANN401
    image = store.image(frame)
    factor = max(1, min(SHRINK, min(image.shape[-2:]) // LEAST))
    return matcher.encode(F.avg_pool2d(image, factor))


def _greedy(shown: Float[Tensor, "n h w"], count: int) -> list[int]:
    """Places of the candidates that add most, one after the other; the first of equal ones."""
    missing = torch.ones_like(shown[0])
    left = list(range(len(shown)))
    for _ in range(count):
        gains = [(missing * shown[n]).sum().item() for n in left]
        best = left.pop(max(range(len(gains)), key=gains.__getitem__))
        missing = missing * (1 - shown[best])
    return [n for n in range(len(shown)) if n not in left]
