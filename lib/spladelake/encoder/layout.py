"""Read from the JSON files of a model folder how its parts fit together.

Two layouts are known: sentence-transformers (modules.json, with or without a Router), and plain transformers
(config.json), which counts as SPLADE-max, as in sentence-transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from spladelake.encoder.refusals import told_as_refusal
from spladelake.encoder.saved.config import named_architectures, said_of, transformer_config
from spladelake.encoder.saved.lengths import UNLIMITED, text_lengths, tokenizer_length
from spladelake.encoder.saved.model import SavedModel, saved_model
from spladelake.encoder.saved.modules import ROUTERS, Module, SavedRoute, module_list, saved_routes
from spladelake.encoder.saved.tokenizer import TOKENIZER_FILES, check_tokenizer, refuse_chat_template
from spladelake.encoder.saved.transformer import TRANSFORMER_CONFIGS, TransformerSettings, transformer_settings
from spladelake.encoder.saved.values import MISSING, check_known, read_if_there, refused
from spladelake.encoder.weights.files import SINGLE_FILE, check_head_weights, check_names, folder_headers, weight_files
from spladelake.encoder.weights.shapes import check_shapes
from spladelake.errors import UsageError
from spladelake.names import listed

Pooling = Literal["max", "sum"]
Activation = Literal["relu", "log1p_relu"]

# Classes of the masked language model, each with the task that sentence-transformers assumes if its file names none.
TRANSFORMERS = {"Transformer": "feature-extraction", "MLMTransformer": "fill-mask"}
# Classes of the modules that texts can go through.
SPLADE = tuple((name, "SpladePooling") for name in TRANSFORMERS)
POOLING = (
    "pooling_strategy", "activation_function", "embedding_dimension", "word_embedding_dimension", "chunk_size"
)  # fmt: skip


@dataclass(frozen=True)
class CheckpointLayout:
    """A model folder that was read and checked, but not loaded.

    - transformer: sub-folder of the masked language model, "" for the folder itself.
    - static_query: sub-folder of fixed token weights for queries, None if queries go through a model.
    - max_length: most tokens of any text, special tokens included.
    - query_length, document_length: most tokens of a query and of a document.
    - positions: number of positions of the model, None if its config does not say.
    - files: paths, relative to the folder, of all files that decide the vectors.
    - tokenizer_arguments, config_changes: arguments that the tokenizer and the config are read with.
    - queries: the layout of the query route, if a Router has another model or another pooling for queries; else None.
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
    positions: int | None
    lower_case: bool
    query_prompt: str
    document_prompt: str
    max_active_dims: int | None
    similarity: str
    files: tuple[str, ...]
    tokenizer_arguments: Mapping[str, Any] = field(default_factory=dict)
    config_changes: Mapping[str, Any] = field(default_factory=dict)
    queries: CheckpointLayout | None = None

    @property
    def one_length(self) -> int | None:
        """The most tokens of a text of either kind, None if queries and documents differ."""
        return self.document_length if self.query_length == self.document_length else None


def read_layout(folder: Path) -> CheckpointLayout:
    """Read the layout of a model folder. Raises UsageError if a part is missing, damaged or of an unknown kind."""
    if not folder.is_dir():
        raise UsageError(str(folder), "there is no such folder", "wanted a model folder", "Correct the path.")
    with told_as_refusal(folder, "configuration"):
        return _read(folder)


def _read(folder: Path) -> CheckpointLayout:
    query, document = _routes(folder)
    if document.classes not in SPLADE:
        raise _unsupported(folder, "documents", document, "Transformer and SpladePooling")
    static = query.classes == ("SparseStaticEmbedding",)
    if not static and query.classes not in SPLADE:
        wanted = "Transformer and SpladePooling, or SparseStaticEmbedding alone"
        raise _unsupported(folder, "queries", query, wanted)
    layout = _read_route(folder, document)
    if static:
        place = folder / query.modules[0].path
        _check_static(place / "config.json")
        length = tokenizer_length(place) or UNLIMITED
        layout = replace(layout, static_query=query.modules[0].path, query_length=length)
    elif query != document:
        queries = _read_route(folder, query)
        layout = replace(layout, queries=queries, query_length=queries.query_length)
    return replace(layout, files=_files(folder, query, document))


def _read_route(folder: Path, route: SavedRoute) -> CheckpointLayout:
    """The layout of a masked language model and its pooling, without its files."""
    transformer, pooling = route.modules[0], route.modules[1].path
    inner = folder / transformer.path
    saved = saved_model(folder, "SparseEncoder")
    settings = _settings(inner, transformer, plain=saved is None)
    config = _model_config(inner, settings)
    saved = saved or SavedModel()
    place = folder / pooling / "config.json"
    pooling_config = read_if_there(place) if (folder / "modules.json").is_file() else {}
    check_known(place, pooling_config, POOLING)
    lengths = text_lengths(inner, config, settings)
    return CheckpointLayout(
        transformer=transformer.path,
        static_query=None,
        pooling=_one_of(place, pooling_config, "pooling_strategy", ("max", "sum")),  # type: ignore[arg-type]
        activation=_one_of(place, pooling_config, "activation_function", ("relu", "log1p_relu")),  # type: ignore[arg-type]
        architecture=next(name for name in named_architectures(config) if name.endswith("ForMaskedLM")),
        model_type=str(config["model_type"]),
        vocabulary_size=int(config["vocab_size"]),
        max_length=lengths.most,
        query_length=lengths.query,
        document_length=lengths.document,
        positions=lengths.positions,
        lower_case=settings.lower_case,
        query_prompt=saved.prompts.get("query", ""),
        document_prompt=saved.prompts.get("document", ""),
        max_active_dims=saved.max_active_dims,
        similarity=saved.similarity,
        files=(),
        tokenizer_arguments=settings.tokenizer,
        config_changes=settings.config,
    )


def _routes(folder: Path) -> tuple[SavedRoute, SavedRoute]:
    """Return the modules of queries and of documents."""
    if not (folder / "modules.json").is_file():
        plain = SavedRoute((Module("MLMTransformer", ""), Module("SpladePooling", "")))
        return plain, plain
    routes = saved_routes(folder)
    return routes["query"], routes["document"]


def is_router(folder: Path) -> bool:
    """Return whether a folder that `read_layout` can read has a Router."""
    modules = module_list(folder) if (folder / "modules.json").is_file() else ()
    return any(module.name in ROUTERS for module in modules)


def _check_static(path: Path) -> None:
    """Raise UsageError if the token weights are not in the module's own file."""
    config = read_if_there(path)
    check_known(path, config, ("frozen", "path"))
    if str(config.get("path")).endswith(".json"):
        raise refused(
            path,
            "path",
            config["path"],
            f"wanted the weights in {SINGLE_FILE}",
            "Load the model with sentence-transformers and save it again.",
        )


def _settings(inner: Path, transformer: Module, *, plain: bool) -> TransformerSettings:
    """Return the settings of the language model's module. A plain model has none, as in sentence-transformers."""
    if not plain:
        return transformer_settings(inner, "fill-mask", default_task=TRANSFORMERS[transformer.name])
    refuse_chat_template(inner)
    return TransformerSettings()


def _model_config(folder: Path, settings: TransformerSettings) -> dict[str, Any]:
    """Return config.json of the masked language model with its changes. Check its weights and its tokenizer first."""
    config = transformer_config(folder, "AutoModelForMaskedLM", settings)
    architectures = named_architectures(config)
    path = folder / "config.json"
    if not any(str(name).endswith("ForMaskedLM") for name in architectures):
        raise UsageError(
            str(path),
            said_of(architectures),
            "wanted an architecture with a masked-language-model head (…ForMaskedLM)",
            "Use a SPLADE checkpoint.",
        )
    for key, kind in (("model_type", str), ("vocab_size", int)):
        if type(config.get(key)) is not kind:
            wanted = "wanted a text" if kind is str else "wanted a whole number"
            raise refused(path, key, config.get(key, MISSING), wanted, "Copy config.json again from its source.")
    _check_weights(folder, config, settings)
    check_tokenizer(folder, config)
    return config


def _check_weights(folder: Path, config: dict[str, Any], settings: TransformerSettings) -> None:
    """Raise UsageError unless the weights are complete, have the config's shapes, and hold the MLM head."""
    headers = folder_headers(folder)
    check_names(folder, headers)
    check_head_weights(folder, config["model_type"], headers, tied=bool(config.get("tie_word_embeddings", True)))
    check_shapes(folder, settings, headers)


def _one_of(place: Path, config: dict[str, Any], key: str, allowed: tuple[str, ...]) -> str:
    """Return a pooling setting, the first allowed value if the file gives none. Raises UsageError for another value."""
    value = config.get(key, allowed[0])
    if value not in allowed:
        raise refused(place, key, value, f"wanted {' or '.join(allowed)}", "Use another checkpoint.")
    return str(value)


def _files(folder: Path, query: SavedRoute, document: SavedRoute) -> tuple[str, ...]:
    """Return the sorted relative paths of all files that decide the vectors."""
    wanted = [("", name) for name in ("modules.json", "config_sentence_transformers.json")]
    if (folder / "modules.json").is_file():
        routers = [module.path for module in module_list(folder) if module.name in ROUTERS]
        wanted += [(path, name) for path in routers for name in ("router_config.json", "config.json")]
    for module in {*query.modules, *document.modules}:
        if module.name == "SpladePooling" and not (folder / "modules.json").is_file():
            continue  # The plain layout has no file for this module.
        wanted.append((module.path, "config.json"))
        if module.name != "SpladePooling":
            wanted += [(module.path, file) for file in (*TOKENIZER_FILES, *TRANSFORMER_CONFIGS)]
            wanted += [(module.path, file) for file in weight_files(folder / module.path)]
    paths = {f"{sub_folder}/{name}".strip("/") for sub_folder, name in wanted}
    return tuple(sorted(path for path in paths if (folder / path).is_file()))


def _unsupported(folder: Path, texts: str, route: SavedRoute, wanted: str) -> UsageError:
    classes = listed(route.classes, "and")
    found = f"the modules for {texts} are {classes}" if route.classes else f"there are no modules for {texts}"
    return UsageError(str(folder), found, f"wanted {wanted}", "Use a SPLADE checkpoint.")
