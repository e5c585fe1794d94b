import pytest

from bluref.errors import UserError
from bluref.match.named import NAMES, matcher_named
from bluref.train.recipe import CHOICES


def test_every_name_has_a_matcher_of_its_own():
    assert len({matcher_named(name).identity for name in NAMES}) == len(NAMES)


def test_an_unknown_name_is_told():
    with pytest.raises(UserError, match="unknown matcher 'sift'"):
        matcher_named("sift")


def test_recipes_offer_the_matchers_there_are():
    assert set(CHOICES["matcher"]) == set(NAMES)
