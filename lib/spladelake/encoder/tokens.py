"""Turn texts into token ids, cut to a length, as sentence-transformers does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spladelake.encoder.refusals import told_as_refusal
from spladelake.encoder.saved.values import read_json
from spladelake.errors import UsageError

TokenIds = NDArray[np.int32]

# Characters per wanted token in the first attempt at a long text. Each further attempt reads this many times more.
CHARACTERS_PER_TOKEN, GROWTH = 8, 4
# Texts of up to this many times the first attempt are read whole, because cutting them would save nothing.
WORTH_CUTTING = 2


class TextTokenizer:
    """The tokenizer of one module of a checkpoint. It puts special tokens around a text and cuts it to a length."""

    def __init__(self, tokenizer: Any, *, special: bool, keep_end: bool = False) -> None:
        """Wrap a tokenizer.

        - tokenizer: a `tokenizers.Tokenizer`.
        - special: whether to put special tokens around each text.
        - keep_end: whether to cut a long text at its start instead of its end.
        """
        self._tokenizer, self._keep_end = tokenizer, keep_end
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._prefix, self._suffix = _surroundings(tokenizer) if special else ([], [])
        # Number of characters at the end of a cut text that may be half of a literal special token.
        added = tokenizer.get_added_tokens_decoder().values()
        self._guard = max((len(token.content) for token in added), default=0)

    @property
    def backend(self) -> Any:
        """The `tokenizers.Tokenizer`."""
        return self._tokenizer

    @property
    def special_tokens(self) -> int:
        """The number of special tokens around a text."""
        return len(self._prefix) + len(self._suffix)

    @property
    def largest_id(self) -> int:
        """The largest token id that can occur."""
        return int(max(self._tokenizer.get_vocab(with_added_tokens=True).values()))

    def tokens(self, size: int) -> tuple[str, ...]:
        """Return the token of every term id below `size`. An unknown id becomes its number in brackets."""
        return _by_id(self._tokenizer.get_vocab(with_added_tokens=True), size)

    def encode(
        self, texts: Sequence[str], max_length: int, prompt: str = ""
    ) -> tuple[list[TokenIds], NDArray[np.bool_]]:
        """Return the token ids of prompt + text for each text, and whether each text was cut.

        A text without tokens gets an array of length 0, without special tokens and prompt.

        - max_length: most tokens of a text, special tokens included.
        """
        room = max_length - self.special_tokens
        plain = self._plain([prompt + text for text in texts], room + 1)
        if prompt:
            least = len(self._plain([prompt], room + 1)[0])
            for i, ids in enumerate(plain):
                if len(ids) <= least and not self._plain([texts[i]], 1)[0]:
                    plain[i] = []
        cut = np.array([len(ids) > room for ids in plain], dtype=np.bool_)
        return [self._surround(ids, room) for ids in plain], cut

    def _surround(self, ids: list[int], room: int) -> TokenIds:
        if not ids:
            return np.empty(0, dtype=np.int32)
        kept = ids[-room:] if self._keep_end else ids[:room]
        return np.array([*self._prefix, *kept, *self._suffix], dtype=np.int32)

    def _plain(self, texts: Sequence[str], wanted: int) -> list[list[int]]:
        """Return the ids of each text without special tokens: at least the first `wanted` ids, or all if fewer."""
        longest = WORTH_CUTTING * CHARACTERS_PER_TOKEN * wanted
        whole = [i for i, text in enumerate(texts) if self._keep_end or len(text) <= longest]
        encodings = self._tokenizer.encode_batch_fast([texts[i] for i in whole], add_special_tokens=False)
        ids = {i: encoding.ids for i, encoding in zip(whole, encodings, strict=True)}
        return [ids[i] if i in ids else self._first(text, wanted) for i, text in enumerate(texts)]

    def _first(self, text: str, wanted: int) -> list[int]:
        """Return the first `wanted` ids of a long text, from a start of the text that makes these ids certain."""
        characters = CHARACTERS_PER_TOKEN * wanted
        while characters < len(text):
            encoding = self._tokenizer.encode(text[:characters], add_special_tokens=False)
            if self._certain(encoding, characters) >= wanted:
                return list(encoding.ids[:wanted])
            characters *= GROWTH
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _certain(self, encoding: Any, characters: int) -> int:
        """Return how many leading tokens of a cut text are also those of the whole text.

        A tokenizer splits a text at literal special tokens, then into words, and tokenises each word alone. So only the
        last word, and a special token across the cut, can differ.
        """
        words = encoding.word_ids
        last = words[-1] if words else None
        uncertain = (
            i
            for i, (word, (_, end)) in enumerate(zip(words, encoding.offsets, strict=True))
            if word == last or end > characters - self._guard
        )
        return next(uncertain, len(words))


def load_tokenizer(
    folder: Path,
    *,
    special: bool,
    split_special_tokens: bool,
    lower_case: bool = False,
    arguments: Mapping[str, Any] | None = None,
) -> TextTokenizer:
    """Return the tokenizer of a model folder.

    - special: whether to put special tokens around each text.
    - split_special_tokens: whether to read a literal special token as plain text, even if the tokenizer's own setting
      says otherwise.
    - lower_case: whether to read texts in lower case, even if the tokenizer does not.
    - arguments: further arguments for the tokenizer.

    Raises UsageError if the tokenizers library has no implementation of the tokenizer.
    """
    loaded = read_tokenizer(folder, lower_case=lower_case, arguments=arguments)
    backend = getattr(loaded, "backend_tokenizer", None)
    if backend is None:
        raise UsageError(
            str(folder),
            f"the tokenizer {type(loaded).__name__} exists only in Python",
            "wanted a tokenizer that the tokenizers library can run (tokenizer.json)",
            "Use a checkpoint with a tokenizer.json: transformers cannot make one for this class.",
        )
    with told_as_refusal(folder, "tokenizer"):
        if special and "token_type_ids" in loaded.model_input_names and any(_in_template(backend).type_ids):
            raise UsageError(
                str(folder),
                "the tokenizer gives some tokens of a single text a token_type_id other than 0",
                "wanted 0 for every token, because spladelake passes no token types to the model",
                "Use another checkpoint.",
            )
        backend.encode_special_tokens = split_special_tokens or loaded.split_special_tokens
        return TextTokenizer(backend, special=special, keep_end=loaded.truncation_side == "left")


def vocabulary_tokens(folder: Path, size: int) -> tuple[str, ...]:
    """Return the tokens of the tokenizer in a folder, as `TextTokenizer.tokens` does, without the model and torch."""
    path, config = folder / "tokenizer.json", folder / "tokenizer_config.json"
    if not path.is_file():
        return _by_id(read_tokenizer(folder).get_vocab(), size)
    from tokenizers import Tokenizer

    with told_as_refusal(path, "content"):
        vocabulary: dict[str, int] = Tokenizer.from_file(str(path)).get_vocab(with_added_tokens=True)
    with told_as_refusal(config, "content"):
        added = read_json(config).get("added_tokens_decoder", {}) if config.is_file() else {}
        vocabulary |= {token["content"]: int(term_id) for term_id, token in added.items()}
    return _by_id(vocabulary, size)


@dataclass(frozen=True)
class ModelTerms:
    """The terms that a model gives weights to: the folder of its tokenizer, and their number. name: for messages."""

    name: str
    folder: Path
    size: int


def check_same_terms(documents: ModelTerms, queries: ModelTerms, *, place: str, fix: str) -> None:
    """Raise UsageError unless the terms of two models are the same. An id that only one of them names is no difference.

    place, fix: of the message.
    """
    wanted = "wanted one vocabulary for documents and queries, because a score adds up the terms that both have"
    if documents.size != queries.size:
        found = f"{queries.name} has {queries.size:,} terms, but {documents.name} has {documents.size:,}"
        raise UsageError(place, found, wanted, fix)
    named = (vocabulary_tokens(terms.folder, terms.size) for terms in (documents, queries))
    for term_id, (token, other) in enumerate(zip(*named, strict=True)):
        if token != other and f"[{term_id}]" not in (token, other):
            found = f"the term with the id {term_id} is {other!r} in {queries.name}, but {token!r} in {documents.name}"
            raise UsageError(place, found, wanted, fix)


def _by_id(vocabulary: dict[str, int], size: int) -> tuple[str, ...]:
    tokens = {term_id: token for token, term_id in vocabulary.items()}
    return tuple(tokens.get(term_id, f"[{term_id}]") for term_id in range(size))


def read_tokenizer(folder: Path, *, lower_case: bool = False, arguments: Mapping[str, Any] | None = None) -> Any:
    """Return a folder's tokenizer as transformers reads it; see `load_tokenizer` for the parameters.

    Raises UsageError if its files are damaged or of another kind, and MachineError if it needs a package that is not
    installed.
    """
    known: dict[str, Any] = {**(arguments or {}), "local_files_only": True, "trust_remote_code": False}
    with told_as_refusal(folder, "tokenizer"):
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, **known)
        if not tokenizer.get_vocab():
            raise UsageError(
                str(folder),
                "the tokenizer has no vocabulary",
                "wanted the tokenizer of the model",
                "Copy the files of the tokenizer again from their source.",
            )
        if lower_case and getattr(tokenizer, "backend_tokenizer", None) is not None:
            _lower_case_first(tokenizer.backend_tokenizer)
    return tokenizer


def _surroundings(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the special tokens that the tokenizer's own template puts before and after a text."""
    encoding = _in_template(tokenizer)
    inner = [position for position, special in enumerate(encoding.special_tokens_mask) if not special]
    if len(inner) != 1:
        raise ValueError(f"the template of the tokenizer puts a text {len(inner)} times into one sequence")
    return encoding.ids[: inner[0]], encoding.ids[inner[0] + 1 :]


def _in_template(tokenizer: Any) -> Any:
    """Return the encoding of a text of one token in the tokenizer's own template.

    The vocabulary is replaced by that token, because no word is in the vocabulary of every tokenizer.
    """
    from tokenizers import Tokenizer, models

    probe = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))  # noqa: S106 - no password
    if tokenizer.post_processor is not None:
        probe.post_processor = tokenizer.post_processor
    return probe.encode("a", add_special_tokens=True)


def _lower_case_first(tokenizer: Any) -> None:
    """Lower-case texts before the tokenizer's own normaliser, unless that does so, as in sentence-transformers."""
    from tokenizers import normalizers

    normalizer = tokenizer.normalizer
    # The library's types do not say that a sequence is iterable.
    parts: Any = normalizer if isinstance(normalizer, normalizers.Sequence) else [normalizer] if normalizer else []
    own = list(parts)
    if any(isinstance(part, normalizers.Lowercase) for part in own):
        return
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
