"""Find a cross-encoder, read its files, and take the fingerprint of everything that decides its scores. No torch."""

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

# Functions applied to the single logit. sentence-transformers saves the dotted name of the class.
ACTIVATIONS = ("Identity", "Sigmoid", "Tanh", "ReLU")
DEFAULT_ACTIVATION = "Sigmoid"
# Version of the fingerprint. Raise it if the same files and settings begin to give other scores.
FINGERPRINT_RECIPE = 1


@dataclass(frozen=True)
class CrossCheckpoint:
    """A cross-encoder whose files were found, checked and fingerprinted. Small enough to send to workers.

    - name: the model's name as the user gave it.
    - folder: local folder.
    - model_id: hex sha256 of its files, activation and maximum length.
    - file_digests: (relative file, sha256).
    - activation: one of ACTIVATIONS.
    - max_length: largest number of tokens of a pair.
    """

    name: str
    folder: str
    model_id: str
    file_digests: tuple[tuple[str, str], ...]
    activation: str
    max_length: int


def resolve_cross_encoder(model: str, *, max_length: int | None = None) -> CrossCheckpoint:
    """Find a cross-encoder and check that it can be used safely.

    - model: a Hugging Face id, optionally id@revision, a local folder, or package:NAME/folder.
    - max_length: largest number of tokens of a pair, None for the model's own limit.

    Raises UsageError if the model is not found or incomplete, needs code or pickles, or does not give one score.
    """
    folder = model_folder(model)
    with told_as_refusal(folder, "description"):
        config = _config(folder)
        check_shapes(folder, config, folder_headers(folder))
        check_tokenizer(folder)
        check_tokenizer_file(folder)
        limit = length_limit(folder, config, wrapper_config(folder))
    if max_length is not None and max_length > limit:
        raise UsageError("max_length", f"it is {max_length}", f"{model} takes {limit} tokens", f"Use at most {limit}.")
    names = ("config.json", "modules.json", "config_sentence_transformers.json", *TOKENIZER_FILES, *TRANSFORMER_CONFIGS)
    present = sorted({*weight_files(folder), *(name for name in names if (folder / name).is_file())})
    digests = tuple((name, file_digest(folder / name)) for name in present)
    activation, length = _activation(folder, config), max_length or limit
    recipe = json.dumps([FINGERPRINT_RECIPE, digests, activation, length], separators=(",", ":"))
    model_id = hashlib.sha256(recipe.encode()).hexdigest()
    return CrossCheckpoint(model, str(folder), model_id, digests, activation, length)


def _config(folder: Path) -> dict[str, Any]:
    """Read config.json. Raises UsageError unless it describes a classifier of one label without code of its own."""
    config = transformer_config(folder)
    architectures = named_architectures(config)
    labels = config.get("num_labels") or len(config.get("id2label") or ()) or 2
    if not any(str(name).endswith("ForSequenceClassification") for name in architectures) or labels != 1:
        raise UsageError(
            str(folder / "config.json"),
            f"its architectures are {', '.join(map(str, architectures)) or 'not given'}, with {labels} labels",
            "wanted a …ForSequenceClassification of one label",
            "Use a re-ranker such as cross-encoder/ms-marco-MiniLM-L6-v2.",
        )
    modules = folder / "modules.json"
    if modules.is_file():
        try:
            listed = json.loads(modules.read_text(encoding="utf-8"))
            kinds = [(str(entry["type"]).rsplit(".", 1)[-1], entry["path"]) for entry in listed]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UsageError(
                str(modules), f"it cannot be read ({error!r})", "wanted a list of modules", "Copy the file again."
            ) from error
        if kinds != [("Transformer", "")]:
            found = ", ".join(f"{kind} in {path!r}" for kind, path in kinds)
            raise UsageError(str(modules), f"it lists {found}", "wanted one Transformer", "Use another model.")
    return config


def _activation(folder: Path, config: dict[str, Any]) -> str:
    """Return the name of the activation: the newest place where sentence-transformers saves it, else its default."""
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
            f"wanted one of torch.nn's {', '.join(ACTIVATIONS)}",
            "Use another model.",
        )
    return name
