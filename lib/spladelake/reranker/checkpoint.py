"""Which cross-encoder is meant, what its files say, and the fingerprint of all that decides its scores.

Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spladelake.encoder.checkpoint import file_digest, model_folder
from spladelake.encoder.layout import (
    TOKENIZER_FILES,
    TRANSFORMER_CONFIGS,
    check_tokenizer,
    length_limit,
    named_architectures,
    transformer_config,
    wrapper_config,
)
from spladelake.encoder.refusals import check_tokenizer_file, told_as_refusal
from spladelake.encoder.shapes import check_shapes
from spladelake.encoder.weights import folder_headers, read_json, weight_files
from spladelake.errors import UsageError

# What is put on the one logit; sentence-transformers saves it as the class's dotted name.
ACTIVATIONS = ("Identity", "Sigmoid", "Tanh", "ReLU")
DEFAULT_ACTIVATION = "Sigmoid"
# Version of the recipe below: raise it when the same files and settings begin to give other scores.
FINGERPRINT_RECIPE = 1


@dataclass(frozen=True)
class CrossCheckpoint:
    """A cross-encoder whose files were found, checked and fingerprinted; small, and sent to workers as it is.

    name: what the user asked for. folder: local folder. model_id: hex sha256 over its files, activation and length.
    file_digests: (relative file, sha256). activation: one of ACTIVATIONS. max_length: tokens of a pair.
    """

    name: str
    folder: str
    model_id: str
    file_digests: tuple[tuple[str, str], ...]
    activation: str
    max_length: int


def resolve_cross_encoder(model: str, *, max_length: int | None = None) -> CrossCheckpoint:
    """Find a cross-encoder and check that it can be used safely.

    model: a Hugging Face id, optionally id@revision, a local folder, or package:NAME/folder. max_length: tokens of a
    pair, None for the model's own.
    Raises UsageError when it is not found, not whole, needs code or pickles, or is no model of one score.
    """
    folder = model_folder(model)
    with told_as_refusal(folder, "description"):
        config = _config(folder)
        check_shapes(folder, config, folder_headers(folder))
        check_tokenizer(folder)
        check_tokenizer_file(folder)
        limit = length_limit(folder, config, wrapper_config(folder))
    if max_length is not None and max_length > limit:
        raise UsageError("max_length", f"it is {max_length}", f"{model} takes {limit} tokens", f"Use {limit} or less.")
    names = ("config.json", "modules.json", "config_sentence_transformers.json", *TOKENIZER_FILES, *TRANSFORMER_CONFIGS)
    present = sorted({*weight_files(folder), *(name for name in names if (folder / name).is_file())})
    digests = tuple((name, file_digest(folder / name)) for name in present)
    activation, length = _activation(folder, config), max_length or limit
    recipe = json.dumps([FINGERPRINT_RECIPE, digests, activation, length], separators=(",", ":"))
    model_id = hashlib.sha256(recipe.encode()).hexdigest()
    return CrossCheckpoint(model, str(folder), model_id, digests, activation, length)


def _config(folder: Path) -> dict[str, Any]:
    """config.json, refused unless it describes a classifier of one label that needs no code of its own."""
    config = transformer_config(folder)
    architectures = named_architectures(config)
    labels = config.get("num_labels") or len(config.get("id2label") or ()) or 2
    if not any(str(name).endswith("ForSequenceClassification") for name in architectures) or labels != 1:
        raise UsageError(
            str(folder / "config.json"),
            f"its architectures are {', '.join(map(str, architectures)) or 'not given'}, with {labels} labels",
            "a cross-encoder is a …ForSequenceClassification of one label",
            "Use a re-ranker such as cross-encoder/ms-marco-MiniLM-L6-v2.",
        )
    modules = folder / "modules.json"
    if modules.is_file():
        try:
            listed = json.loads(modules.read_text(encoding="utf-8"))
            kinds = [(str(entry["type"]).rsplit(".", 1)[-1], entry["path"]) for entry in listed]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UsageError(
                str(modules), f"it cannot be read ({error!r})", "a list of modules is wanted", "Copy it again."
            ) from error
        if kinds != [("Transformer", "")]:
            found = ", ".join(f"{kind} in {path!r}" for kind, path in kinds)
            raise UsageError(str(modules), f"it lists {found}", "one Transformer is supported", "Use another model.")
    return config


def _activation(folder: Path, config: dict[str, Any]) -> str:
    """Name of the function on the logit: where sentence-transformers saves it, newest place first, else its default."""
    path = folder / "config_sentence_transformers.json"
    saved = read_json(path) if path.is_file() else {}
    places = (
        saved.get("activation_fn"),
        (config.get("sentence_transformers") or {}).get("activation_fn"),
        config.get("sbert_ce_default_activation_function"),
    )
    given = next((str(value) for value in places if value), f"torch.nn.{DEFAULT_ACTIVATION}")
    name = given.rsplit(".", 1)[-1]
    if not given.startswith("torch.nn.") or name not in ACTIVATIONS:
        raise UsageError(
            str(folder),
            f"its activation is {given}",
            f"torch's {', '.join(ACTIVATIONS)} are known",
            "Use another model.",
        )
    return name
