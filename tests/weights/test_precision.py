import platform
from pathlib import Path

import pytest
import torch

from bluref.weights.precision import prefers_bf16


def test_only_tiles_make_bf16_the_faster_one(monkeypatch):
    for found, expected in (
        ({"amx_bf16": True}, True),
        ({"avx512_bf16": True}, False),
        ({}, False),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=found: found, raising=False)
        assert prefers_bf16() == expected
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not prefers_bf16()


@pytest.mark.skipif(
    platform.system() != "Linux" or not hasattr(torch.cpu, "get_capabilities"),
    reason="compares /proc/cpuinfo with what this torch can tell",
)
def test_what_the_kernel_says_of_the_processor_is_what_decides():
    assert prefers_bf16() == (" amx_bf16" in Path("/proc/cpuinfo").read_text("utf-8"))
