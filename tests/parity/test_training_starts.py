"""Start models train as float32 or are refused, and a training that gives no better model does not end as a success."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Router
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling, Transformer
from transformers import BertConfig, BertForSequenceClassification, BertModel, GPT2Config, GPT2LMHeadModel

from spladelake.config.training import Distillation
from spladelake.errors import UsageError
from spladelake.training import TrainingWork, train
from spladelake.training.start import check_start
from support.checkpoints import edit
from support.families import SMALL, bert, roberta, save, word_piece
from support.training_data import DOCUMENTS, PAIRS, margins, small_work, write_data


def work_from(folder: Path, start: Path, *, dev: bool = False, **settings: Any) -> TrainingWork:
    """A training of a small random model: two pairs a step."""
    given: dict[str, Any] = {"batch_size": 2, "max_steps": 6, "log_steps": 1, **settings}
    work = TrainingWork(folder, Distillation(**given), start=str(start), name="start")
    write_data(work.data, [margins(scores) for _, _, scores in PAIRS], dev=dev)
    return work


SLOW = pytest.mark.slow


@pytest.mark.parametrize("dtype", [torch.bfloat16, pytest.param(torch.float16, marks=SLOW)])
def test_a_start_model_stored_in_half_precision_trains_as_the_same_weights_in_float32(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    half, whole = (bert(tmp_path / name) for name in ("half", "whole"))
    rounded = {name: tensor.to(dtype) for name, tensor in load_file(half / "model.safetensors").items()}
    save_file(rounded, half / "model.safetensors", {"format": "pt"})
    edit(half / "config.json", dtype=str(dtype)[6:])
    widened = {name: tensor.float() for name, tensor in rounded.items()}
    save_file(widened, whole / "model.safetensors", {"format": "pt"})
    found, wanted = (work_from(tmp_path / f"{start.name}-work", start) for start in (half, whole))
    for work in (found, wanted):
        assert train(work).error is None
    trained, reference = (load_file(work.model / "model.safetensors") for work in (found, wanted))
    assert {tensor.dtype for tensor in trained.values()} == {torch.float32}
    for name, tensor in reference.items():
        torch.testing.assert_close(trained[name], tensor, rtol=0, atol=1e-7)
    assert any((trained[name] != tensor).any() for name, tensor in widened.items() if name in trained)


def test_a_start_model_whose_own_length_is_above_its_positions_trains_on_what_it_can_read(tmp_path: Path) -> None:
    start = bert(tmp_path / "start")  # 48 positions
    edit(start / "tokenizer_config.json", model_max_length=200)
    long = work_from(tmp_path / "work", start, max_steps=2)
    text = " ".join(DOCUMENTS) * 10
    rows = {"row": list(range(len(DOCUMENTS))), "text": [text, *DOCUMENTS[1:]]}
    pq.write_table(pa.table(rows), long.data / "documents" / "part-0.parquet")
    assert train(long).error is None
    assert SparseEncoder(str(long.model), device="cpu", local_files_only=True).max_seq_length == 48


@pytest.mark.parametrize(
    ("side", "dev"),
    [
        ("query", True),
        ("document", False),
        pytest.param("query", False, marks=SLOW),
        pytest.param("document", True, marks=SLOW),
    ],
)
def test_a_training_that_collapses_to_empty_vectors_ends_as_an_error(tmp_path: Path, side: str, dev: bool) -> None:
    force = {f"{side}_regularizer": 1e6, "learning_rate": 5e-2, "max_steps": 20, "regularizer_warmup": 0.01}
    work = work_from(tmp_path / "work", bert(tmp_path / "start"), dev=dev, evaluate_steps=10, **force)
    outcome = train(work)
    assert outcome.status == "collapsed"
    assert outcome.error is not None
    assert outcome.error["kind"] == "DataError"
    assert "have an empty vector" in outcome.error["found"]
    kept = SparseEncoder(str(work.model), device="cpu", local_files_only=True)
    assert not kept.encode_document(DOCUMENTS, convert_to_sparse_tensor=False).numpy().any()


@SLOW  # two trainings of splade-tiny
def test_a_model_below_its_start_is_an_error_unless_it_is_accepted(tmp_path: Path) -> None:
    # The teacher says the opposite of what dev measures.
    work = small_work(tmp_path, labels=[[-30.0, -20.0]] * 5 + [[-20.0, -30.0]], max_steps=6, learning_rate=2e-3)
    outcome = train(work)
    assert outcome.measures["ndcg@10"] < outcome.start_measures["ndcg@10"]
    assert outcome.status == "worse"
    assert outcome.error is not None
    assert outcome.error["kind"] == "DataError"
    assert outcome.error["found"].startswith("ndcg@10 on the dev queries is ")
    settings = work.settings.model_copy(update={"accept_worse": True})
    accepted = train(replace(work, settings=settings))
    assert (accepted.status, accepted.error) == ("worse", None)
    assert (accepted.resumed_from, accepted.steps) == (6, 6), "nothing is trained again"
    assert accepted.measures == outcome.measures


def one_model_router(folder: Path) -> Path:
    transformer, pooling = Transformer(str(bert(folder / "plain")), transformer_task="fill-mask"), SpladePooling()
    route = [transformer, pooling]
    router = Router.for_query_document(query_modules=route, document_modules=route)
    SparseEncoder(modules=[router], device="cpu").save_pretrained(str(folder / "start"))
    return folder / "start"


def static_queries(folder: Path) -> Path:
    transformer, pooling = Transformer(str(bert(folder / "plain")), transformer_task="fill-mask"), SpladePooling()
    router = Router.for_query_document(
        query_modules=[SparseStaticEmbedding(word_piece())], document_modules=[transformer, pooling]
    )
    SparseEncoder(modules=[router], device="cpu").save_pretrained(str(folder / "start"))
    return folder / "start"


def two_models(folder: Path) -> Path:
    routes = {
        kind: [Transformer(str(bert(folder / kind)), transformer_task="fill-mask"), SpladePooling()]
        for kind in ("query", "document")
    }
    SparseEncoder(modules=[Router(routes)], device="cpu").save_pretrained(str(folder / "start"))
    return folder / "start"


def static_alone(folder: Path) -> Path:
    SparseEncoder(modules=[SparseStaticEmbedding(word_piece())], device="cpu").save_pretrained(str(folder / "start"))
    return folder / "start"


def cross_encoder(folder: Path) -> Path:
    config = BertConfig(vocab_size=len(word_piece()), max_position_embeddings=48, num_labels=1, **SMALL)
    return save(folder / "start", BertForSequenceClassification(config), word_piece())


def decoder(folder: Path) -> Path:
    config = GPT2Config(vocab_size=len(word_piece()), n_positions=48, n_embd=32, n_layer=2, n_head=4)
    return save(folder / "start", GPT2LMHeadModel(config), word_piece())


def without_head(folder: Path) -> Path:
    config = BertConfig(vocab_size=len(word_piece()), max_position_embeddings=48, **SMALL)
    start = save(folder / "start", BertModel(config), word_piece())
    edit(start / "config.json", architectures=["BertForMaskedLM"])
    return start


def with_own_length(length: int) -> Callable[[Path], Path]:
    def start(folder: Path) -> Path:
        made = bert(folder / "start")
        edit(made / "tokenizer_config.json", model_max_length=length)
        return made

    return start


@pytest.mark.parametrize(
    ("make", "max_length", "says"),
    [
        (one_model_router, None, "the modules of the model are behind a Router"),
        (static_queries, None, "the model gives each token of a query a fixed weight"),
        (two_models, None, "the model encodes queries with a second model or pooling"),
        (static_alone, None, "the modules for documents are SparseStaticEmbedding"),
        (cross_encoder, None, "the architecture is BertForSequenceClassification"),
        (decoder, None, "the architecture is GPT2LMHeadModel"),
        (without_head, None, "masked-language-model head"),
        (lambda folder: bert(folder / "start"), 49, "positions for 48 tokens"),
        (lambda folder: roberta(folder / "start"), 49, "positions for 48 tokens"),
        (with_own_length(0), None, "model_max_length is 0"),
        (with_own_length(1), None, "the model reads only 1 tokens of each text by default"),
    ],
)
def test_a_start_model_that_cannot_be_trained_is_refused_by_its_files_alone_and_by_the_training(
    tmp_path: Path, make: Callable[[Path], Path], max_length: int | None, says: str
) -> None:
    start = make(tmp_path)
    with pytest.raises(UsageError, match=says):
        check_start(start, name="start", max_length=max_length)
    outcome = train(work_from(tmp_path / "work", start, max_length=max_length))
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert outcome.error["kind"] == "UsageError"
    assert says in f"{outcome.error['found']} {outcome.error['wanted']}"
    assert not (tmp_path / "work" / "checkpoints").exists()


def test_what_another_library_says_of_a_start_model_is_told_as_a_wrong_model(tmp_path: Path) -> None:
    start = bert(tmp_path / "start", num_attention_heads=4)
    tensors = load_file(start / "model.safetensors")
    name = next(name for name in tensors if name.endswith("attention.self.query.weight"))
    tensors[name] = torch.from_numpy(np.zeros((32, 16), dtype=np.float32))
    save_file(tensors, start / "model.safetensors", {"format": "pt"})
    outcome = train(work_from(tmp_path / "work", start))
    assert outcome.error is not None
    assert outcome.error["kind"] == "UsageError"
