"""Refuse a model folder that needs code of its own. A folder that only names such code (auto_map) passes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from spladelake.errors import UsageError

AutoModel = Literal["AutoModelForMaskedLM", "AutoModelForSequenceClassification"]


def check_model_code(path: Path, config: Mapping[str, Any], kind: AutoModel) -> None:
    """Raise UsageError if only code of the checkpoint can build the model that config.json describes.

    If code is not allowed, transformers uses its own class for the architecture if it has one. transformers is imported
    only for a checkpoint that names code, because the import takes seconds.

    - path: the config.json.
    - config: its content.
    - kind: the class of transformers that builds the model.
    """
    named = config.get("auto_map")
    if not isinstance(named, dict) or not {"AutoConfig", kind} & set(named):
        return
    from transformers.models.auto import modeling_auto
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES  # type: ignore[attr-defined]

    models = {
        "AutoModelForMaskedLM": modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        "AutoModelForSequenceClassification": modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    }
    known = {"AutoConfig": CONFIG_MAPPING_NAMES, kind: models[kind]}
    model_type = config.get("model_type")
    for name in sorted(set(known) & set(named)):
        if model_type not in known[name]:
            raise _code(path, f"auto_map.{name} is {named[name]!r}, and transformers has no model type {model_type!r}")


def check_tokenizer_code(path: Path, config: Mapping[str, Any], model_type: object) -> None:
    """Raise UsageError if only code of the checkpoint can build the tokenizer, or if it processes more than texts.

    - path: the tokenizer_config.json.
    - config: its content.
    - model_type: the model type in config.json.
    """
    named = config.get("auto_map")
    code = named.get("AutoTokenizer") if isinstance(named, dict) else named
    if code:
        from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES, tokenizer_class_from_name

        own = str(config.get("tokenizer_class")).removesuffix("Fast")
        classes = (tokenizer_class_from_name(name) for name in (own, f"{own}Fast"))
        if not TOKENIZER_MAPPING_NAMES.get(str(model_type)) and not any(classes):
            raise _code(path, f"auto_map is {named!r}, and transformers has no tokenizer for this model")
    processor = config.get("processor_class")
    if processor:
        from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES  # type: ignore[attr-defined]

        if processor in PROCESSOR_MAPPING_NAMES.values():
            raise UsageError(
                str(path),
                f"the setting processor_class is {processor!r}",
                "wanted no processor, because spladelake encodes only texts",
                "Remove processor_class from the file.",
            )


def _code(path: Path, found: str) -> UsageError:
    return UsageError(
        str(path),
        f"the checkpoint asks to run code of its own ({found})",
        "wanted an architecture and a tokenizer of transformers",
        "Use a checkpoint without code of its own.",
    )
