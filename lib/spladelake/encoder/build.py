"""Let transformers build a model: from safetensors, without code of the checkpoint, every tensor from a file."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from spladelake.encoder.refusals import told_as_refusal
from spladelake.encoder.weights.files import folder_headers
from spladelake.encoder.weights.shapes import FIX
from spladelake.encoder.weights.tensors import check_finite
from spladelake.errors import UsageError
from spladelake.names import some

logger = logging.getLogger(__name__)

# A model may have more numbers than its files, because tied tensors are saved once. If it has more than this many times
# as many numbers, and this many more, its config belongs to another model.
MOST_MADE_UP, MADE_UP = 2, 10_000_000


def model_config(folder: Path, changes: Mapping[str, Any]) -> Any:
    """Return transformers' config of a folder, with changes. Raises UsageError if the config cannot be read."""
    from transformers import AutoConfig

    with told_as_refusal(folder / "config.json", "content"):
        return AutoConfig.from_pretrained(folder, **{**changes, "local_files_only": True, "trust_remote_code": False})


def build_model(folder: Path, kind: str, changes: Mapping[str, Any]) -> Any:
    """Return the model as a class of transformers builds it, with the attention that transformers chooses.

    - kind: name of the class.
    - changes: changes of the config.

    Raises UsageError if the files do not fill the model or if transformers cannot build it.
    """
    with told_as_refusal(folder, "model"), _no_progress_bar():
        try:
            model, report = _built(folder, kind, changes)
        except (ImportError, ValueError) as error:
            # A config may name an attention that this machine or this architecture lacks.
            if not re.search("attention|attn", str(error)):
                raise
            logger.debug("%s is built with plain attention: %s", folder, error)
            model, report = _built(folder, kind, changes, attn_implementation="eager")
    mismatched = [
        f"{key} is {list(found)} instead of {list(wanted)}" for key, found, wanted in report["mismatched_keys"]
    ]
    if mismatched:
        raise UsageError(
            str(folder),
            f"the shapes of some tensors do not fit config.json: {some(sorted(mismatched))}",
            "wanted the shapes that config.json gives",
            FIX,
        )
    made_up = sorted(report["missing_keys"])
    if made_up:
        raise UsageError(
            str(folder),
            f"the weights lack {some(made_up)}",
            "wanted every tensor of the model, because transformers fills missing tensors with random numbers",
            "Use a complete checkpoint.",
        )
    for name, tensor in model.named_parameters():
        check_finite(folder, name, tensor)
    return model.eval().requires_grad_(False)


def _built(folder: Path, kind: str, changes: Mapping[str, Any], **options: str) -> tuple[Any, dict[str, Any]]:
    """Return a model, and transformers' report about its tensors.

    - options: further arguments of `from_pretrained`.
    """
    import transformers

    config, factory = model_config(folder, changes), getattr(transformers, kind)
    _without_cache(config)
    _check_held(folder, factory, deepcopy(config), options)
    model, report = factory.from_pretrained(
        folder,
        config=config,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # `build_model` refuses them, with their names.
        local_files_only=True,
        trust_remote_code=False,
        **options,
    )
    return model, report


def _without_cache(config: Any) -> None:
    """Switch off the cache of keys and values for later tokens, as sentence-transformers does."""
    if hasattr(config, "use_cache"):
        config.use_cache = False
    for name in getattr(config, "sub_configs", None) or ():
        if (inner := getattr(config, name, None)) is not None:
            _without_cache(inner)


def _check_held(folder: Path, factory: Any, config: Any, options: dict[str, str]) -> None:
    """Raise UsageError if the config describes far more numbers than the files hold, before memory is allocated."""
    with torch.device("meta"):
        skeleton = factory.from_config(config, **options)
    headers = folder_headers(folder)
    wanted, held = (
        sum(tensor.numel() for tensor in skeleton.parameters()),
        sum(header.size for header in headers.values()),
    )
    if wanted > MOST_MADE_UP * held + MADE_UP:
        other = {
            name: tensor
            for name, tensor in skeleton.named_parameters()
            if name not in headers or headers[name].shape != tuple(tensor.shape)
        }
        largest = sorted(other, key=lambda name: -other[name].numel())
        shown = some([f"{name} {list(other[name].shape)}" for name in largest], 3)
        raise UsageError(
            str(folder / "config.json"),
            f"the file describes {wanted:,} parameters, but the weights hold only {held:,}; tensors that the "
            f"weights lack, or have in another shape: {shown}",
            "wanted a file that describes these weights",
            FIX,
        )


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Keep transformers from drawing a progress bar while it loads a model."""
    from transformers.utils import logging as own

    bars: Any = own
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()
