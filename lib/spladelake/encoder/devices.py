"""Choose the device and the precision of a model, and recognise errors of exhausted memory."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Sequence
from typing import Literal

import torch

from spladelake.errors import UsageError
from spladelake.names import listed

Precision = Literal["auto", "float32", "float16", "bfloat16"]
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def choose_device(name: str | None) -> torch.device:
    """Return the named device. Without a name, return CUDA if present, else Apple MPS, else the CPU.

    Raises UsageError if torch does not know the device or if the machine does not have it.
    """
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        present = [kind for kind, is_there in there.items() if is_there]
        raise unusable(name, str(error), present=present, gpus=torch.cuda.device_count()) from error
    return device


def unusable(name: str, reason: str, *, present: Sequence[str], gpus: int) -> UsageError:
    """Return the error for a device that torch cannot use.

    - reason: torch's message.
    - present: the kinds of devices that the machine has besides the CPU.
    - gpus: number of its CUDA devices.
    """
    kind, _, number = name.partition(":")
    wanted, fix = "wanted a device of this machine", f"Use {listed([*present, 'cpu'])}."
    if kind == "cuda" and kind in present and number.isdigit() and int(number) >= gpus:
        wanted = f"wanted {listed(f'cuda:{n}' for n in range(gpus))}"
    elif kind in present:
        others = [f"cuda:{n}" for n in range(gpus) if n != int(number or 0)] if kind == "cuda" else []
        choose = f", choose another such as {others[0]}," if others else ","
        wanted, fix = "wanted a device that is free", f"Free the device{choose} or use cpu."
    return UsageError(f"device {name}", f"the device cannot be used ({reason.strip().splitlines()[0]})", wanted, fix)


def choose_autocast(device: torch.device, precision: Precision) -> torch.dtype | None:
    """Return the type of matrix products, None for float32.

    - precision: auto is float16 on CUDA, which changes weights by about 1e-3, and float32 on MPS and on a CPU, where
      half precision was 5 times slower in a measurement.

    Raises UsageError for half precision on a CPU.
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
    """Return whether an error reports exhausted memory, of the host or of an accelerator."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in OUT_OF_MEMORY)


def release_memory() -> None:
    """Return freed memory that torch and the C library keep to the system, so that later work can use it."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # Other C libraries lack this function.
        ctypes.CDLL(None).malloc_trim(0)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
