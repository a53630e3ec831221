"""The vectors are those of sentence-transformers' SparseEncoder on the same checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Router
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling

from spladelake.encoder import EncoderSettings, SpladeEncoder
from spladelake.encoder.tokens import vocabulary_tokens
from support.checkpoints import refusal
from support.families import FAMILIES, TEXTS, bert

# What two float32 computations of the same weights in different orders were measured to stay below, with room.
FLOAT32 = 2e-5

DIRTY = [
    "[SEP] [MASK] [PAD] in the [CLS] middle",
    "tabs\tand\nnew\r\nlines\x0b\x0c and \u0085 more\u2028lines\u2029",
    "nul \x00 bell \x07 and escape \x1b[31m red \x1b[0m",
    "zero\u200bwidth\u200djoiners\ufeff and soft\u00adhyphens",
    "e\u0301a\u0300o\u0302 combining, é precomposed, Z\u0351\u0343\u0301\u035dalgo",
    "emoji 😀👩‍👩‍👧‍👦🏳️‍🌈 and 𝒎𝒂𝒕𝒉 and private \ue000",
    "\u202eright to left override\u202c مرحبا بالعالم שלום עולם",
    "北京大学東京タワー서울특별시 no spaces between",
    "a" * 150 + " " + "b" * 99 + " " + "c" * 100,
    "12345678901234567890.12345e-10 $9,999.99 50% #hashtag @name http://example.org/?q=1&r=2#x",
    "!!!???...,,,;;;:::---___***///\\\\\\|||",
    "replacement \ufffd character and noncharacter \uffff",
    "MiXeD CaSe ÀÉÎÕÜ ß ſ ﬁ ﬂ İ ı",
    "x",
]


class Case(NamedTuple):
    """One checkpoint, encoded by both."""

    ours: SpladeEncoder
    theirs: SparseEncoder


def dense(model: SparseEncoder, texts: list[str], kind: str = "document", **options: Any) -> np.ndarray:
    encode = model.encode_query if kind == "query" else model.encode_document
    return encode(texts, convert_to_sparse_tensor=False, **options).numpy()


# sentence-transformers takes most of the time: by default a part of what the slow tests compare.
@pytest.mark.collection
@pytest.mark.parametrize("chosen", [slice(60), pytest.param(slice(60, 200), marks=pytest.mark.slow)], ids=str)
def test_passages_have_the_vectors_of_sentence_transformers(
    tiny, reference, collection_texts, assert_same_vectors, chosen
):
    texts = collection_texts("msmarco-dl1920", chosen=chosen)
    assert_same_vectors(tiny.encode_documents(texts), dense(reference, texts), FLOAT32)


@pytest.mark.collection
def test_queries_have_the_vectors_of_sentence_transformers(tiny, reference, collection_texts, assert_same_vectors):
    texts = collection_texts("msmarco-dl1920", file="queries.jsonl")
    assert_same_vectors(tiny.encode_queries(texts), dense(reference, texts, "query"), FLOAT32)


@pytest.mark.collection
@pytest.mark.parametrize(
    ("collection", "every"),
    [
        ("xquad", slice(0, None, 240)),
        ("debian-packages-i18n", slice(0, None, 840)),
        pytest.param("xquad", slice(0, None, 60), marks=pytest.mark.slow),
        pytest.param("debian-packages-i18n", slice(0, None, 140), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_every_language_has_the_vectors_of_sentence_transformers(
    tiny, reference, collection_texts, assert_same_vectors, collection, every
):
    texts = [text for text in collection_texts(collection, chosen=every) if text.strip()]
    assert_same_vectors(tiny.encode_documents(texts), dense(reference, texts), FLOAT32)


def test_dirty_texts_have_the_vectors_of_sentence_transformers(tiny, reference, assert_same_vectors):
    assert_same_vectors(tiny.encode_documents(DIRTY), dense(reference, DIRTY), FLOAT32)


def test_texts_of_every_length_have_the_vectors_of_sentence_transformers(tiny, reference, assert_same_vectors):
    words = ("trade law buyer seller goods court contract price quality promise " * 60).split()
    texts = [" ".join(words[:count]) for count in (1, 2, 3, 5, 9, 17, 31, 32, 33, 64, 100, 255, 509, 510, 511, 600)]
    encoded = tiny.encode(texts)
    assert_same_vectors(encoded.vectors, dense(reference, texts), FLOAT32)
    assert encoded.tokens[-4:].tolist() == [511, 512, 512, 512]
    assert encoded.truncated[-4:].tolist() == [False, False, True, True]


def test_a_lone_surrogate_counts_as_the_replacement_character(tiny, reference, assert_same_vectors):
    encoded = tiny.encode(["common \ud800 law \udfff", "a pair \ud83d\ude00 of halves"])
    assert encoded.status == ["repaired", "repaired"]
    assert_same_vectors(encoded.vectors, dense(reference, ["common \ufffd law \ufffd", "a pair 😀 of halves"]), FLOAT32)


@pytest.fixture
def both(tmp_path: Path) -> Callable[..., Case]:
    """Save modules as sentence-transformers does and load them with both."""

    def load(modules: list[torch.nn.Module], **options: Any) -> Case:
        SparseEncoder(modules=modules, device="cpu", **options).save(str(tmp_path / "saved"))
        folder = str(tmp_path / "saved")
        return Case(SpladeEncoder.load(folder, device="cpu"), SparseEncoder(folder, device="cpu"))

    return load


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_the_vectors_of_sentence_transformers(tmp_path, family, assert_same_vectors):
    folder = FAMILIES[family](tmp_path)
    ours, theirs = SpladeEncoder.load(str(folder), device="cpu"), SparseEncoder(str(folder), device="cpu")
    texts = [*TEXTS, *DIRTY, "x [PAD] <pad> y <mask>"]
    wanted, tolerance = dense(theirs, texts), FLOAT32
    if family == "mobilebert":
        # Four feed-forward networks a layer round more often, in both. With some random weights sentence-transformers'
        # own float32 is further than 4e-5 from its float64.
        in_single, wanted = wanted, dense(theirs.double(), texts)
        tolerance = 2 * max(FLOAT32, np.abs(in_single - wanted).max())
    assert_same_vectors(ours.encode_documents(texts), wanted, tolerance)
    assert ours.checkpoint.max_length == theirs.max_seq_length


def test_families_of_the_bert_kind_are_computed_without_padding(tmp_path):
    for family in ("bert", "distilbert", "roberta"):
        encoder = SpladeEncoder.load(str(FAMILIES[family](tmp_path / family)), device="cpu")
        stats = encoder.encode(TEXTS).stats
        assert stats.padded_tokens == stats.tokens > 0
        assert stats.padding_waste == 0


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu", "silu"])
def test_every_activation_of_the_layers_agrees(tmp_path, activation, assert_same_vectors):
    folder = bert(tmp_path, hidden_act=activation)
    ours, theirs = SpladeEncoder.load(str(folder), device="cpu"), SparseEncoder(str(folder), device="cpu")
    assert_same_vectors(ours.encode_documents(TEXTS), dense(theirs, TEXTS), FLOAT32)


@pytest.mark.parametrize("pooling", ["max", "sum"])
@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
def test_pooling_settings_are_read_from_the_checkpoint(both, tmp_path, pooling, activation, assert_same_vectors):
    transformer = SparseEncoder(str(bert(tmp_path / "plain")), device="cpu")[0]
    case = both([transformer, SpladePooling(pooling_strategy=pooling, activation_function=activation)])
    # Sums over tokens reach 80, where neighbouring float32 numbers are 8e-6 apart.
    tolerance = FLOAT32 if pooling == "max" else 5 * FLOAT32
    assert_same_vectors(case.ours.encode_documents(TEXTS), dense(case.theirs, TEXTS), tolerance)


def test_prompts_and_active_dims_are_read_from_the_checkpoint(both, tmp_path, assert_same_vectors):
    modules = list(SparseEncoder(str(bert(tmp_path / "plain")), device="cpu"))
    case = both(modules, prompts={"query": "the law: ", "document": "terms; "}, max_active_dims=20)
    documents, queries = case.ours.encode_documents(TEXTS), case.ours.encode_queries(TEXTS)
    assert_same_vectors(documents, dense(case.theirs, TEXTS), FLOAT32)
    assert_same_vectors(queries, dense(case.theirs, TEXTS, "query"), FLOAT32)
    assert documents.active_dims.max() == 20
    assert not np.array_equal(documents.values, queries.values)


def test_a_prompt_of_the_settings_replaces_the_checkpoint_s(both, tmp_path, assert_same_vectors):
    modules = list(SparseEncoder(str(bert(tmp_path / "plain")), device="cpu"))
    case = both(modules, prompts={"query": "the law: "})
    settings = EncoderSettings(query_prompt="", document_prompt="buyer ")
    ours = SpladeEncoder.load(case.ours.checkpoint.folder, device="cpu", settings=settings)
    assert_same_vectors(ours.encode_queries(TEXTS), dense(case.theirs, TEXTS, "query", prompt=""), FLOAT32)
    assert_same_vectors(ours.encode_documents(TEXTS), dense(case.theirs, TEXTS, prompt="buyer "), FLOAT32)


def test_settings_do_what_they_do_in_sentence_transformers(tmp_path, assert_same_vectors):
    folder = str(bert(tmp_path))
    theirs = SparseEncoder(folder, device="cpu")
    short = SpladeEncoder.load(folder, device="cpu", settings=EncoderSettings(max_length=9))
    theirs.max_seq_length = 9
    assert_same_vectors(short.encode_documents(TEXTS), dense(theirs, TEXTS), FLOAT32)
    theirs.max_seq_length = 48
    few = SpladeEncoder.load(folder, device="cpu", settings=EncoderSettings(max_active_dims=7))
    assert_same_vectors(few.encode_documents(TEXTS), dense(theirs, TEXTS, max_active_dims=7), FLOAT32)
    heavy = SpladeEncoder.load(folder, device="cpu", settings=EncoderSettings(minimum_weight=0.5))
    wanted = dense(theirs, TEXTS)
    assert_same_vectors(heavy.encode_documents(TEXTS), np.where(wanted >= 0.5, wanted, 0), FLOAT32)


def test_queries_and_documents_can_have_lengths_of_their_own(both, tmp_path, assert_same_vectors):
    case = both(list(SparseEncoder(str(bert(tmp_path / "plain")), device="cpu")))
    path = Path(case.ours.checkpoint.folder) / "sentence_bert_config.json"
    path.write_text(path.read_text().replace("{", '{"query_length": 5, "document_length": 9,', 1))
    ours, theirs = SpladeEncoder.load(str(path.parent), device="cpu"), SparseEncoder(str(path.parent), device="cpu")
    assert_same_vectors(ours.encode_documents(TEXTS), dense(theirs, TEXTS), FLOAT32)
    assert_same_vectors(ours.encode_queries(TEXTS), dense(theirs, TEXTS, "query"), FLOAT32)
    assert ours.checkpoint.max_length == 9
    assert ours.encode(TEXTS, kind="query").tokens.max() == 5


def test_special_tokens_in_a_text_can_be_read_as_plain_text(tiny, tmp_path):
    text = "a literal [SEP] in a text"
    split = SpladeEncoder.load("splade-tiny", device="cpu", settings=EncoderSettings(split_special_tokens=True))
    assert tiny.encode([text]).tokens.tolist() == [8]  # [CLS] a literal [SEP] in a text [SEP]
    assert split.encode([text]).tokens.tolist() == [10]  # [CLS] a literal [ sep ] in a text [SEP]
    assert split.checkpoint.model_id != tiny.checkpoint.model_id


def test_lower_casing_by_sentence_transformers_is_honoured(both, tmp_path, assert_same_vectors):
    from sentence_transformers.base.modules import Transformer

    folder = FAMILIES["roberta"](tmp_path / "plain")  # its tokenizer keeps case
    cased = SparseEncoder(str(folder), device="cpu")
    lower = Transformer(str(folder), transformer_task="fill-mask", do_lower_case=True)
    (tmp_path / "saved").mkdir()
    SparseEncoder(modules=[lower, SpladePooling()], device="cpu").save(str(tmp_path / "saved"))
    path = tmp_path / "saved" / "sentence_bert_config.json"
    path.write_text(path.read_text().replace("{", '{"do_lower_case": true,', 1))
    ours = SpladeEncoder.load(str(tmp_path / "saved"), device="cpu")
    texts = ["Sparse VECTORS Name The Terms"]
    assert_same_vectors(ours.encode_documents(texts), dense(cased, [text.lower() for text in texts]), FLOAT32)


def test_inference_free_queries_have_the_weights_of_their_tokens(both, tmp_path, assert_same_vectors):
    model = SparseEncoder(str(bert(tmp_path / "plain")), device="cpu")
    idf = torch.rand(len(model.tokenizer), generator=torch.Generator().manual_seed(1)) * 5
    idf[::7] = 0
    router = Router.for_query_document(
        query_modules=[SparseStaticEmbedding(tokenizer=model.tokenizer, weight=idf)],
        document_modules=[model[0], model[1]],
    )
    case = both([router])
    texts = [text for text in TEXTS if len(text) < 200]
    assert_same_vectors(case.ours.encode_queries(texts), dense(case.theirs, texts, "query"), 0.0)
    assert_same_vectors(case.ours.encode_documents(texts), dense(case.theirs, texts), FLOAT32)
    query, document = case.ours.encode(["the law"], kind="query"), case.ours.encode(["the law"])
    assert document.tokens[0] == query.tokens[0] + 2  # no special tokens around a query


def static_router(folder: Path, weight: torch.Tensor) -> Path:
    """A model whose queries have a fixed weight for each token, saved as sentence-transformers does."""
    model = SparseEncoder(str(bert(folder / "plain")), device="cpu")
    static = SparseStaticEmbedding(tokenizer=model.tokenizer, weight=weight[: len(model.tokenizer)].clone())
    router = Router.for_query_document(query_modules=[static], document_modules=[model[0], model[1]])
    SparseEncoder(modules=[router], device="cpu").save_pretrained(str(folder / "saved"))
    return folder / "saved"


def test_query_weights_below_0_are_refused_when_the_model_is_resolved_with_their_number(tmp_path):
    weight = torch.ones(1000)
    weight[7], weight[11] = -0.5, -2.0
    saved = static_router(tmp_path, weight)
    said = refusal(saved)
    assert "2 of " in said
    assert "weights are below 0, such as -2 for the token with the id 11" in said


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_query_weights_of_any_float_type_are_those_of_sentence_transformers(tmp_path, dtype, assert_same_vectors):
    weight = torch.rand(1000, generator=torch.Generator().manual_seed(2)) * 5
    weight[3] = -0.0
    saved = static_router(tmp_path, weight.to(dtype))
    theirs, ours = SparseEncoder(str(saved), device="cpu"), SpladeEncoder.load(str(saved), device="cpu")
    texts = [text for text in TEXTS if len(text) < 200]
    assert_same_vectors(ours.encode_queries(texts), dense(theirs, texts, "query"), 0.0)


def test_similarity_and_decode_answer_as_sentence_transformers_does(tiny, reference):
    texts = ["common law implied warranty", "the price of eggs", "seller's promise to a buyer"]
    vectors, theirs = tiny.encode_documents(texts), reference.encode_document(texts)
    np.testing.assert_allclose(
        tiny.similarity(vectors, vectors), reference.similarity(theirs, theirs).numpy(), rtol=1e-5, atol=1e-4
    )
    for ours, wanted in zip(tiny.decode(vectors, top_k=8), reference.decode(theirs, top_k=8), strict=True):
        assert [token for token, _ in ours] == [token for token, _ in wanted]
        np.testing.assert_allclose([weight for _, weight in ours], [weight for _, weight in wanted], atol=FLOAT32)
    assert tiny.vocabulary == vocabulary_tokens(Path(tiny.checkpoint.folder), 30522)
    assert tiny.vocabulary == tuple(reference.tokenizer.convert_ids_to_tokens(range(30522)))


def test_a_query_scores_passages_about_it_above_others_as_in_sentence_transformers(tiny, reference):
    query = "common law implied warranty"
    passages = [
        "Under the common law, an implied warranty is a promise the court reads into a contract of sale although "
        "nobody spoke it: that the goods sold are fit for the purpose they were bought for.",
        "A warranty deed transfers land together with the seller's promise that the title is clean; state law says "
        "which of its covenants are implied.",
        "The recipe calls for two eggs, a cup of flour and a pinch of salt, baked until golden.",
    ]
    ours = tiny.similarity(tiny.encode_queries([query]), tiny.encode_documents(passages))
    theirs = reference.similarity(reference.encode_query([query]), reference.encode_document(passages)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)
    assert ours[0, 0] > ours[0, 1] > ours[0, 2]
