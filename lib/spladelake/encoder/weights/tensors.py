"""Read the tensors of a checkpoint one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from spladelake.encoder.weights.files import modern_name, tensor_names, weight_files
from spladelake.errors import UsageError


class CheckpointTensors(Mapping[str, Tensor]):
    """The tensors of a model folder by name, as float32. Each tensor is read when it is used.

    Reading raises UsageError if a tensor holds a number that is not finite.
    """

    def __init__(self, folder: Path) -> None:
        files = [folder / name for name in weight_files(folder) if name.endswith(".safetensors")]
        self._places = {modern_name(name): (file, name) for file in files for name in sorted(tensor_names(file))}

    def __getitem__(self, name: str) -> Tensor:
        file, saved_as = self._places[name]
        with safe_open(file, framework="pt") as opened:
            tensor: Tensor = opened.get_tensor(saved_as)
        check_finite(file, name, tensor)
        # A copy, because a view of the mapped file would keep the whole file in memory.
        return tensor.to(torch.float32, copy=True)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def check_finite(place: Path, name: str, tensor: Tensor) -> None:
    """Raise UsageError if a tensor holds a number that is not finite."""
    if not torch.isfinite(tensor).all():
        raise UsageError(
            str(place),
            f"the tensor {name} has a weight that is not finite",
            "wanted finite weights",
            "Copy the checkpoint again from its source, or use another one.",
        )
