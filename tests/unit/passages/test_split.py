"""Passages hold every token of a text once or more, fit the model, and never cut a word that fits into one."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spladelake.passages import PassageSettings, TooManyPassagesError, document_of, passage_id, split_document
from spladelake.passages.borders import is_word_border, paragraphs, sentences
from spladelake.passages.settings import settings_in_words

WORDS = st.sampled_from(
    ["a", "bread", "don't", "3.5", "x" * 9, "é", "漢字", "\U0001f9c0", "end.", "Why?", "\n\n", "\n"]
)


def spans(text: str, piece: int = 4) -> NDArray[np.int64]:
    """Tokens as word pieces are: words and single signs, of up to four characters."""
    found = [
        (start, min(start + piece, word.end()))
        for word in re.finditer(r"\w+|[^\w\s]", text)
        for start in range(word.start(), word.end(), piece)
    ]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def passages_of(text: str | None, given: PassageSettings, title: str | None = None, room: int = 50):  # type: ignore[no-untyped-def]
    return list(split_document(title, text, given, spans=spans, room=room))


SETTINGS = st.builds(
    PassageSettings,
    by=st.sampled_from(["tokens", "sentence", "paragraph"]),
    tokens=st.integers(1, 12),
    title=st.sampled_from(["every", "first"]),
) | st.integers(1, 12).flatmap(
    lambda tokens: st.builds(PassageSettings, tokens=st.just(tokens), stride=st.integers(1, tokens))
)


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS, max_size=60).map(" ".join), SETTINGS)
def test_passages_hold_every_token_in_order_and_none_is_longer_than_asked(text: str, given: PassageSettings) -> None:
    found = passages_of(text, given)
    tokens = spans(text)
    covered = set()
    for passage in found:
        inside = [tuple(t) for t in tokens.tolist() if passage.start <= t[0] and t[1] <= passage.end]
        covered.update(inside)
        assert len(inside) <= given.tokens
        assert passage.text == text[passage.start : passage.end] or not inside
    assert covered == {tuple(t) for t in tokens.tolist()}
    starts, ends = [p.start for p in found], [p.end for p in found]
    assert starts == sorted(set(starts))
    assert ends == sorted(set(ends))


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS, max_size=60).map(" ".join), SETTINGS)
def test_no_border_of_a_passage_is_inside_a_word_that_fits_into_one(text: str, given: PassageSettings) -> None:
    words = [m.span() for m in re.finditer(r"[\w'.]+", text) if len(spans(m.group())) <= given.tokens]
    for passage in passages_of(text, given):
        for place in (passage.start, passage.end):
            inside = [w for w in words if w[0] < place < w[1] and not is_word_border(text, place)]
            assert inside == []


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (PassageSettings(tokens=4, stride=2), [(0, 7), (4, 11), (8, 13)]),
        (PassageSettings(tokens=4, stride=4), [(0, 7), (8, 13)]),
        (PassageSettings(tokens=50, stride=1), [(0, 13)]),
    ],
)
def test_windows_of_single_letters_start_every_stride(given: PassageSettings, wanted: list[tuple[int, int]]) -> None:
    assert [(p.start, p.end) for p in passages_of("a b c d e f g", given)] == wanted


def test_a_word_longer_than_a_passage_is_cut_at_its_tokens_and_nothing_is_lost() -> None:
    text = "y" * 1_000_000
    found = passages_of(text, PassageSettings(tokens=40, stride=40))
    assert "".join(p.text for p in found if p.text) == text
    assert {len(p.text) for p in found[:-1] if p.text} == {160}


def test_a_character_of_several_tokens_is_never_cut() -> None:
    """Byte-level tokenizers make up to four tokens of a character: all with its place."""
    places = np.array([(i, i + 1) for i in range(10) for _ in range(4)], dtype=np.int64)
    found = list(
        split_document(None, "\U0001f9c0" * 10, PassageSettings(tokens=6, stride=3), spans=lambda _: places, room=9)
    )
    assert [(p.start, p.end) for p in found] == [(i, i + 1) for i in range(10)]


def test_sentences_are_packed_up_to_the_length_and_longer_ones_become_windows() -> None:
    text = "One two. Four five six. " + "Six " + "six " * 7 + "end. Last."
    found = [p.text for p in passages_of(text, PassageSettings(by="sentence", tokens=7))]
    assert found == ["One two. Four five six.", "Six six six six six six six", "six end. Last."]


def test_paragraphs_stay_whole_and_lines_count_as_paragraphs_without_blank_lines() -> None:
    text = "a b.\nc d.\n\ne f.\r\n \r\ng"
    assert [text[a:b].strip() for a, b in paragraphs(text)] == ["a b.\nc d.", "e f.", "g"]
    whole = passages_of(text, PassageSettings(by="paragraph", tokens=6))
    assert [p.text for p in whole] == ["a b.\nc d.", "e f.\r\n \r\ng"]
    assert [p.text for p in passages_of("a b\nc d", PassageSettings(by="paragraph", tokens=2))] == ["a b", "c d"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        # Examples of UAX 29; a single line end is a space here.
        ('He said "Are you going?" John shook his head.', ['He said "Are you going?" ', "John shook his head."]),
        ("It costs 3.5 dollars. e.g. this", ["It costs 3.5 dollars. e.g. this"]),
        ("U.S.A. etc. Done", ["U.S.A. etc. ", "Done"]),
        ("一。二。三", ["一。", "二。", "三"]),
        ("wrapped\nline. Next\n\nnew", ["wrapped\nline. ", "Next\n\n", "new"]),
        ("Really?! Yes", ["Really?! ", "Yes"]),
    ],
)
def test_sentences_end_where_unicode_says(text: str, wanted: list[str]) -> None:
    assert [text[a:b] for a, b in sentences(text, (0, len(text)))] == wanted


def test_a_title_is_in_every_passage_or_in_the_first_and_always_leaves_room_for_the_text() -> None:
    text = " ".join("abcdefgh")
    every = passages_of(text, PassageSettings(tokens=4, stride=4), "T u")
    assert [p.text for p in every] == ["T u a b c d", "T u e f g h"]
    first = passages_of(text, PassageSettings(tokens=4, stride=4, title="first"), "T u")
    assert [p.text for p in first] == ["T u a b c d", "e f g h"]
    tight = passages_of(text, PassageSettings(tokens=4, stride=4), "T u v w", room=5)
    assert [p.text for p in tight] == ["T u a b c", "T u d e f", "T u g h"]


@pytest.mark.parametrize("text", [None, "", " \t\n", "\u200b"])
def test_a_document_without_words_has_one_passage_of_its_title(text: str | None) -> None:
    assert [p.text for p in passages_of(text, PassageSettings())] == [text]
    (with_title,) = passages_of(text, PassageSettings(), "T")
    assert with_title.text is not None
    assert with_title.text.startswith("T")


def test_surrogates_of_a_pair_and_signs_of_a_cluster_stay_together() -> None:
    assert not is_word_border("a\ud83e\uddc0b", 2)
    assert not is_word_border("e\u0301", 1)
    assert not is_word_border("\U0001f468\u200d\U0001f469", 1)


def test_ids_sort_by_document_and_number_and_give_both_back() -> None:
    ids = [passage_id("a", 10), passage_id("a", 9), passage_id("a#000001", 0), passage_id("a", 1)]
    assert len(set(ids)) == 4
    assert [document_of(i) for i in sorted(ids)] == [("a", 1), ("a#000001", 0), ("a", 9), ("a", 10)]


def test_more_passages_than_ids_can_count_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spladelake.passages.splitting.MOST_PASSAGES", 3)
    with pytest.raises(TooManyPassagesError):
        passages_of(" ".join("abcdefgh"), PassageSettings(tokens=2, stride=1))


def test_settings_survive_the_properties_of_a_table_and_say_what_they_are() -> None:
    given = PassageSettings(by="tokens", tokens=128)
    assert PassageSettings.of_properties({"spladelake.passages": given.as_json()}) == given
    assert settings_in_words(given) == "passages of 128 tokens (one starts every 64 tokens, title in every passage)"
    assert settings_in_words(PassageSettings.of_properties({})) == "whole texts"
