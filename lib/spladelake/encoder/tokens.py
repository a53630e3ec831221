"""Texts to token ids, cut to a length, the way sentence-transformers does it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spladelake.errors import UsageError

TokenIds = NDArray[np.int32]


class TextTokenizer:
    """Tokenizer of one module of a checkpoint: token ids with special tokens around them, cut to a length."""

    def __init__(self, tokenizer: Any, *, special: bool) -> None:
        """tokenizer: a `tokenizers.Tokenizer`. special: whether special tokens are put around each text."""
        self._tokenizer = tokenizer
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._prefix, self._suffix = _surroundings(tokenizer) if special else ([], [])
        self.keep_end = False

    @property
    def special_tokens(self) -> int:
        """Number of special tokens put around a text."""
        return len(self._prefix) + len(self._suffix)

    def encode(self, texts: Sequence[str], max_length: int) -> tuple[list[TokenIds], NDArray[np.bool_]]:
        """Token ids of each text and whether it was cut to max_length tokens, special ones included.

        A text that tokenises to nothing has an array of length 0, without special tokens.
        """
        room = max_length - self.special_tokens
        plain = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        cut = np.array([len(ids) > room for ids in plain], dtype=np.bool_)
        return [self._surround(ids, room) for ids in plain], cut

    def _surround(self, ids: list[int], room: int) -> TokenIds:
        if not ids:
            return np.empty(0, dtype=np.int32)
        kept = ids[-room:] if self.keep_end else ids[:room]
        return np.array([*self._prefix, *kept, *self._suffix], dtype=np.int32)


def load_tokenizer(folder: Path, *, special: bool, split_special_tokens: bool, lower_case: bool) -> TextTokenizer:
    """The tokenizer of a model folder. Raises UsageError when it has no implementation in the tokenizers library."""
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    backend = getattr(loaded, "backend_tokenizer", None)
    if backend is None:
        raise UsageError(
            str(folder),
            f"its tokenizer {type(loaded).__name__} exists only in Python",
            "a tokenizer of the tokenizers library (tokenizer.json) is wanted",
            "Convert it to tokenizer.json.",
        )
    if lower_case:
        _lower_case_first(backend)
    backend.encode_special_tokens = split_special_tokens
    tokenizer = TextTokenizer(backend, special=special)
    tokenizer.keep_end = loaded.truncation_side == "left"
    return tokenizer


def vocabulary_tokens(folder: Path, size: int) -> tuple[str, ...]:
    """Token of every term id; ids that the tokenizer does not know are named "[id]"."""
    from transformers import AutoTokenizer

    vocabulary = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False).get_vocab()
    tokens = {term_id: token for token, term_id in vocabulary.items()}
    return tuple(tokens.get(term_id, f"[{term_id}]") for term_id in range(size))


def _surroundings(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Special tokens that the tokenizer's own template puts before and after a text."""
    encoding = tokenizer.encode("a", add_special_tokens=True)
    inner = [position for position, special in enumerate(encoding.special_tokens_mask) if not special]
    return encoding.ids[: inner[0]], encoding.ids[inner[-1] + 1 :]


def _lower_case_first(tokenizer: Any) -> None:
    """Lower-case before the tokenizer's own normaliser, as sentence-transformers' do_lower_case does."""
    from tokenizers.normalizers import Lowercase
    from tokenizers.normalizers import Sequence as Chain

    own = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
    tokenizer.normalizer = Chain([Lowercase(), *own])
