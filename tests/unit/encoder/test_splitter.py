"""Passages by a real tokenizer: the encoder reads them whole, with the tokens that the splitter counted."""

from __future__ import annotations

import pytest

from spladelake.encoder import SpladeEncoder, resolve_checkpoint
from spladelake.encoder.passages import Splitter, splitter
from spladelake.errors import UsageError
from spladelake.passages import PassageSettings

TEXT = "The déjà-vu of bread isn't 3.5 times 漢字 longer, said Ann. " * 40


def split(given: PassageSettings, text: str = TEXT, title: str | None = None) -> list[str]:
    loaded = Splitter.load(resolve_checkpoint("splade-tiny"), given)
    return [passage.text or "" for passage in loaded.split(title, text)]


@pytest.mark.parametrize("by", ["tokens", "sentence", "paragraph"])
def test_the_model_reads_every_passage_whole_and_at_most_the_tokens_asked_for(by: str) -> None:
    encoder = SpladeEncoder.load("splade-tiny", threads=1)
    texts = split(PassageSettings(by=by, tokens=40), title="Bread and time")  # type: ignore[arg-type]
    read = encoder.encode(texts)
    assert not read.truncated.any()
    assert read.tokens.max() <= 40 + 2 + 3
    assert sum(read.tokens) >= len(encoder.token_ids([TEXT])[0])


def test_pieces_of_a_long_text_have_the_tokens_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = Splitter.load(resolve_checkpoint("splade-tiny"), PassageSettings())
    whole = loaded.spans(TEXT).tolist()
    monkeypatch.setattr(splitter, "PIECE", 50)
    assert loaded.spans(TEXT).tolist() == whole


@pytest.mark.parametrize("length", [10_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_text_without_a_space_for_a_million_characters_keeps_its_tokens(length: int) -> None:
    """WordPiece makes one unknown token of a word over 100 characters: it has no border to cut at."""
    assert [len(text) for text in split(PassageSettings(tokens=10), "z" * 1_000_000)] == [1_000_000]
    signs = split(PassageSettings(tokens=100, stride=100), "漢" * length)
    assert [len(text) for text in signs] == [100] * (length // 100)


def test_lone_surrogates_count_as_one_character() -> None:
    assert "".join(split(PassageSettings(tokens=2, stride=2), "a\ud800b")) == "a\ud800b"


def test_passages_longer_than_the_model_are_refused_with_the_longest_that_fit() -> None:
    with pytest.raises(UsageError, match="wanted at most 510"):
        split(PassageSettings(tokens=511))
