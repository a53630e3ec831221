"""Linear layers for the CPU. Weights are packed once; bias and activation are applied while the product is in cache."""

from __future__ import annotations

import platform
from collections.abc import Callable

import torch
import torch.nn.functional as functional
from torch import Tensor

# The layout of the packed weights is chosen for this number of rows. It works for other numbers too.
TYPICAL_ROWS = 2048

# oneDNN's (attribute, algorithm) of each activation module.
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
# The names of these activations in the configs of transformers.
ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu"}


class PackedLinear:
    """activation(x Wᵀ + b), float32 on the CPU.

    It uses oneDNN's fused kernel, as torch's own compiler does, if this build of torch has it. Unlike the plain call,
    the kernel does not write the bias first, and needs no second pass over the result for the activation.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: str = "none") -> None:
        """Pack a layer. The weight is copied.

        - weight: (out, in).
        - bias: (out), or None.
        - activation: a key of `PLAIN`.
        """
        self._fused = fused_kernel_available()
        self._bias, self._activation = bias, activation
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, TYPICAL_ROWS) if self._fused else weight.clone()

    def __call__(self, x: Tensor) -> Tensor:
        """Return the output of the layer: (rows, out).

        - x: (rows, in).
        """
        if self._fused:
            attribute, algorithm = FUSED[self._activation]
            out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, attribute, [], algorithm)
            return out
        return PLAIN[self._activation](functional.linear(x, self._weight, self._bias))


def fused_kernel_available() -> bool:
    """Return whether this build of torch has oneDNN's fused linear kernel, in the form for x86 processors."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    names = ("_linear_pointwise", "_reorder_linear_weight")
    return bool(torch._C._has_mkldnn) and all(hasattr(torch.ops.mkldnn, name) for name in names)
