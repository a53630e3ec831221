"""Read config.json of a transformers model, with the changes by the settings of sentence-transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spladelake.encoder.saved.remote_code import AutoModel, check_model_code
from spladelake.encoder.saved.transformer import TransformerSettings
from spladelake.encoder.saved.values import read_json
from spladelake.errors import UsageError
from spladelake.names import listed


def transformer_config(folder: Path, kind: AutoModel, settings: TransformerSettings) -> dict[str, Any]:
    """Return config.json of a transformers model, with the changes by its settings.

    - folder: the folder of the model.
    - kind: the class of transformers that builds the model.
    - settings: the settings of its module.

    Raises UsageError if there is no config.json, if the model needs code of its own, or if it is an adapter to another
    model.
    """
    path = folder / "config.json"
    _refuse_adapter(folder)
    if not path.is_file():
        raise UsageError(
            str(folder),
            "the folder has no config.json",
            "wanted a transformers model",
            "Copy the whole checkpoint, or correct the path.",
        )
    config = read_json(path) | dict(settings.config)
    check_model_code(path, config, kind)
    _refuse_quantised(path, config)
    return config


def named_architectures(config: Mapping[str, Any]) -> list[str]:
    """Return the classes that a config.json names, in a list or as a single name."""
    named = config.get("architectures") or []
    return [str(name) for name in (named if isinstance(named, list) else [named])]


def said_of(architectures: Sequence[str]) -> str:
    """Return the clause of a message that names the architectures of a config."""
    if not architectures:
        return "the file names no architecture"
    plural = "architecture is" if len(architectures) == 1 else "architectures are"
    return f"the {plural} {listed(architectures, 'and')}"


def _refuse_adapter(folder: Path) -> None:
    """Raise UsageError if the folder is an adapter, most of which have no config.json."""
    if (folder / "adapter_config.json").is_file():
        raise UsageError(
            str(folder),
            "the folder holds only an adapter (adapter_config.json)",
            "wanted a complete model",
            "Merge the adapter into its base model, and save the merged model.",
        )


def _refuse_quantised(path: Path, config: Mapping[str, Any]) -> None:
    """Raise UsageError if the weights are those of a quantised model."""
    key = next((key for key in ("quantization_config", "compression_config") if config.get(key)), None)
    if key is not None:
        value = config[key]
        method = value.get("quant_method") if isinstance(value, dict) else value
        raise UsageError(
            str(path),
            f"the weights are quantised ({key}, quant_method {method!r})",
            "wanted weights in float32, float16 or bfloat16",
            "Use the checkpoint from before the quantisation, or save a dequantised copy.",
        )
