import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bluref.frames.randomness import item_generator, randint

words = st.text("ab/:", max_size=4) | st.sampled_from(["1", "a/str:b", "str:a", "int:1"])
identities = st.lists(words | st.integers(-3, 3), min_size=1, max_size=3).map(tuple)


def draws(*identity):
    return torch.rand(4, generator=item_generator(*identity)).tolist()


def test_an_item_draws_the_same_whenever_and_wherever_it_is_asked():
    torch.manual_seed(0)
    first = draws(3, 1000, 5)
    torch.manual_seed(1)
    torch.rand(7)
    assert draws(3, 1000, 5) == first


def test_seed_step_and_item_each_count():
    assert len({tuple(draws(*x)) for x in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]}) == 4


def test_a_number_is_not_the_word_that_looks_like_it():
    assert draws(1) != draws("1")


@settings(max_examples=300, deadline=None, database=None)
@given(a=identities, b=identities)
@example(a=("a/str:b",), b=("a", "b"))
@example(a=("a/", "b"), b=("a", "/b"))
def test_no_two_identities_share_a_stream(a, b):
    same = item_generator(*a).initial_seed() == item_generator(*b).initial_seed()
    assert same == (a == b)


def test_whole_numbers_stay_below_their_bound_and_reach_all_values():
    generator = item_generator(0)
    assert {randint(generator, 3) for _ in range(60)} == {0, 1, 2}
    assert randint(generator, 1) == 0
