"""Linear layers for the CPU: weights laid out once, bias and activation applied while the product is still in cache."""

from __future__ import annotations

import platform
from collections.abc import Callable

import torch
import torch.nn.functional as functional
from torch import Tensor

# Rows that the layout of the packed weights is chosen for; other numbers of rows work as well.
TYPICAL_ROWS = 2048

# Activation modules by the name oneDNN has for them: (attribute, algorithm).
FUSED: dict[str, tuple[str, str]] = {
    "none": ("none", ""),
    "gelu": ("gelu", "none"),
    "gelu_tanh": ("gelu", "tanh"),
    "relu": ("relu", ""),
}
PLAIN: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
}
# How transformers names the activations above in its configs.
ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu"}


class PackedLinear:
    """activation(x Wᵀ + b), float32 on the CPU.

    Uses oneDNN's fused kernel, which torch's own compiler uses too, where this build of torch has it: against the plain
    call it saves writing the bias first and a pass over the result for the activation.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: str = "none") -> None:
        """weight: (out, in). bias: (out), or None. activation: a key of `PLAIN`. Nothing of weight is kept."""
        self._fused = fused_kernel_available()
        self._bias, self._activation = bias, activation
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, TYPICAL_ROWS) if self._fused else weight.clone()

    def __call__(self, x: Tensor) -> Tensor:
        """x: (rows, in). Returns (rows, out)."""
        if self._fused:
            attribute, algorithm = FUSED[self._activation]
            out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, attribute, [], algorithm)
            return out
        return PLAIN[self._activation](functional.linear(x, self._weight, self._bias))


def fused_kernel_available() -> bool:
    """Whether this build of torch has oneDNN's fused linear kernel, in the form generated for x86 processors."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    names = ("_linear_pointwise", "_reorder_linear_weight")
    return bool(torch._C._has_mkldnn) and all(hasattr(torch.ops.mkldnn, name) for name in names)
