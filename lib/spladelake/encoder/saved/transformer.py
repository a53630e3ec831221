"""Read the settings of sentence-transformers' Transformer module: sentence_bert_config.json, or its older names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from spladelake.encoder.saved.values import MISSING, check_known, mapping, read_if_there, refused, whole_number
from spladelake.errors import UsageError
from spladelake.names import listed

Task = Literal["fill-mask", "sequence-classification"]

TRANSFORMER_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# The name under which the next module looks for the logits, by task.
OUTPUTS: dict[Task, str] = {"fill-mask": "token_embeddings", "sequence-classification": "scores"}
# The old name comes first: if both are given, sentence-transformers uses the old one.
MODEL, TOKENIZER, CONFIG = (
    ("model_args", "model_kwargs"),
    ("tokenizer_args", "processor_kwargs"),
    ("config_args", "config_kwargs"),
)
KNOWN = (
    *MODEL, *TOKENIZER, *CONFIG, "max_seq_length", "do_lower_case", "transformer_task", "modality_config",
    "module_output_name", "processing_kwargs", "unpad_inputs", "query_length", "document_length", "query_expansion",
    "tokenizer_name_or_path", "backend", "cache_dir",
)  # fmt: skip
# sentence-transformers overwrites these arguments with the place of the folder, and drops the permission to run code.
PLACE = frozenset({"subfolder", "token", "cache_dir", "revision", "local_files_only", "trust_remote_code"})
# Arguments of a model that change the way or the precision of its computation, but not the result.
WITHOUT_EFFECT = frozenset(
    {"dtype", "torch_dtype", "attn_implementation", "low_cpu_mem_usage", "device_map", "use_safetensors"}
)
# Arguments that name other files, other code, or another kind of model.
ELSEWHERE = frozenset(
    {"config", "code_revision", "gguf_file", "mistral_format", "name_or_path", "auto_map", "architectures",
     "model_type", "return_unused_kwargs", "quantization_config", "compression_config", "_from_auto",
     "_configuration_file", "_commit_hash", "tokenizer_type", "init_inputs"}
)  # fmt: skip
# Arguments of a call of the tokenizer that do not change the token ids of a text.
CALL_WITHOUT_EFFECT = frozenset(
    {"padding", "padding_side", "pad_to_multiple_of", "return_attention_mask", "verbose", "logits_to_keep", "stride"}
)

# Why another argument of a call of the tokenizer cannot be honoured, by its name.
_CALL = {
    "add_special_tokens": "spladelake always adds the special tokens",
    "truncation": "spladelake always cuts long texts",
}


@dataclass(frozen=True)
class TransformerSettings:
    """The settings of a Transformer module that this project honours.

    - max_seq_length: most tokens of a text, None if the tokenizer decides.
    - query_length, document_length: most tokens of a text of that kind.
    - call_length: most tokens of any text. It wins over the other lengths.
    - lower_case: whether texts are read in lower case.
    - tokenizer, config: arguments that the tokenizer and the model's config are read with.
    - path, config_name: the file, and the name in it, from which `config` comes.
    """

    max_seq_length: int | None = None
    query_length: int | None = None
    document_length: int | None = None
    call_length: int | None = None
    lower_case: bool = False
    tokenizer: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None
    config_name: str = CONFIG[0]


def transformer_settings(folder: Path, task: Task, *, default_task: str) -> TransformerSettings:
    """Read the settings of the Transformer module in a folder.

    - task: the task for which the module is needed.
    - default_task: the task of its class if the file names none.

    Raises UsageError, which names the setting, if a setting changes the result in a way that is not supported.
    """
    path, config = _first(folder)
    check_known(path, config, KNOWN)
    _check_task(path, config, task, default_task)
    if config.get("query_expansion") is not None:
        raise refused(
            path,
            "query_expansion",
            config["query_expansion"],
            "wanted null, because spladelake does not expand queries",
        )
    if config.get("tokenizer_name_or_path") is not None:
        wanted = "wanted null, because spladelake reads the tokenizer from the folder of the model"
        raise refused(path, "tokenizer_name_or_path", config["tokenizer_name_or_path"], wanted)
    _check_arguments_of_model(path, config)
    return TransformerSettings(
        max_seq_length=whole_number(path, config, "max_seq_length"),
        query_length=whole_number(path, config, "query_length"),
        document_length=whole_number(path, config, "document_length"),
        call_length=_call_length(path, config),
        lower_case=bool(config.get("do_lower_case", False)),
        tokenizer=_arguments(path, config, TOKENIZER),
        config=_arguments(path, config, CONFIG),
        path=path,
        config_name=_named(path, config, CONFIG)[0],
    )


def _first(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return path and content of the first file of the module that exists and is not empty."""
    for name in TRANSFORMER_CONFIGS:
        if config := read_if_there(folder / name):
            return folder / name, config
    return folder / TRANSFORMER_CONFIGS[0], {}


def _check_task(path: Path, config: Mapping[str, Any], task: Task, default_task: str) -> None:
    """Raise UsageError unless the module passes the logits of texts to the next module."""
    given = config.get("transformer_task", default_task)
    if given != task:
        fix = f"Use a checkpoint for the task {task}."
        if "transformer_task" in config:
            raise refused(path, "transformer_task", given, f"wanted {task}", fix)
        found = f"the setting transformer_task is missing, so its default applies ({given})"
        raise UsageError(str(path), found, f"wanted {task}", fix)
    modalities = mapping(path, config, "modality_config")
    if not modalities:
        return
    _check_modalities(path, modalities)
    if config.get("module_output_name") != OUTPUTS[task]:
        named = config.get("module_output_name", MISSING)
        raise refused(path, "module_output_name", named, f"wanted {OUTPUTS[task]}", "Use another checkpoint.")


def _check_modalities(path: Path, modalities: Mapping[str, Any]) -> None:
    """Raise UsageError unless the module reads plain texts, and gives their logits."""
    fix = "Use a checkpoint that reads plain texts."
    if "text" not in modalities:
        found = f"the setting modality_config has only {listed(map(json.dumps, modalities), 'and')} as input"
        raise UsageError(str(path), found, 'wanted "text" as input', fix)
    if "message" in modalities:
        found = 'the setting modality_config has "message" as input, which puts each text into a chat template'
        raise UsageError(str(path), found, "wanted unchanged texts as input", fix)
    text = {"method": "forward", "method_output_name": "logits"}
    given = modalities["text"]
    if not isinstance(given, dict) or given | {"method_output_name": _plain(given)} != text:
        raise refused(path, "modality_config.text", given, f"wanted {json.dumps(text)}", "Use another checkpoint.")


def _plain(modality: Mapping[str, Any]) -> object:
    """Return the name of a modality's output. A list of one name counts as that name."""
    name = modality.get("method_output_name")
    return name[0] if isinstance(name, list) and len(name) == 1 else name


def _named(path: Path, config: Mapping[str, Any], names: tuple[str, str]) -> tuple[str, dict[str, Any]]:
    """Return the name in use and its arguments, without those that name the place of the folder."""
    name = names[0] if names[0] in config else names[1]
    return name, {key: value for key, value in mapping(path, config, name).items() if key not in PLACE}


def _arguments(path: Path, config: Mapping[str, Any], names: tuple[str, str]) -> dict[str, Any]:
    """Return the arguments to honour. Raises UsageError if one names other files or another kind of model."""
    name, arguments = _named(path, config, names)
    for key, value in arguments.items():
        if key in ELSEWHERE or key.endswith("_file"):
            raise refused(
                path,
                f"{name}.{key}",
                value,
                "wanted no such argument, because spladelake loads only the model in this folder",
            )
    if names is TOKENIZER and "model_max_length" in arguments:
        named = f"{name}.model_max_length"
        whole_number(path, {named: arguments["model_max_length"]}, named)
    return arguments


def _check_arguments_of_model(path: Path, config: Mapping[str, Any]) -> None:
    name, arguments = _named(path, config, MODEL)
    for key, value in arguments.items():
        if key not in WITHOUT_EFFECT:
            raise refused(
                path,
                f"{name}.{key}",
                value,
                "wanted no such argument, because spladelake builds the model from config.json alone",
            )


def _call_length(path: Path, config: Mapping[str, Any]) -> int | None:
    """Return the length of texts in the arguments of the tokenizer's call.

    Raises UsageError if another argument changes the token ids.
    """
    processing = mapping(path, config, "processing_kwargs")
    common = mapping(path, processing, "common")
    arguments = mapping(path, processing, "text") | common
    for key, value in arguments.items():
        plain = {"truncation": (True, "longest_first"), "return_tensors": ("pt",), "add_special_tokens": (True,)}
        if key not in CALL_WITHOUT_EFFECT and key != "max_length" and value not in plain.get(key, ()):
            raise refused(
                path,
                f"processing_kwargs.{'common' if key in common else 'text'}.{key}",
                value,
                f"wanted no such argument, because {_CALL.get(key, 'spladelake does not give it to the tokenizer')}",
            )
    side = arguments.get("padding_side") or _named(path, config, TOKENIZER)[1].get("padding_side")
    padded = arguments.get("padding") == "max_length" or arguments.get("pad_to_multiple_of")
    if padded and (side or read_if_there(path.parent / "tokenizer_config.json").get("padding_side")) == "left":
        wanted = "wanted no padding on the left, because spladelake counts positions from the first token of a text"
        raise refused(path, "processing_kwargs", processing, wanted)
    return whole_number(path, arguments, "max_length")
