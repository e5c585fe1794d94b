import ctypes
import re

import numpy as np
import psutil
import pytest
import torch

from bluref.errors import UserError
from bluref.restore.tiling import memory
from bluref.restore.tiling.memory import (
    MIB,
    Peak,
    default_budget,
    give_back,
    highest,
    is_out_of_memory,
    parse_bytes,
    resident,
    told_bytes,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GiB", 2**31), ("512 MiB", 2**29), ("1.5g", 15 * 10**8), ("2GB", 2 * 10**9), ("7", 7)],
)
def test_sizes_are_read_with_their_units(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-2GiB", "0", "2 fast", "1e9", "nan", "2GiB 3"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UserError, match=re.escape(repr(text))):
        parse_bytes(text)


@pytest.mark.parametrize("text", ["9" * 400, "9" * 308 + "GiB"])
def test_a_size_beyond_all_numbers_is_refused_in_a_short_line(text):
    with pytest.raises(UserError, match="is no size of memory") as caught:
        parse_bytes(text)
    assert len(caught.value.problem) < 80


def test_a_size_that_is_told_can_be_given_and_is_enough():
    for size in (1, MIB, MIB + 1, 1234567890):
        assert size <= parse_bytes(told_bytes(size)) < size + MIB


def test_half_of_what_is_free_is_taken_by_default(monkeypatch):
    free = psutil.virtual_memory()._replace(available=1000 * MIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(memory, "_LIMITS", ())
    monkeypatch.setattr(memory, "resident", lambda: 100 * MIB)
    assert default_budget() == 600 * MIB


def test_a_control_group_limits_the_default(monkeypatch, tmp_path):
    for name, value in (("max", 500 * MIB), ("current", 300 * MIB)):
        (tmp_path / name).write_text(f"{value}\n")
    limits = [(str(tmp_path / "max"), str(tmp_path / "current"))]
    monkeypatch.setattr(memory, "_LIMITS", limits)
    monkeypatch.setattr(memory, "resident", lambda: 100 * MIB)
    assert default_budget() == 200 * MIB
    (tmp_path / "max").write_text("max\n")
    assert default_budget() > 200 * MIB


def test_a_peak_that_has_passed_is_still_known():
    peak = Peak()
    held = np.ones(60 * MIB, dtype=np.uint8)
    with_it = resident()
    del held
    give_back()
    assert resident() < with_it - 50 * MIB
    assert 55 * MIB < peak.grown() < 80 * MIB
    assert highest() >= with_it - MIB
    Peak()
    assert highest() >= with_it - MIB  # the mark was reset, the highest is not forgotten


def test_freed_memory_goes_back_to_the_system():
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("this C library gives back by itself")
    blocks = [bytearray(64_000) for _ in range(2000)]
    last = bytearray(64_000)  # holds the end of the heap in place
    full = resident()
    del blocks
    give_back()
    assert resident() < full - 100 * MIB * 0.9
    assert len(last) == 64_000


def test_memory_that_ran_out_is_told_from_other_errors():
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
