"""Find how many tokens of a text a model reads, in sentence-transformers' order of precedence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spladelake.encoder.saved.transformer import TransformerSettings
from spladelake.encoder.saved.values import read_if_there, refused, whole_number
from spladelake.errors import UsageError

TOKENIZER_CONFIG = "tokenizer_config.json"
# A tokenizer without a limit is saved with the number 10**30.
UNLIMITED = 10**6
# Model types that number positions from pad_token_id + 1. They read this many fewer tokens than they have positions.
OFFSET_POSITIONS = (
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "roberta-prelayernorm",
    "mpnet",
    "longformer",
)


@dataclass(frozen=True)
class ModelLengths:
    """The most tokens of a text, special tokens included.

    - most: of any text.
    - plain: of a text without a kind, such as a pair.
    - query, document: of a text of that kind.
    - positions: number of positions of the model, None if its config does not say.
    """

    most: int
    plain: int
    query: int
    document: int
    positions: int | None


def text_lengths(folder: Path, config: Mapping[str, Any], settings: TransformerSettings) -> ModelLengths:
    """Return the lengths of texts of the model in a folder, at most its number of positions.

    sentence-transformers does not subtract the offset of RoBERTa-like positions, and fails on texts that are too long.

    Raises UsageError if no file gives a length, or if a length is no whole number.
    """
    given = settings.max_seq_length is not None or "model_max_length" in settings.tokenizer
    positions, own = _position_limit(folder, config), tokenizer_length(folder, settings)
    # max_position_embeddings does not reduce a length that a file gives, but a table of positions does.
    cap = None if given and not _has_table(config) else positions
    known = [length for length in (own, cap) if length is not None]
    explicit = [settings.call_length, settings.query_length, settings.document_length]
    if not known and not all(explicit[1:]) and explicit[0] is None:
        raise UsageError(
            str(folder),
            "neither the tokenizer nor config.json gives a maximum length",
            "wanted the largest number of tokens of a text",
            "Add model_max_length to tokenizer_config.json.",
        )
    table = positions if positions is not None and _has_table(config) else UNLIMITED
    base = min(known, default=table)
    plain = min(settings.call_length or base, table)
    query, document = (
        min(settings.call_length or length or base, table)
        for length in (settings.query_length, settings.document_length)
    )
    return ModelLengths(max(min(base, table), query, document), plain, query, document, positions)


def tokenizer_length(folder: Path, settings: TransformerSettings = TransformerSettings()) -> int | None:  # noqa: B008
    """Return the length to which the tokenizer of a folder cuts texts, None if there is none.

    Raises UsageError if the length is invalid.
    """
    path = folder / TOKENIZER_CONFIG
    merged = read_if_there(path) | dict(settings.tokenizer)
    name = "model_max_length" if "model_max_length" in merged else "max_len"
    length = merged.get(name)
    if settings.max_seq_length is not None and "model_max_length" not in settings.tokenizer:
        length = settings.max_seq_length
    if length is None:
        return None
    if isinstance(length, bool) or not isinstance(length, int | float) or not length >= 1:
        raise refused(path, name, length, "wanted a whole number of 1 or more", f"Correct {name}.")
    return int(length) if length < UNLIMITED else None


def _position_limit(folder: Path, config: Mapping[str, Any]) -> int | None:
    """Return the number of tokens for which the model has positions, None if its config does not say.

    Raises UsageError if the config's value is no number.
    """
    path = folder / "config.json"
    # Some architectures use -1 for no limit, or for no such token.
    positions, padding = (
        whole_number(path, config, name, least=-1) for name in ("max_position_embeddings", "pad_token_id")
    )
    if positions is not None and positions > 0 and config.get("model_type") in OFFSET_POSITIONS:
        positions -= (padding or 0) + 1
    return positions if positions is not None and positions > 0 else None


def _has_table(config: Mapping[str, Any]) -> bool:
    """Return whether the model looks positions up in a table, instead of computing them, for example by rotation."""
    rotates = any("rope" in key for key in config) or config.get("position_embedding_type") == "rotary"
    return not rotates and config.get("position_biased_input") is not False
