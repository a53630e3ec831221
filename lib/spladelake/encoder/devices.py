"""Where the model runs, in which precision, and what running out of memory looks like."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from typing import Literal

import torch

from spladelake.errors import UsageError

Precision = Literal["auto", "float32", "float16", "bfloat16"]
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def choose_device(name: str | None) -> torch.device:
    """The device asked for, else CUDA where there is one, else Apple MPS, else the CPU.

    Raises UsageError when torch does not know the device or the machine does not have it.
    """
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(
            f"device {name}",
            f"the device cannot be used ({reason})",
            "wanted a device of this machine",
            "Use cpu, cuda or mps.",
        ) from error
    return device


def choose_autocast(device: torch.device, precision: Precision) -> torch.dtype | None:
    """Type that matrices are multiplied in, None for float32.

    auto: float32 on a CPU, where half precision was measured to be 5 times slower, and on MPS; float16 on CUDA, whose
    weights differ from float32 by some 1e-3. Raises UsageError for half precision on a CPU.
    """
    if precision not in ("auto", "float32", "float16", "bfloat16"):
        raise UsageError(
            "precision", f"the value is {precision!r}", "wanted auto, float32, float16 or bfloat16", "Use auto."
        )
    if precision == "auto":
        return torch.float16 if device.type == "cuda" else None
    if precision == "float32":
        return None
    if device.type == "cpu":
        raise UsageError(
            "precision",
            f"the value is {precision}, but the device is a CPU",
            "wanted auto or float32, because a CPU computes in float32",
            "Use auto.",
        )
    return torch.float16 if precision == "float16" else torch.bfloat16


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the host or on an accelerator."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in OUT_OF_MEMORY)


def release_memory() -> None:
    """Give back the freed memory that torch and the C library keep, so that what comes next finds room."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # other C libraries have no such function
        ctypes.CDLL(None).malloc_trim(0)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
