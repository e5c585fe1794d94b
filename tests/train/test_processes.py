"""What processes are told before they compute together."""

import pytest
import torch

from bluref.errors import UserError
from bluref.train.processes import Alone, find_processes


def test_without_a_launcher_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert isinstance(find_processes(), Alone)


def test_more_processes_than_gpus_are_refused_before_they_meet(monkeypatch):
    for name, value in {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match=r"2 processes .* 1 GPU") as caught:
        find_processes()
    assert "CUDA_VISIBLE_DEVICES=" in caught.value.fix
