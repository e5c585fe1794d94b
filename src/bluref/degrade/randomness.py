"""Randomness of whatever is simulated: a pure function of who it is."""

import hashlib

import torch


def generator_of(*identity: int | str) -> torch.Generator:
    """A generator that depends on its arguments and on nothing else, such as (seed, clip, frame).

    The order of work, restarts and machines cannot change what it draws. Each number or word
    counts: no two identities share a stream.
    """
    digest = hashlib.blake2b(repr(identity).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
