"""A bank of a matcher that anyone can check by eye."""

import pytest
from tests.pseudo.banks import BLURRY, SHARP, write

from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.pseudo.bank import Bank
from bluref.pseudo.strategy import strategy_named


@pytest.fixture
def samples(tmp_path):
    """Four blurry frames that share two or three references each."""
    frames = {i: write(tmp_path / "frames", i) for i in range(9)}
    return [
        Sample(frames[i], tuple(frames[k] for k in SHARP if abs(k - i) <= 3), None) for i in BLURRY
    ]


@pytest.fixture
def make(tmp_path):
    """A bank as a new process would open it."""

    def make(matcher, *, strategy="average", threshold=0.7, folder="bank", even=False):
        return Bank(
            tmp_path / folder,
            matcher=matcher,
            strategy=strategy_named(strategy),
            threshold=threshold,
            store=FrameStore(tmp_path / "store"),
            even=even,
        )

    return make
