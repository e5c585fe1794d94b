import torch

from bluref.pseudo.target import Warped


def votes(confidence, inside, threshold):
    warped = Warped(
        torch.zeros(1, 1, 3, 1, 1),
        torch.tensor(confidence).view(1, 1, 1, 1, 1),
        torch.tensor(inside).view(1, 1, 1, 1, 1),
    )
    return warped.votes(threshold).item()


def test_a_reference_speaks_from_the_threshold_on_and_inside_its_frame():
    assert votes(0.75, True, 0.75) == 0.75
    assert votes(0.74, True, 0.75) == 0
    assert votes(1.0, False, 0.75) == 0


def test_no_confidence_is_no_vote_even_at_threshold_zero():
    assert votes(0.0, True, 0.0) == 0
    assert votes(0.01, True, 0.0) > 0
