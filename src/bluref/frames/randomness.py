"""Randomness of one training item: a pure function of (seed, step, item)."""

import hashlib

import torch


def item_generator(*identity: int | str) -> torch.Generator:
    """A generator that depends on its arguments and on nothing else.

    Call it with (seed, step, item) for a training item, or with any other identity. Worker count,
    prefetching, restarts and machines cannot change it, so resuming needs no saved loader state.
    Each number or word counts: no two identities share a stream.
    """
    # A slash within a word is doubled, so that one word never reads like two.
    words = [f"{type(part).__name__}:{str(part).replace('/', '//')}" for part in identity]
    text = "/".join(words)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


def randint(generator: torch.Generator, high: int) -> int:
    """A whole number in [0, high), drawn from the generator."""
    return int(torch.randint(high, (), generator=generator))
