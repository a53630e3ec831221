"""A folder that sentence-transformers saved is read as it reads it, or refused for what is not supported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Router
from sentence_transformers.sentence_transformer.modules import Normalize
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding

from spladelake.encoder import SpladeEncoder, resolve_checkpoint
from support.checkpoints import edit, refusal
from support.families import bert


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT checkpoint in the plain layout."""
    return bert(tmp_path_factory.mktemp("original"))


@pytest.fixture(scope="module")
def saved_once(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model in the layout of sentence-transformers."""
    folder = tmp_path_factory.mktemp("layout") / "saved"
    SparseEncoder(str(original), device="cpu").save(str(folder))
    return folder


@pytest.fixture
def saved(saved_once: Path, tmp_path: Path) -> Path:
    """A copy of it to edit."""
    return Path(shutil.copytree(saved_once, tmp_path / "saved"))


def test_the_fingerprint_changes_with_every_file(saved):
    before = resolve_checkpoint(str(saved))
    assert {file for file, _ in before.file_digests} == {
        "1_SpladePooling/config.json",
        "config.json",
        "config_sentence_transformers.json",
        "model.safetensors",
        "modules.json",
        "sentence_bert_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    for file, _ in before.file_digests:
        path = saved / file
        kept = path.read_bytes()
        if path.suffix == ".json":
            path.write_bytes(kept + b"\n")
        else:
            tensors = load_file(path)
            tensors["cls.predictions.bias"][0] += 1e-3
            save_file(tensors, path, metadata={"format": "pt"})
        assert resolve_checkpoint(str(saved)).model_id != before.model_id, file
        path.write_bytes(kept)
    assert resolve_checkpoint(str(saved)) == before


@pytest.mark.parametrize(
    ("file", "changes", "reason"),
    [
        ("1_SpladePooling/config.json", {"pooling_strategy": "mean"}, 'pooling_strategy is "mean"'),
        ("1_SpladePooling/config.json", {"activation_function": "tanh"}, 'activation_function is "tanh"'),
        ("sentence_bert_config.json", {"query_expansion": {"strategy": "fixed"}}, "query_expansion"),
    ],
)
def test_an_unsupported_step_of_sentence_transformers_is_refused(saved, file, changes, reason):
    edit(saved / file, **changes)
    assert reason in refusal(saved)


def test_an_unsupported_module_is_refused(original, tmp_path):
    model = SparseEncoder(str(original), device="cpu")
    model.append(Normalize())
    model.save(str(tmp_path / "normalised"))
    assert "Transformer, SpladePooling and Normalize" in refusal(tmp_path / "normalised")


def test_a_module_outside_the_folder_is_refused(saved):
    modules = json.loads((saved / "modules.json").read_text())
    modules[1]["path"] = "../elsewhere"
    (saved / "modules.json").write_text(json.dumps(modules))
    assert "wanted a path inside the model folder" in refusal(saved)


def test_a_router_with_other_routes_is_refused(original, tmp_path):
    model = SparseEncoder(str(original), device="cpu")
    router = Router({"document": [model[0], model[1]], "other": [SparseStaticEmbedding(model.tokenizer)]})
    SparseEncoder(modules=[router], device="cpu").save(str(tmp_path / "routed"))
    assert "routes" in refusal(tmp_path / "routed")


def test_a_length_of_sentence_transformers_wins_over_the_tokenizer_s(saved):
    edit(saved / "sentence_bert_config.json", max_seq_length=21)
    assert resolve_checkpoint(str(saved)).max_length == SparseEncoder(str(saved), device="cpu").max_seq_length == 21


def test_the_two_layouts_of_one_model_give_the_same_vectors(original, saved):
    texts = ["common law implied warranty", "façade"]
    plain = SpladeEncoder.load(str(original), device="cpu").encode_documents(texts)
    routed = SpladeEncoder.load(str(saved), device="cpu").encode_documents(texts)
    assert torch.equal(torch.from_numpy(plain.indices), torch.from_numpy(routed.indices))
    assert plain.values.tolist() == pytest.approx(routed.values.tolist(), abs=1e-6)
