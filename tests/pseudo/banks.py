"""Matchers and frames small enough to see through, for tests of the bank."""

from dataclasses import dataclass, field

import torch

from bluref.frames.clip import Frame
from bluref.match.protocol import Match
from bluref.media.picture import write_picture
from bluref.pseudo.bank import BlurryItself

SIZE = (16, 20)
BLURRY, SHARP = range(0, 8, 2), range(1, 9, 2)


@dataclass
class OnePixel:
    """Finds everything one pixel further right, and counts how often it is asked."""

    identity: str = "one pixel"
    fails_after: int = 10**9
    matched: list = field(default_factory=list)
    encoded: list = field(default_factory=list)

    def encode(self, image):
        self.encoded.append(image)
        return image

    def match(self, target, reference):
        if len(self.matched) >= self.fails_after:
            raise InterruptedError("the power is gone")
        self.matched.append(target)
        flow = torch.zeros(1, 2, *SIZE)
        flow[:, 0] = 1
        inside = torch.ones(1, 1, *SIZE, dtype=torch.bool)
        inside[..., -1] = False
        return Match(flow, inside.float(), inside)


@dataclass
class Still:
    """Finds everything where it is."""

    identity: str = "still"

    def encode(self, image):
        return image

    def match(self, target, reference):
        everywhere = torch.ones_like(target[:, :1])
        return Match(torch.zeros_like(target[:, :2]), everywhere, everywhere > 0)


@dataclass
class Inverting:
    """A teacher whose output is easily told from its input."""

    identity: str = "inverting"
    seen: list = field(default_factory=list)

    def __call__(self, image):
        self.seen.append(image)
        return 1 - image


def write(folder, index, seed=0, size=SIZE):
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(100 * seed + index))
    path = folder / f"{index:06d}.png"
    write_picture(image, path)
    return Frame("clip", index, path)


def pairs(samples):
    return sum(len(sample.references) for sample in samples)


def refreshed(make, samples, teacher=None, round_=0, **settings):
    """How many pairs a new process matches to have this round."""
    matcher = OnePixel(**settings.pop("matcher", {}))
    make(matcher, **settings).refresh(round_, samples, teacher or BlurryItself())
    return len(matcher.matched)


def entries(tmp_path, round_=0):
    return sorted((tmp_path / "bank" / f"round-{round_:04d}").glob("*.safetensors"))
