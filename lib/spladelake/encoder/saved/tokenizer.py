"""Check that a folder has a tokenizer, and that it reads texts as sentence-transformers does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spladelake.encoder.refusals import told_as_refusal
from spladelake.encoder.saved.lengths import TOKENIZER_CONFIG
from spladelake.encoder.saved.remote_code import check_tokenizer_code
from spladelake.encoder.saved.values import read_if_there, refused
from spladelake.errors import UsageError

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


def check_tokenizer(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise UsageError unless the folder has a tokenizer that needs no code of its own."""
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise UsageError(
            str(folder),
            "the folder has no tokenizer (tokenizer.json)",
            "wanted the tokenizer of the model",
            "Copy the whole checkpoint.",
        )
    path = folder / TOKENIZER_CONFIG
    check_tokenizer_code(path, read_if_there(path), config.get("model_type"))


def check_tokenizer_file(folder: Path) -> None:
    """Raise UsageError if the folder has a tokenizer.json of a kind that cannot be read here."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return
    from tokenizers import Tokenizer

    with told_as_refusal(path, "content"):
        Tokenizer.from_file(str(path))


def refuse_chat_template(folder: Path) -> None:
    """Raise UsageError if a plain model has a chat template, into which sentence-transformers would put texts."""
    path = folder / TOKENIZER_CONFIG
    template = read_if_there(path).get("chat_template")
    wanted = "wanted no chat template, because spladelake reads texts unchanged"
    for file in [*folder.glob("chat_template.*"), *folder.glob("additional_chat_templates/*.jinja")]:
        fix = "Use a checkpoint without a chat template."
        raise UsageError(str(file), "the model folder has this chat template", wanted, fix)
    if template:
        raise refused(path, "chat_template", template, wanted)
