import torch

from bluref.degrade.randomness import generator_of


def draw(*identity):
    return torch.rand(4, generator=generator_of(*identity)).tolist()


def test_the_same_identity_draws_the_same():
    assert draw(0, "clip", 3) == draw(0, "clip", 3)


def test_every_part_of_the_identity_counts():
    identities = [(0, "a", 1), (1, "a", 1), (0, "b", 1), (0, "a", 2), (0, "a", "1"), (0, "a1")]
    assert len({tuple(draw(*identity)) for identity in identities}) == len(identities)
