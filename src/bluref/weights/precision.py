"""Which number format networks are run in."""

import torch


def prefers_bf16(device: str | torch.device = "cpu") -> bool:
    """Whether bfloat16 is the faster arithmetic on this device.

    On a CPU that is so with AMX tiles. Instructions without tiles (avx512_bf16) gain a quarter in
    inference and lose a tenth in training; emulation loses half. Releases of torch that cannot tell
    what the CPU has get float32.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    tell = getattr(torch.cpu, "get_capabilities", None)
    return kind == "cpu" and tell is not None and bool(tell().get("amx_bf16", False))
