from dataclasses import replace

import pytest

from bluref.errors import UserError
from bluref.match.named import NAMES, matcher_named
from bluref.match.pdcnet.matcher import PDCMatcher


def test_every_name_has_a_matcher_of_its_own():
    assert len({matcher_named(name).identity for name in NAMES}) == len(NAMES)


def test_an_unknown_name_is_told():
    with pytest.raises(UserError, match="unknown matcher 'sift'"):
        matcher_named("sift")


@pytest.mark.parametrize(
    "name", ["compact", "compact-plain", "compact+check", "compact+homography"]
)
def test_networks_compute_where_they_are_told_and_are_the_same_wherever(name):
    matcher, here = matcher_named(name, device="meta"), matcher_named(name)
    inner, ours = matcher, here
    while not isinstance(inner, PDCMatcher):
        inner, ours = inner.matcher, ours.matcher
    assert inner.device.type == "meta"
    assert ours.device.type == "cpu"
    assert not inner.use_bf16
    plain = replace(ours, use_bf16=False)
    assert inner.identity == plain.identity
