"""Queries by a model of their own, a Router's second route or a second checkpoint, as in sentence-transformers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sentence_transformer.modules import Normalize
from sentence_transformers.sparse_encoder.modules import MLMTransformer, SparseStaticEmbedding, SpladePooling
from torch.nn import Module
from transformers import BertConfig, BertForMaskedLM

from spladelake.encoder import EncoderSettings, SpladeEncoder, resolve_checkpoint, resolve_pair
from spladelake.errors import UsageError
from support.checkpoints import edit, refusal
from support.families import SMALL, TEXTS, bert, save, word_piece

FLOAT32 = 2e-5
ROUTER = "router_config.json"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of documents, a smaller one of queries with the same vocabulary, and models that do not go with them."""
    folder = tmp_path_factory.mktemp("models")
    made = {
        "documents": bert(folder / "documents"),
        "queries": bert(folder / "queries", hidden_size=16, num_hidden_layers=1),
        "larger": save(folder / "larger", BertForMaskedLM(BertConfig(vocab_size=400, **SMALL)), word_piece()),
        "renamed": Path(shutil.copytree(folder / "queries", folder / "renamed")),
        "cased": Path(shutil.copytree(folder / "queries", folder / "cased")),
    }
    swap_terms(made["renamed"])
    tokenizer = json.loads((made["cased"] / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (made["cased"] / "tokenizer.json").write_text(json.dumps(tokenizer))
    plain = SparseEncoder(str(made["documents"]), device="cpu")
    static = [SparseStaticEmbedding(plain.tokenizer, torch.ones(len(plain.tokenizer)))]
    for name, queries in (("static", static), ("routed", splade(made["queries"]))):
        router = Router.for_query_document(query_modules=queries, document_modules=[plain[0], plain[1]])
        SparseEncoder(modules=[router], device="cpu").save_pretrained(str(folder / name))
        made[name] = folder / name
    return made


def swap_terms(folder: Path) -> None:
    """Let two ids of the vocabulary stand for each other's tokens."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    first, second = sorted(vocabulary, key=vocabulary.get)[-2:]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    path.write_text(json.dumps(tokenizer))


def transformer(folder: Path, **options: Any) -> Transformer:
    return Transformer(str(folder), transformer_task="fill-mask", **options)


def splade(folder: Path, *, pooling: dict[str, str] | None = None, **options: Any) -> list[Module]:
    """The modules of a model: the masked language model and its pooling."""
    return [transformer(folder, **options), SpladePooling(**(pooling or {}))]  # type: ignore[arg-type]


def dense(model: SparseEncoder, kind: str) -> np.ndarray:
    """Vectors of all texts by sentence-transformers."""
    encode = model.encode_query if kind == "query" else model.encode_document
    return encode(TEXTS, convert_to_sparse_tensor=False).numpy()


def two_routes(models: dict[str, Path], **options: Any) -> list[Module]:
    query, document = splade(models["queries"]), splade(models["documents"])
    return [Router.for_query_document(query_modules=query, document_modules=document, **options)]


def of_legacy_modules(models: dict[str, Path]) -> list[Module]:
    routes = {k: [MLMTransformer(str(models[name])), SpladePooling()] for k, name in KINDS.items()}
    return [Router(routes)]


def other_pooling_of_queries(models: dict[str, Path]) -> list[Module]:
    pooling = {"pooling_strategy": "sum", "activation_function": "log1p_relu"}
    return [Router({"query": splade(models["queries"], pooling=pooling), "document": splade(models["documents"])})]


def other_lengths(models: dict[str, Path]) -> list[Module]:
    query, document = splade(models["queries"], max_seq_length=6), splade(models["documents"], max_seq_length=20)
    return [Router.for_query_document(query_modules=query, document_modules=document)]


def lengths_of_the_kind(models: dict[str, Path]) -> list[Module]:
    """Each module has lengths of both kinds, one of which its route never uses."""
    query = splade(models["queries"], query_length=5, document_length=30)
    document = splade(models["documents"], query_length=7, document_length=11)
    return [Router.for_query_document(query_modules=query, document_modules=document)]


def a_cased_tokenizer_of_queries(models: dict[str, Path]) -> list[Module]:
    routes = {"query": splade(models["cased"]), "document": splade(models["documents"])}
    return [Router(routes)]


def one_model_two_poolings(models: dict[str, Path]) -> list[Module]:
    routes = {"query": [SpladePooling("sum")], "document": [SpladePooling("max")]}
    return [transformer(models["documents"]), Router(routes)]


def two_models_one_pooling(models: dict[str, Path]) -> list[Module]:
    routes = {kind: [transformer(models[name])] for kind, name in KINDS.items()}
    return [Router(routes), SpladePooling()]


def routes_of_other_names(models: dict[str, Path]) -> list[Module]:
    routes = {"a": splade(models["queries"]), "b": splade(models["documents"]), "c": splade(models["cased"])}
    return [Router(routes, route_mappings={("query", "text"): "a", (None, None): "b"})]


def no_default_route(models: dict[str, Path]) -> list[Module]:
    return two_routes(models, default_route=None, allow_empty_key=False)


def queries_by_default(models: dict[str, Path]) -> list[Module]:
    return two_routes(models, default_route="query")


KINDS = {"query": "queries", "document": "documents"}
ROUTERS: list[tuple[Callable[..., list[Module]], dict[str, Any]]] = [
    (two_routes, {}),
    (two_routes, {"prompts": {"query": "the law: ", "document": "terms; "}, "max_active_dims": 9}),
    (of_legacy_modules, {}),
    (other_pooling_of_queries, {}),
    (other_lengths, {}),
    (lengths_of_the_kind, {}),
    (a_cased_tokenizer_of_queries, {}),
    (one_model_two_poolings, {}),
    (two_models_one_pooling, {}),
    (routes_of_other_names, {}),
    (no_default_route, {}),
    (queries_by_default, {}),
]


@pytest.mark.parametrize(("modules", "options"), ROUTERS, ids=lambda of: getattr(of, "__name__", None) or str(len(of)))
def test_a_router_of_two_models_has_the_vectors_of_sentence_transformers(
    models, tmp_path, assert_same_vectors, modules, options
):
    folder = str(tmp_path / "saved")
    SparseEncoder(modules=modules(models), device="cpu", **options).save_pretrained(folder)
    theirs, checkpoint = SparseEncoder(folder, device="cpu"), resolve_checkpoint(folder)
    ours = SpladeEncoder.load(checkpoint, device="cpu")
    wanted = {kind: dense(theirs, kind) for kind in KINDS}
    assert np.abs(wanted["query"] - wanted["document"]).max() > 0.1
    for kind, rows in wanted.items():
        # Sums over tokens reach 80, where neighbouring float32 numbers are 8e-6 apart.
        assert_same_vectors(ours.encode(TEXTS, kind=kind).vectors, rows, 5 * FLOAT32)
        part = SpladeEncoder.load(checkpoint.for_kind(kind), device="cpu")
        assert_same_vectors(part.encode(TEXTS, kind=kind).vectors, rows, 5 * FLOAT32)
        assert part.checkpoint.model_id == checkpoint.model_id
        other = "query" if kind == "document" else "document"
        with pytest.raises(UsageError, match=f"wanted {kind}"):
            part.encode(TEXTS, kind=other)


def saved_router(models: dict[str, Path], folder: Path, query: list[Module]) -> Path:
    router = Router({"query": query, "document": splade(models["documents"])})
    SparseEncoder(modules=[router], device="cpu").save_pretrained(str(folder))
    return folder


def test_a_router_whose_routes_have_other_vocabularies_is_refused_with_the_first_difference(models, tmp_path):
    said = refusal(saved_router(models, tmp_path / "larger", splade(models["larger"])))
    assert "the route of queries has 400 terms, but the route of documents has " in said
    said = refusal(saved_router(models, tmp_path / "renamed", splade(models["renamed"])))
    assert said.startswith(str(tmp_path / "renamed"))
    assert " in the route of queries, but " in said


def test_a_router_with_modules_that_are_not_supported_is_refused_by_their_names(models, tmp_path):
    folder = saved_router(models, tmp_path / "three", [*splade(models["queries"]), Normalize()])
    assert "the modules for queries are Transformer, SpladePooling and Normalize" in refusal(folder)
    inner = Router({"query": splade(models["queries"]), "document": splade(models["queries"])})
    assert "the modules for queries are Router" in refusal(saved_router(models, tmp_path / "nested", [inner]))
    folder = saved_router(models, tmp_path / "edited", splade(models["queries"]))
    config = json.loads((folder / ROUTER).read_text())
    structure = config["structure"]
    edit(folder / ROUTER, structure={**structure, "query": []})
    assert "there are no modules for queries" in refusal(folder)
    parameters = config["parameters"] | {"default_route": "document"}
    edit(folder / ROUTER, structure={"document": structure["document"]}, parameters=parameters)
    # sentence-transformers does not take the default route for queries either.
    assert "the Router has no route for queries (its routes: document)" in refusal(folder)
    with pytest.raises(ValueError, match="No route found for task type 'query'"):
        SparseEncoder(str(folder), device="cpu").encode_query(TEXTS)


def test_every_file_of_both_routes_enters_the_fingerprint_and_a_length_must_fit_both(models, tmp_path):
    folder = saved_router(models, tmp_path / "saved", splade(models["queries"]))
    before = resolve_checkpoint(str(folder))
    assert {file.split("/")[0] for file, _ in before.file_digests} >= {
        "query_0_Transformer", "query_1_SpladePooling", "document_0_Transformer", "document_1_SpladePooling", ROUTER
    }  # fmt: skip
    edit(folder / "query_0_Transformer" / "config.json", layer_norm_eps=0.1)
    assert resolve_checkpoint(str(folder)).model_id != before.model_id
    short = saved_router(models, tmp_path / "short", splade(models["queries"], max_seq_length=12))
    assert resolve_checkpoint(str(short), settings=EncoderSettings(max_length=12)).max_length == 12
    said = refusal(short, settings=EncoderSettings(max_length=13))
    assert f"wanted no more tokens than the query route of {short} reads. Use 12 or less." in said


def test_two_checkpoints_encode_documents_and_queries_as_each_does_alone(models, assert_same_vectors):
    documents, queries = (str(models[name]) for name in ("documents", "queries"))
    pair = SpladeEncoder.load(documents, query_model=queries, device="cpu")
    alone = {kind: SparseEncoder(str(models[name]), device="cpu") for kind, name in KINDS.items()}
    assert_same_vectors(pair.encode_documents(TEXTS), dense(alone["document"], "document"), FLOAT32)
    assert_same_vectors(pair.encode_queries(TEXTS), dense(alone["query"], "query"), FLOAT32)
    scores = pair.similarity(pair.encode_queries(TEXTS), pair.encode_documents(TEXTS))
    np.testing.assert_allclose(scores, dense(alone["query"], "query") @ dense(alone["document"], "document").T, 1e-4)


def test_a_pair_has_one_model_id_of_both_models_and_settings_wherever_they_are(models, tmp_path):
    names = {name: str(models[name]) for name in ("documents", "queries", "cased")}
    pair = resolve_pair(names["documents"], names["queries"])
    moved = [str(shutil.copytree(models[name], tmp_path / name)) for name in ("documents", "queries")]
    assert resolve_pair(*moved).model_id == pair.model_id
    others = [
        resolve_checkpoint(names["documents"]),
        resolve_checkpoint(names["queries"]),
        resolve_pair(names["queries"], names["documents"]),
        resolve_pair(names["documents"], names["cased"]),
        resolve_pair(names["documents"], names["queries"], settings=EncoderSettings(max_length=9)),
    ]
    assert len({checkpoint.model_id for checkpoint in (pair, *others)}) == 6
    assert (pair.name, pair.query_model) == (names["documents"], names["queries"])
    assert {pair.for_kind(kind).model_id for kind in KINDS} == {pair.model_id}


def test_a_model_paired_with_itself_is_that_model(models, tmp_path):
    copy = str(shutil.copytree(models["documents"], tmp_path / "copy"))
    for name in (str(models["documents"]), copy):
        assert resolve_pair(str(models["documents"]), name) == resolve_checkpoint(str(models["documents"]))
    assert resolve_pair(str(models["static"]), str(models["static"])).query_model is None


@pytest.mark.parametrize(
    ("model", "query_model", "reason"),
    [
        ("documents", "larger", "has 400 terms, but the model "),
        ("documents", "renamed", "wanted one vocabulary for documents and queries"),
        ("static", "queries", "has a query encoder of its own (fixed weights of tokens)"),
        ("documents", "static", "has a query encoder of its own (fixed weights of tokens)"),
        ("routed", "queries", "has a query encoder of its own (a second model or pooling)"),
        ("documents", "routed", "has a query encoder of its own (a second model or pooling)"),
    ],
)
def test_models_that_do_not_go_together_are_refused_when_they_are_resolved(models, model, query_model, reason):
    with pytest.raises(UsageError) as refused:
        resolve_pair(str(models[model]), str(models[query_model]))
    assert refused.value.place == f"--query-model {models[query_model]}"
    assert reason in str(refused.value)
