"""One process, or several that train one network together, as `accelerate launch` starts them.

Each process draws its own items of every batch and all of them take the mean of their gradients:
two with batches of 8 do what one does with a batch of 16. The first writes all files.
"""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from bluref.errors import UserError
from bluref.weights.device import usable_device

PATIENCE = timedelta(days=1)
"""For each other: the first one prepares the footage while the others wait."""


@runtime_checkable
class Processes(Protocol):
    """What a process has to know of the others."""

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        ...

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        ...

    def wrap(self, model: nn.Module) -> nn.Module:
        """The network whose gradients are the mean over all processes."""
        ...

    def any(self, flag: bool) -> bool:
        """Whether it holds in one of them at least."""
        ...

    def mean(self, value: Tensor) -> Tensor:
        """Of a number of each of them, on this process' device; carries no gradient."""
        ...

    def first_goes_first(self) -> contextlib.AbstractContextManager[None]:
        """The first process runs what is inside, then the others."""
        ...


class Alone:
    """A single process; the processor computes, or its accelerator if asked for."""

    def __init__(self, device: str = "cpu") -> None:
        self.rank, self.count = 0, 1
        self.device = torch.device(device)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The network as it is."""
        return model

    def any(self, flag: bool) -> bool:
        """The flag itself."""
        return flag

    def mean(self, value: Tensor) -> Tensor:
        """The value itself."""
        return value.detach()

    def first_goes_first(self) -> contextlib.AbstractContextManager[None]:
        """There is nobody to wait for."""
        return contextlib.nullcontext()


class Together:
    """Several processes, started by `accelerate launch` or `torchrun`."""

    def __init__(self) -> None:
        """Join the others.

        Raises:
            UserError: more of them were started on this machine than it has GPUs.
        """
        from accelerate import Accelerator
        from accelerate.utils import InitProcessGroupKwargs

        here, cards = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
        if torch.cuda.is_available() and here > cards:
            raise UserError(
                f"{here} processes were started on a machine with {cards} GPU(s)",
                "start as many as there are, or set CUDA_VISIBLE_DEVICES= to compute on processors",
            )
        self._accelerator = Accelerator(
            cpu=not torch.cuda.is_available(),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
        self.rank: int = self._accelerator.process_index
        self.count: int = self._accelerator.num_processes
        self.device: torch.device = self._accelerator.device

    def wrap(self, model: nn.Module) -> nn.Module:
        """The network behind torch's DistributedDataParallel."""
        wrapped: nn.Module = self._accelerator.prepare_model(model)
        return wrapped

    def any(self, flag: bool) -> bool:
        """Whether some process says so; all of them must ask."""
        votes = torch.tensor(int(flag), device=self.device)
        return bool(self._accelerator.reduce(votes, reduction="sum") > 0)

    def mean(self, value: Tensor) -> Tensor:
        """The mean over all processes; all of them must ask."""
        total: Tensor = self._accelerator.reduce(value.detach().clone(), reduction="sum")
        return total / self.count

    @contextlib.contextmanager
    def first_goes_first(self) -> Iterator[None]:
        """The first process runs what is inside, then the others."""
        with self._accelerator.main_process_first():
            yield


def launched() -> bool:
    """Whether a launcher has started several processes, of which this is one."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def find_processes(device: str = "cpu") -> Processes:
    """`Together` where a launcher has started several, else `Alone` on that device.

    Raises:
        UserError: there is no such device.
    """
    if launched():
        return Together()
    usable_device(device)
    return Alone(device)
