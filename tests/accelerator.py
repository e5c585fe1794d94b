"""Runs `bluref` on a pretended accelerator: `python tests/accelerator.py VERB ... [then VERB ...]`.

A verb that computes nothing there is an error.

Tensors of the device `pretend` live on the processor, but as far away as on a graphics card: what
meets one of the processor is refused, what wants its numbers has to fetch them. So code that
forgets where its tensors are fails here as it would there, on a machine that has no card.
"""

import itertools
import sys
import threading
from types import SimpleNamespace

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretend"
# Convolutions that were computed there so far.
CONVOLVED = itertools.count()


class There(torch.Tensor):
    """A tensor of the accelerator; `here` holds its numbers."""

    here: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, here):
        there = torch.Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=torch.device(NAME, 0),
        )
        there.here = here
        return there

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return compute(function, args, kwargs or {})

    # What writes files looks at storages, and fetches the numbers by itself.
    def storage(self):
        return self.here.untyped_storage()

    def data_ptr(self):
        return self.here.data_ptr()

    def new_tensor(self, data):
        return There(self.here.new_tensor(data))

    def __reduce_ex__(self, protocol):
        return self.here.__reduce_ex__(protocol)

    def __deepcopy__(self, memo):
        copied = There(self.here.clone())
        if isinstance(self, torch.nn.Parameter):
            copied = torch.nn.Parameter(copied, self.requires_grad)
        memo[id(self)] = copied
        return copied


class Accelerator(TorchDispatchMode):
    """Within it, and in threads that begin after `install`, tensors can be sent there."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return compute(function, args, kwargs or {})


def compute(function, args, kwargs):
    """One operation of torch, on the side where its tensors are or where it is told to put them."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    there = any(isinstance(tensor, There) for tensor in tensors)
    if function is torch.ops.aten.copy_.default:
        there = isinstance(args[0], There)
    elif there and any(tensor.ndim for tensor in tensors if not isinstance(tensor, There)):
        raise RuntimeError(f"{function}: expected all tensors on one device, found {NAME} and cpu")
    if kwargs.get("device") is not None:
        there = torch.device(kwargs["device"]).type == NAME
        if there:
            kwargs = {**kwargs, "device": torch.device("cpu"), "pin_memory": None}
    if there and function is torch.ops.aten.convolution.default:
        next(CONVOLVED)
    ours_args, ours_kwargs = tree_map_only(There, lambda tensor: tensor.here, (args, kwargs))
    made = function(*ours_args, **ours_kwargs)
    if not there:
        return made
    made = tree_map_only(torch.Tensor, There, made)
    return return_and_correct_aliasing(function, args, kwargs, made)


def install() -> None:
    """Make the device known to torch, once and for all in this process."""
    module = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 1,
        current_device=lambda: 0,
        is_initialized=lambda: True,
        _is_in_bad_fork=lambda: False,
        manual_seed_all=lambda seed: None,
        get_amp_supported_dtype=lambda: [torch.bfloat16],
    )
    _setup_privateuseone_for_python_backend(NAME, module)
    before = threading.Thread.run

    def run(thread: threading.Thread) -> None:
        with Accelerator():
            before(thread)

    threading.Thread.run = run


def refuses_to_mix() -> bool:
    """Whether it is as far away as it should be."""
    try:
        torch.ones(2) + torch.ones(2, device=NAME)
    except RuntimeError:
        return True
    return False


if __name__ == "__main__":
    from bluref.cli.main import main
    from bluref.restore.networks.backbones import BACKBONES, NAFNetConfig

    # As the fixture `thin` has it.
    BACKBONES["small"] = NAFNetConfig(width=4, encoder=(1,), middle=0, decoder=(1,))
    install()
    with Accelerator():
        assert refuses_to_mix()
        for command in " ".join(sys.argv[1:]).split(" then "):
            before = next(CONVOLVED)
            if status := main(command.split(" ")):
                sys.exit(status)
            if next(CONVOLVED) == before + 1:
                sys.exit(f"nothing was computed on the accelerator: {command}")
