"""Entries of the bank that were torn, harmed or left behind."""

import os
from dataclasses import replace

import pytest
import torch
from tests.pseudo.banks import OnePixel, entries, refreshed

from bluref.errors import UserError
from bluref.frames.crops import Crop
from bluref.pseudo import bank as bank_module
from bluref.pseudo.bank import BlurryItself


def test_an_entry_cut_short_is_made_anew(make, samples, tmp_path):
    refreshed(make, samples)
    path = entries(tmp_path)[1]
    whole = path.read_bytes()
    for length in (0, 1, 8, 60, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert refreshed(make, samples) == len(samples[1].references)
        assert path.read_bytes() == whole


def test_an_entry_with_a_flipped_byte_is_made_anew(make, samples, tmp_path):
    refreshed(make, samples)
    path = entries(tmp_path)[1]
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    for place in [*range(0, 8 + header, 7), *range(8 + header, len(whole), 41), len(whole) - 1]:
        torn = bytearray(whole)
        torn[place] ^= 0x01
        path.write_bytes(torn)
        refreshed(make, samples)
        assert path.read_bytes() == whole, place


def test_an_entry_of_another_type_is_made_anew(make, samples, tmp_path):
    refreshed(make, samples)
    path = entries(tmp_path)[0]
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"F16"', b'"I16"'))  # the same bytes, another meaning
    assert refreshed(make, samples) == len(samples[0].references)
    assert path.read_bytes() == whole


def test_matches_that_are_not_there_are_told(make, samples, tmp_path):
    bank = make(OnePixel())
    with pytest.raises(UserError, match=r"clip__000000\.safetensors is missing or torn"):
        bank.matches(0, samples[0])
    bank.refresh(0, samples, BlurryItself())
    fewer = replace(samples[0], references=samples[0].references[:1])
    with pytest.raises(UserError, match="missing or torn"):
        bank.matches(0, fewer)  # of other references than were matched
    entries(tmp_path)[0].write_bytes(b"torn")
    with pytest.raises(UserError, match="missing or torn"):
        bank.target(0, samples[0], Crop(0, 0, 8, 8))


def test_an_entry_that_is_harmed_while_it_is_in_use_is_never_used(make, samples, tmp_path):
    bank = make(OnePixel())
    bank.refresh(0, samples, BlurryItself())
    before = bank.matches(0, samples[0]).flow.clone()  # it is the file itself, mapped
    path = entries(tmp_path)[0]
    whole = path.read_bytes()
    for place in (len(whole) - 1, 8 + int.from_bytes(whole[:8], "little")):
        torn = bytearray(whole)
        torn[place] ^= 0x01
        path.write_bytes(torn)
        for ask in (bank.matches, bank.digest):
            with pytest.raises(UserError, match="missing or torn"):
                ask(0, samples[0])
    assert bank.matches(0, samples[1]).flow.numel()
    bank.refresh(0, samples, BlurryItself())
    assert torch.equal(bank.matches(0, samples[0]).flow, before)


def test_what_a_killed_writer_left_goes_with_the_next_refresh(make, samples, tmp_path):
    refreshed(make, samples)
    old, new = (tmp_path / "bank" / "round-0000" / f".{c * 16}.partial.safetensors" for c in "ab")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    refreshed(make, samples)
    assert not old.exists()
    assert new.exists()  # it may be another process' that still writes


def test_an_entry_is_looked_through_once(make, samples, monkeypatch):
    bank = make(OnePixel())
    bank.refresh(0, samples, BlurryItself())
    looked = []
    real = bank_module._key_of
    monkeypatch.setattr(bank_module, "_key_of", lambda path: looked.append(path) or real(path))
    for _ in range(3):
        bank.matches(0, samples[0])
    assert len(looked) == 1
