import pytest

from bluref.errors import UserError
from bluref.match.named import NAMES, matcher_named


def test_every_name_has_a_matcher_of_its_own():
    assert len({matcher_named(name).identity for name in NAMES}) == len(NAMES)


def test_an_unknown_name_is_told():
    with pytest.raises(UserError, match="unknown matcher 'sift'"):
        matcher_named("sift")
