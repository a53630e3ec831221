"""How the parts of a model folder fit together, as its own JSON files say.

Two layouts are read: sentence-transformers (modules.json, with or without a Router) and plain transformers
(config.json, taken as SPLADE-max as sentence-transformers does).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from spladelake.encoder.shapes import check_shapes
from spladelake.encoder.weights import check_head, folder_headers, read_json, weight_files
from spladelake.errors import UsageError

Pooling = Literal["max", "sum"]
Activation = Literal["relu", "log1p_relu"]

TRANSFORMERS = ("Transformer", "MLMTransformer")
# Model types that number positions from pad_token_id + 1, so that many fewer tokens fit than positions exist.
OFFSET_POSITIONS = (
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "roberta-prelayernorm",
    "mpnet",
    "longformer",
)
TRANSFORMER_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "spm.model",
    "tokenizer.model",
)
VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "spm.model",
    "tokenizer.model",
)


@dataclass(frozen=True)
class Layout:
    """A model folder, read and checked but not loaded.

    transformer: sub-folder of the masked language model ("" for the folder itself). static_query: sub-folder of the
    per-token weights that stand for the model on queries, None where queries go through the model. max_length: tokens
    of a text, special ones included; query_length and document_length where the checkpoint has one each. files: paths,
    relative to the folder, of all files that decide the vectors.
    """

    transformer: str
    static_query: str | None
    pooling: Pooling
    activation: Activation
    architecture: str
    model_type: str
    vocabulary_size: int
    max_length: int
    query_length: int
    document_length: int
    lower_case: bool
    query_prompt: str
    document_prompt: str
    max_active_dims: int | None
    similarity: str
    files: tuple[str, ...]

    @property
    def one_length(self) -> int | None:
        """Tokens of a text of either kind, None where queries and documents differ."""
        return self.document_length if self.query_length == self.document_length else None


@dataclass(frozen=True)
class _Route:
    """The modules a text goes through: class name and sub-folder each."""

    modules: tuple[tuple[str, str], ...]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.modules)


def read_layout(folder: Path) -> Layout:
    """Read a model folder's own description. Raises UsageError when a part is absent, damaged or of an unknown kind."""
    if not folder.is_dir():
        raise UsageError(str(folder), "there is no such folder", "a model folder is wanted", "Check the path.")
    query, document = _routes(folder)
    if len(document.modules) != 2 or document.classes[0] not in TRANSFORMERS or document.classes[1] != "SpladePooling":
        raise _unsupported(folder, f"documents go through {' + '.join(document.classes)}")
    static_query = query.modules[0][1] if query.classes == ("SparseStaticEmbedding",) else None
    if static_query is None and query != document:
        raise _unsupported(folder, f"queries go through {' + '.join(query.classes)}, unlike documents")
    transformer, pooling = document.modules[0][1], document.modules[1][1]
    inner = folder / transformer
    config = _model_config(inner)
    pooling_config = read_json(folder / pooling / "config.json") if (folder / "modules.json").is_file() else {}
    wrapper = wrapper_config(inner)
    saved = _saved_model_config(folder)
    prompts = saved.get("prompts") or {}
    limit = length_limit(inner, config, wrapper)
    return Layout(
        transformer=transformer,
        static_query=static_query,
        pooling=_one_of(folder / pooling, pooling_config, "pooling_strategy", ("max", "sum")),  # type: ignore[arg-type]
        activation=_one_of(folder / pooling, pooling_config, "activation_function", ("relu", "log1p_relu")),  # type: ignore[arg-type]
        architecture=next(name for name in named_architectures(config) if name.endswith("ForMaskedLM")),
        model_type=str(config["model_type"]),
        vocabulary_size=int(config["vocab_size"]),
        max_length=limit,
        query_length=min(limit, wrapper.get("query_length") or limit),
        document_length=min(limit, wrapper.get("document_length") or limit),
        lower_case=bool(wrapper.get("do_lower_case", False)),
        query_prompt=prompts.get("query") or "",
        document_prompt=prompts.get("document") or "",
        max_active_dims=saved.get("max_active_dims"),
        similarity=saved.get("similarity_fn_name") or "dot",
        files=_files(folder, query, document),
    )


def _routes(folder: Path) -> tuple[_Route, _Route]:
    """The modules of queries and of documents."""
    path = folder / "modules.json"
    if not path.is_file():
        plain = _Route((("Transformer", ""), ("SpladePooling", "")))
        return plain, plain
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
        chain = tuple((_class(entry["type"]), _inside(folder, entry["path"])) for entry in modules)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            str(path),
            f"it cannot be read ({error})",
            "sentence-transformers' list of modules is wanted",
            "Copy it again.",
        ) from error
    if [name for name, _ in chain] != ["Router"]:
        return _Route(chain), _Route(chain)
    return _router(folder, chain[0][1])


def is_router(folder: Path) -> bool:
    """Whether the modules of a folder that `read_layout` can read are behind a Router."""
    path = folder / "modules.json"
    modules = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return [_class(entry["type"]) for entry in modules] == ["Router"]


def _router(folder: Path, sub_folder: str) -> tuple[_Route, _Route]:
    """The two routes of a Router module; its config is router_config.json, config.json in older checkpoints."""
    path = folder / sub_folder / "router_config.json"
    if not path.is_file():
        path = folder / sub_folder / "config.json"
    config = read_json(path)
    types, structure = config.get("types", {}), config.get("structure", {})
    if not {"query", "document"} <= set(structure) or (config.get("parameters") or {}).get("route_mappings"):
        raise _unsupported(folder, f"its Router has the routes {', '.join(structure) or 'none'}")

    def route(name: str) -> _Route:
        return _Route(
            tuple((_class(types[m]), _inside(folder, f"{sub_folder}/{m}".strip("/"))) for m in structure[name])
        )

    return route("query"), route("document")


def _class(reference: str) -> str:
    """Class name of a module: the last part of a dotted reference. The reference itself is never imported."""
    return reference.rsplit(".", 1)[-1]


def _inside(folder: Path, sub_folder: str) -> str:
    """The sub-folder, after checking that it does not lead out of the model folder."""
    if Path(sub_folder).is_absolute() or ".." in Path(sub_folder).parts:
        raise UsageError(
            str(folder), f"a module has the path {sub_folder!r}", "paths stay in the folder", "Copy it again."
        )
    return sub_folder


def transformer_config(folder: Path) -> dict[str, Any]:
    """config.json of a transformers model of any kind.

    Raises UsageError when there is none, when the model needs code of its own or is only an adapter to another one.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise UsageError(str(folder), "it has no config.json", "a transformers model is wanted", "Check the path.")
    config = read_json(path)
    _refuse_code(path, config)
    _refuse_quantised(path, config)
    if (folder / "adapter_config.json").is_file():
        raise UsageError(
            str(folder),
            "it is an adapter (adapter_config.json) to another model",
            "a complete model is wanted",
            "Merge the adapter into its base model and save that.",
        )
    return config


def named_architectures(config: dict[str, Any]) -> list[str]:
    """Classes that a config.json names; a single name need not stand in a list."""
    named = config.get("architectures") or []
    return [str(name) for name in (named if isinstance(named, list) else [named])]


def _refuse_code(path: Path, config: dict[str, Any]) -> None:
    """Raise UsageError when a file of a checkpoint names classes in code that comes with it."""
    if "auto_map" in config:
        raise UsageError(
            str(path),
            "it asks to run code that comes with the checkpoint (auto_map)",
            "only architectures and tokenizers that transformers itself knows are run",
            "Use a checkpoint without remote code.",
        )


def _refuse_quantised(path: Path, config: dict[str, Any]) -> None:
    """Raise UsageError when the weights are those of a quantised model."""
    key = next((key for key in ("quantization_config", "compression_config") if config.get(key)), None)
    if key is not None:
        value = config[key]
        method = value.get("quant_method") if isinstance(value, dict) else value
        raise UsageError(
            str(path),
            f"its weights are quantised ({key}, quant_method {method!r})",
            "weights in float32, float16 or bfloat16 are read",
            "Use the checkpoint that it was quantised from, or save it dequantised.",
        )


def _model_config(folder: Path) -> dict[str, Any]:
    """config.json of the masked language model, after checks of its weights and tokenizer."""
    config = transformer_config(folder)
    architectures = named_architectures(config)
    path = folder / "config.json"
    if not any(str(name).endswith("ForMaskedLM") for name in architectures):
        raise UsageError(
            str(path),
            f"its architectures are {', '.join(map(str, architectures)) or 'not given'}",
            "SPLADE needs a masked-language-model head (…ForMaskedLM)",
            "Use a SPLADE checkpoint, not a dense embedding model.",
        )
    for key, kind in (("model_type", str), ("vocab_size", int)):
        if type(config.get(key)) is not kind:
            raise UsageError(str(path), f'"{key}" is {config.get(key)!r}', "every model has one", "Copy it again.")
    _check_weights(folder, config)
    check_tokenizer(folder)
    return config


def _check_weights(folder: Path, config: dict[str, Any]) -> None:
    """Raise UsageError unless the weights are whole, of the config's shapes, and hold the MLM head."""
    headers = folder_headers(folder)
    check_head(folder, config["model_type"], headers, tied=bool(config.get("tie_word_embeddings", True)))
    check_shapes(folder, config, headers)


def check_tokenizer(folder: Path) -> None:
    """Raise UsageError unless the folder has a tokenizer that needs no code of its own."""
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise UsageError(
            str(folder),
            "it has no tokenizer (tokenizer.json)",
            "a model needs its tokenizer",
            "Copy the whole checkpoint.",
        )
    path = folder / "tokenizer_config.json"
    if path.is_file():
        _refuse_code(path, read_json(path))


def wrapper_config(folder: Path) -> dict[str, Any]:
    """What sentence-transformers' Transformer module saved beside the model, {} for plain transformers."""
    path = next((folder / name for name in TRANSFORMER_CONFIGS if (folder / name).is_file()), None)
    config = read_json(path) if path else {}
    for key in ("query_expansion", "processing_kwargs"):
        if config.get(key):
            raise UsageError(
                str(path), f"{key} is {config[key]!r}", "this encoder has no such step", "Use a checkpoint without it."
            )
    return config


def _saved_model_config(folder: Path) -> dict[str, Any]:
    path = folder / "config_sentence_transformers.json"
    return read_json(path) if path.is_file() else {}


def length_limit(folder: Path, config: dict[str, Any], wrapper: dict[str, Any]) -> int:
    """Tokens of a text, special ones included: the wrapper's or the tokenizer's limit, never more than positions exist.

    The order is sentence-transformers'; it does not subtract the offset of RoBERTa-like positions, and then fails.
    """
    path = folder / "tokenizer_config.json"
    tokenizer = read_json(path) if path.is_file() else {}
    limits = [wrapper.get("max_seq_length") or tokenizer.get("model_max_length"), position_limit(config)]
    # Tokenizers without a limit are saved with the number 10**30.
    known = [int(limit) for limit in limits if limit is not None and limit < 10**6]
    if not known:
        raise UsageError(
            str(folder),
            "neither its tokenizer nor its config says how many tokens fit",
            "a length is needed",
            'Put "model_max_length" into tokenizer_config.json.',
        )
    return min(known)


def position_limit(config: dict[str, Any]) -> int | None:
    """Tokens of a text that the model has positions for, None if its config gives no limit."""
    positions = config.get("max_position_embeddings") or -1
    if positions > 0 and config["model_type"] in OFFSET_POSITIONS:
        positions -= int(config.get("pad_token_id") or 0) + 1
    return int(positions) if positions > 0 else None


def _one_of(place: Path, config: dict[str, Any], key: str, allowed: tuple[str, ...]) -> str:
    """A pooling setting, the first allowed value where the file does not give one."""
    value = config.get(key, allowed[0])
    if value not in allowed:
        raise UsageError(
            str(place), f"{key} is {value!r}", f"{' or '.join(allowed)} is supported", "Use another checkpoint."
        )
    return str(value)


def _files(folder: Path, query: _Route, document: _Route) -> tuple[str, ...]:
    """Relative paths of all files that decide the vectors, sorted."""
    wanted = [("", name) for name in ("modules.json", "config_sentence_transformers.json", "router_config.json")]
    for name, sub_folder in {*query.modules, *document.modules}:
        if name == "SpladePooling" and not (folder / "modules.json").is_file():
            continue  # the plain layout has no file for it
        wanted.append((sub_folder, "config.json"))
        if name != "SpladePooling":
            wanted += [(sub_folder, file) for file in (*TOKENIZER_FILES, *TRANSFORMER_CONFIGS)]
            wanted += [(sub_folder, file) for file in weight_files(folder / sub_folder)]
    paths = {f"{sub_folder}/{name}".strip("/") for sub_folder, name in wanted}
    return tuple(sorted(path for path in paths if (folder / path).is_file()))


def _unsupported(folder: Path, found: str) -> UsageError:
    return UsageError(
        str(folder),
        found,
        "a masked language model with SpladePooling is supported, and SparseStaticEmbedding for queries",
        "Use a SPLADE checkpoint.",
    )
