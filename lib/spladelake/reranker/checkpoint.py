"""Find a cross-encoder, read its files, and take the fingerprint of everything that decides its scores. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spladelake.encoder.checkpoint import file_digest, model_folder
from spladelake.encoder.refusals import told_as_refusal
from spladelake.encoder.saved.config import named_architectures, said_of, transformer_config
from spladelake.encoder.saved.lengths import text_lengths
from spladelake.encoder.saved.model import FILE, SavedModel, saved_model
from spladelake.encoder.saved.modules import module_list
from spladelake.encoder.saved.tokenizer import (
    TOKENIZER_FILES,
    check_tokenizer,
    check_tokenizer_file,
    refuse_chat_template,
)
from spladelake.encoder.saved.transformer import TRANSFORMER_CONFIGS, TransformerSettings, transformer_settings
from spladelake.encoder.weights.files import check_names, folder_headers, weight_files
from spladelake.encoder.weights.shapes import check_shapes
from spladelake.errors import UsageError
from spladelake.names import listed

# Functions applied to the single logit. sentence-transformers saves the dotted name of the class.
ACTIVATIONS = ("Identity", "Sigmoid", "Tanh", "ReLU", "LogSigmoid", "Softplus", "Softsign", "GELU", "SiLU", "ELU")
DEFAULT_ACTIVATION = "Sigmoid"
# Version of the fingerprint. Raise it if the same files and settings begin to give other scores.
FINGERPRINT_RECIPE = 1


@dataclass(frozen=True)
class CrossCheckpoint:
    """A cross-encoder whose files were found, checked and fingerprinted. Small enough to send to workers.

    - name: the model's name as the user gave it.
    - folder: local folder.
    - model_id: hex sha256 of its files, activation, maximum length and settings.
    - file_digests: (relative file, sha256).
    - activation: one of ACTIVATIONS.
    - max_length: largest number of tokens of a pair.
    - prompt: text that stands before each query.
    - lower_case: whether pairs are read in lower case.
    - tokenizer_arguments, config_changes: arguments that the tokenizer and the config are read with.
    """

    name: str
    folder: str
    model_id: str
    file_digests: tuple[tuple[str, str], ...]
    activation: str
    max_length: int
    prompt: str = ""
    lower_case: bool = False
    # Workers keep models by checkpoint, and a dict has no hash. model_id stands for both.
    tokenizer_arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    config_changes: Mapping[str, Any] = field(default_factory=dict, hash=False)


def resolve_cross_encoder(model: str, *, max_length: int | None = None) -> CrossCheckpoint:
    """Find a cross-encoder and check that it can be used safely.

    - model: a Hugging Face id, optionally id@revision, a local folder, or package:NAME/folder.
    - max_length: largest number of tokens of a pair, None for the model's own limit.

    Raises UsageError if the model is not found or incomplete, needs code or pickles, or does not give one score.
    """
    folder = model_folder(model)
    with told_as_refusal(folder, "configuration"):
        saved = saved_model(folder, "CrossEncoder")
        settings = _settings(folder, plain=saved is None)
        saved = saved or SavedModel()
        config = _config(folder, settings)
        limit = text_lengths(folder, config, settings).plain
    check_tokenizer_file(folder)
    if max_length is not None and max_length > limit:
        wanted, fix = f"wanted no more tokens than {model} reads", f"Use {limit} or less."
        raise UsageError("max_length", f"the value is {max_length}", wanted, fix)
    names = ("config.json", "modules.json", "config_sentence_transformers.json", *TOKENIZER_FILES, *TRANSFORMER_CONFIGS)
    present = sorted({*weight_files(folder), *(name for name in names if (folder / name).is_file())})
    digests = tuple((name, file_digest(folder / name)) for name in present)
    activation, length = _activation(folder, config, saved), max_length or limit
    recipe: list[Any] = [FINGERPRINT_RECIPE, digests, activation, length]
    changes = [saved.default_prompt, settings.lower_case, dict(settings.tokenizer), dict(settings.config)]
    if any(changes):  # only then, so that other checkpoints keep the model_id that they have always had
        recipe += changes
    return CrossCheckpoint(
        name=model,
        folder=str(folder),
        model_id=hashlib.sha256(json.dumps(recipe, separators=(",", ":")).encode()).hexdigest(),
        file_digests=digests,
        activation=activation,
        max_length=length,
        prompt=saved.default_prompt,
        lower_case=settings.lower_case,
        tokenizer_arguments=settings.tokenizer,
        config_changes=settings.config,
    )


def _settings(folder: Path, *, plain: bool) -> TransformerSettings:
    """Return the settings of the one module, none for a plain model. Raises UsageError if there are other modules."""
    if plain:
        refuse_chat_template(folder)
        return TransformerSettings()
    kinds = [(module.name, module.path) for module in module_list(folder)]
    if kinds != [("Transformer", "")]:
        found = ", ".join(f"{kind} in {path!r}" for kind, path in kinds)
        place = str(folder / "modules.json")
        raise UsageError(
            place,
            f"the modules are {found}",
            "wanted a single module: a Transformer in the folder of the model itself",
            "Use another model.",
        )
    return transformer_settings(folder, "sequence-classification", default_task="feature-extraction")


def _config(folder: Path, settings: TransformerSettings) -> dict[str, Any]:
    """Return config.json with its changes. Raises UsageError unless it describes a whole classifier of one label."""
    config = transformer_config(folder, "AutoModelForSequenceClassification", settings)
    architectures = named_architectures(config)
    labels = config.get("num_labels") or len(config.get("id2label") or ()) or 2
    found: str | None = None
    wanted = "wanted an architecture …ForSequenceClassification"
    if not any(name.endswith("ForSequenceClassification") for name in architectures):
        found = said_of(architectures)
    elif labels != 1:
        found, wanted = f"num_labels is {labels}", "wanted 1, because a re-ranker gives each pair one score"
    if found is not None:
        fix = "Use a re-ranker such as cross-encoder/ms-marco-MiniLM-L6-v2."
        raise UsageError(str(folder / "config.json"), found, wanted, fix)
    headers = folder_headers(folder)
    check_names(folder, headers)
    check_shapes(folder, settings, headers)
    check_tokenizer(folder, config)
    return config


def _activation(folder: Path, config: dict[str, Any], saved: SavedModel) -> str:
    """Return the name of the activation: the newest place where sentence-transformers saves it, else its default."""
    older = config.get("sentence_transformers")
    if not isinstance(older, dict) or "activation_fn" not in older:
        older = {"activation_fn": config.get("sbert_ce_default_activation_function")}
    given = str(saved.activation or older["activation_fn"] or f"torch.nn.{DEFAULT_ACTIVATION}")
    name = given.rsplit(".", 1)[-1]
    if not given.startswith("torch.nn.") or name not in ACTIVATIONS:
        raise UsageError(
            str(folder / (FILE if saved.activation else "config.json")),
            f"the setting activation_fn is {given}",
            f"wanted one of these activation functions of torch.nn: {listed(ACTIVATIONS)}",
            "Use another model.",
        )
    return name
