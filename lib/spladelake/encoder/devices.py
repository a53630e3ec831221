"""Where the model runs, and on how many threads."""

from __future__ import annotations

import os

import torch

from spladelake.errors import UsageError


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
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(
            f"device {name}",
            f"it cannot be used ({reason})",
            "a device of this machine is wanted",
            "Use cpu, cuda or mps.",
        ) from error
    return device


def use_threads(threads: int | None) -> None:
    """Compute and tokenise on that many threads of this process; None leaves torch's own choice.

    Raises UsageError when it is less than 1.
    """
    if threads is None:
        return
    if threads < 1:
        raise UsageError("threads", f"they are {threads}", "1 or more is wanted", "Leave it out to use all cores.")
    torch.set_num_threads(threads)
    # The tokenizers library reads both when it starts its own pool.
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    os.environ.setdefault("RAYON_NUM_THREADS", str(threads))
