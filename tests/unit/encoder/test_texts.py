"""Texts are tokenised as a whole, whatever is in them and however long they are."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from spladelake.encoder import EncoderSettings, SpladeEncoder
from spladelake.encoder.tokens import TextTokenizer, load_tokenizer, vocabulary_tokens
from support.cases import mostly_slow
from support.families import byte_pairs, word_piece

BLANK = [
    " ",
    "\t\n\r",
    "\u200b",
    "\u200d\u200c",
    "\ufeff",
    "\x00\x01\x1f\x7f",
    "\u00a0\u2003\u3000",
    "\u00ad",
    "\u2028",
]


@pytest.mark.parametrize("text", BLANK)
def test_texts_of_white_space_and_invisible_characters_are_blank(tiny, text):
    encoded = tiny.encode([text, "a", text + "a"])
    assert encoded.status == ["blank", "ok", "ok"]
    assert encoded.vectors.active_dims[0] == encoded.tokens[0] == 0


@pytest.mark.parametrize("text", ["\ufffd", "\u0301\u0300", chr(0xDFFF), "\ufe0f"])
def test_texts_that_tokenise_to_nothing_are_blank(tiny, text):
    encoded = tiny.encode([text])
    assert encoded.status == ["blank"]
    assert encoded.vectors.active_dims.tolist() == encoded.tokens.tolist() == [0]


@pytest.fixture(scope="module")
def prompted() -> SpladeEncoder:
    """splade-tiny with a prompt before documents."""
    return SpladeEncoder.load("splade-tiny", device="cpu", settings=EncoderSettings(document_prompt="passage: "))


@pytest.mark.parametrize("text", [None, "", *BLANK, "\u0301"])
def test_a_prompt_does_not_make_something_of_nothing(prompted, text):
    encoded = prompted.encode([text, "a"])
    assert encoded.vectors.active_dims[0] == encoded.tokens[0] == 0
    assert encoded.tokens[1] == 5  # [CLS] passage : a [SEP]


def test_null_and_empty_texts_keep_their_row(tiny):
    encoded = tiny.encode([None, "law", "", "common law"])
    assert encoded.status == ["null", "ok", "empty", "ok"]
    assert encoded.tokens.tolist() == [0, 3, 0, 4]
    assert (encoded.vectors.active_dims > 0).tolist() == [False, True, False, True]


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, TextTokenizer]:
    """A tokenizer that splits into words and one that works on bytes."""
    return {
        "word pieces": TextTokenizer(word_piece().backend_tokenizer, special=True),
        "byte pairs": TextTokenizer(byte_pairs().backend_tokenizer, special=True),
    }


def whole_ids(kind: str, text: str, length: int) -> list[int]:
    """Ids by transformers itself, from the whole text."""
    tokenizer = word_piece() if kind == "word pieces" else byte_pairs()
    return tokenizer(text, truncation=True, max_length=length)["input_ids"]


WORDS = [
    "law ",
    "warranty",
    "don't",
    "naïve façade ",
    "1234",
    "ﬁ",
    "é",
    "e\u0301",
    "東京",
    "😀",
    "!?",
    "a" * 101,
    "b" * 700,
]
GAPS = [" ", "  \n\t", "\x00", "\u200b", "[SEP]", "[PAD]", "[SE", "<pad>", "</s>"]
PIECES = st.sampled_from([*WORDS, *GAPS])


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["word pieces", "byte pairs"]), pieces=st.lists(PIECES, max_size=60), length=st.integers(3, 12)
)
def test_a_long_text_is_cut_exactly_where_the_whole_of_it_would_be(tokenizers, kind, pieces, length):
    text = "".join(pieces)
    (ids,), cut = tokenizers[kind].encode([text], length)
    wanted = whole_ids(kind, text, length)
    assert ids.tolist() == ([] if len(wanted) == 2 else wanted)
    assert cut.tolist() == [len(whole_ids(kind, text, 100_000)) > length]


@pytest.fixture(scope="module")
def reference_tokenizer(tiny):
    """splade-tiny's tokenizer as transformers has it."""
    return AutoTokenizer.from_pretrained(tiny.checkpoint.folder)


@pytest.mark.parametrize(
    "text",
    mostly_slow(
        [
            "common law " * 100_000,
            "x" * 1_000_000,
            "x" * 1_000_000 + " common law" * 600,
            "東京" * 170_000,
            "\n" * 10**6 + "law",
        ],
        0,
        2,
    ),
    ids=["words", "one word", "one word, then words", "no spaces", "white space first"],
)
def test_a_text_of_a_megabyte_is_cut_as_the_whole_of_it_would_be(tiny, reference_tokenizer, text):
    encoded = tiny.encode([text])
    wanted = reference_tokenizer(text, truncation=True, max_length=512)["input_ids"]
    tokenizer = load_tokenizer(Path(tiny.checkpoint.folder), special=True, split_special_tokens=False, lower_case=False)
    assert tokenizer.encode([text], 512)[0][0].tolist() == wanted
    assert encoded.tokens.tolist() == [len(wanted)]
    assert encoded.truncated.tolist() == [len(wanted) == 512]


def test_little_of_a_long_text_is_read(tiny):
    text = "common law implied warranty " * 40_000
    began = time.perf_counter()
    tiny.encode([text])
    short = time.perf_counter() - began
    began = time.perf_counter()
    tiny.encode([text] * 4)
    # Reading all of a megabyte takes 0.3 s a text; the model takes some 20 ms for 512 tokens.
    assert time.perf_counter() - began < max(0.8, 8 * short)


def test_texts_that_a_checkpoint_cuts_at_their_start_keep_their_end():
    tokenizer = TextTokenizer(word_piece().backend_tokenizer, special=True, keep_end=True)
    text = "common law implied warranty " * 200 + "merchantability"
    (end,), cut = tokenizer.encode([text], 9)
    (whole,), _ = TextTokenizer(word_piece().backend_tokenizer, special=True).encode([text], 100_000)
    assert end.tolist() == [whole[0], *whole[-8:-1], whole[-1]]
    assert cut.tolist() == [True]


def test_token_ids_are_small_integers_and_special_tokens_surround_them(tokenizers):
    (ids,), _ = tokenizers["word pieces"].encode(["the law"], 48)
    assert ids.dtype == np.int32
    assert (ids[0], ids[-1]) == (2, 3)


@pytest.mark.parametrize("make", [word_piece, byte_pairs])
def test_the_vocabulary_names_every_token_including_those_added_later(tmp_path, make):
    tokenizer = make()
    tokenizer.add_tokens(["addedlater"])
    tokenizer.save_pretrained(tmp_path)
    size = len(tokenizer) + 2
    wanted = [*tokenizer.convert_ids_to_tokens(range(len(tokenizer))), f"[{size - 2}]", f"[{size - 1}]"]
    assert list(vocabulary_tokens(tmp_path, size)) == wanted
    assert "addedlater" in wanted
