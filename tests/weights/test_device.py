"""Where networks compute."""

import sys

import pytest
import torch

from bluref.errors import UserError
from bluref.weights import device
from bluref.weights.device import can_compile, require_compiler, usable_device


@pytest.mark.parametrize(
    ("cxx", "there", "can"),
    [
        (None, "g++", True),
        (None, "clang++", False),
        ("clang++", "clang++", True),
        ("/opt/g++-13", "g++", False),
        ("/opt/g++-13", "/opt/g++-13", True),
    ],
)
def test_what_torch_would_compile_with_is_looked_for(monkeypatch, cxx, there, can):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("CXX", raising=False)
    if cxx:
        monkeypatch.setenv("CXX", cxx)
    monkeypatch.setattr(device.shutil, "which", lambda name: name if name == there else None)
    assert can_compile(torch.device("cpu")) is can
    assert can_compile(torch.device("cuda"))
    if not can:
        with pytest.raises(UserError, match=r"C\+\+ compiler"):
            require_compiler(torch.device("cpu"))


def test_a_device_that_is_not_there_is_told():
    with pytest.raises(UserError, match="cannot compute on 'nowhere'"):
        usable_device("nowhere")
    assert usable_device("cpu") == torch.device("cpu")
