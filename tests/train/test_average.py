import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bluref.train.average import averaged_copy, move_average


def network(level):
    model = nn.Conv2d(2, 3, 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(level)
    return model


def level_of(model):
    values = torch.cat([p.flatten() for p in model.parameters()])
    assert values.min() == values.max()
    return values[0].item()


def test_a_copy_is_its_own_and_does_not_learn():
    model = network(1.0)
    copied = averaged_copy(model)
    assert not copied.training
    assert not any(p.requires_grad for p in copied.parameters())
    assert all(p.requires_grad for p in model.parameters())
    move_average(copied, network(5.0), step=0, decay=0.5)
    assert level_of(model) == 1.0


def test_the_average_of_a_constant_network_becomes_that_network():
    model, average = network(2.0), averaged_copy(network(-1.0))
    for step in range(200):
        move_average(average, model, step=step, decay=0.9)
    assert level_of(average) == pytest.approx(2.0, abs=1e-5)
    assert level_of(model) == 2.0


@settings(max_examples=40, deadline=None, database=None)
@given(
    step=st.integers(0, 10**5), decay=st.floats(0, 1), old=st.floats(-3, 3), new=st.floats(-3, 3)
)
def test_one_move_is_the_formula(step, decay, old, new):
    average = averaged_copy(network(old))
    move_average(average, network(new), step=step, decay=decay)
    d = min(decay, (1 + step) / (10 + step))
    assert level_of(average) == pytest.approx(d * old + (1 - d) * new, abs=1e-5)


def test_the_first_steps_let_go_of_where_the_copy_started():
    average = averaged_copy(network(100.0))
    for step in range(50):
        move_average(average, network(0.0), step=step, decay=0.999)
    assert abs(level_of(average)) < 1e-3


def test_moving_asks_for_no_gradient():
    model, average = network(1.0), averaged_copy(network(0.0))
    move_average(average, model, step=0, decay=0.5)
    assert all(p.grad is None and p.grad_fn is None for p in average.parameters())
