"""A checkpoint gives the same vectors however its tensors are named, stored and read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SparseEncoder
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

import spladelake.encoder.model as loading
from spladelake.encoder import SpladeEncoder
from spladelake.encoder.weights.parts import model_parts
from support.families import FAMILIES, TEXTS, bert, mobilebert

FLOAT32 = 2e-5


def rewrite(folder: Path, change) -> None:
    """Save the tensors again as `change` returns them."""
    tensors = change(load_file(folder / "model.safetensors"))
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def theirs(folder: Path) -> np.ndarray:
    """Vectors of the texts by sentence-transformers in float32."""
    model = SparseEncoder(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    return model.encode_document(TEXTS, convert_to_sparse_tensor=False).numpy()


def old_norm_names(tensors):
    return {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in tensors.items()
    }


def bias_at_the_decoder(tensors):
    tensors["cls.predictions.decoder.bias"] = tensors.pop("cls.predictions.bias")
    return tensors


def repeated_decoder(tensors):
    tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].clone()
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()
    return tensors


def contradicting_decoder(tensors):
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"] + 1
    return tensors


def unused_parts(tensors):
    return tensors | {
        "bert.pooler.dense.weight": torch.ones(32, 32),
        "cls.seq_relationship.bias": torch.ones(2),
        "bert.embeddings.position_ids": torch.arange(48),
    }


def unknown_parts(tensors):
    return tensors | {"bert.encoder.layer.0.surprise.weight": torch.ones(32, 32)}


def half(tensors):
    return {name: tensor.half() for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    "change",
    [
        old_norm_names,
        bias_at_the_decoder,
        repeated_decoder,
        contradicting_decoder,
        unused_parts,
        unknown_parts,
        half,
    ],
)
def test_other_names_and_types_of_tensors_give_the_vectors_of_sentence_transformers(
    tmp_path, change, assert_same_vectors
):
    folder = bert(tmp_path)
    rewrite(folder, change)
    assert_same_vectors(SpladeEncoder.load(str(folder), device="cpu").encode_documents(TEXTS), theirs(folder), FLOAT32)


def test_an_untied_decoder_is_used(tmp_path, assert_same_vectors):
    folder = bert(tmp_path, tie_word_embeddings=False)
    tensors = load_file(folder / "model.safetensors")
    assert not torch.equal(tensors["cls.predictions.decoder.weight"], tensors["bert.embeddings.word_embeddings.weight"])
    assert_same_vectors(SpladeEncoder.load(str(folder), device="cpu").encode_documents(TEXTS), theirs(folder), FLOAT32)


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta"])
def test_known_families_are_read_without_transformers_models(tmp_path, family, monkeypatch, assert_same_vectors):
    folder = FAMILIES[family](tmp_path)
    wanted = theirs(folder)
    monkeypatch.setattr(
        loading, "build_model", lambda folder, kind, changes: pytest.fail("transformers was asked to build the model")
    )
    assert_same_vectors(SpladeEncoder.load(str(folder), device="cpu").encode_documents(TEXTS), wanted, FLOAT32)


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta"])
def test_a_model_that_transformers_built_gives_the_same_vectors(tmp_path, family, monkeypatch, assert_same_vectors):
    folder = FAMILIES[family](tmp_path)
    monkeypatch.setattr(loading, "_read_directly", lambda folder, layout: None)
    encoder = SpladeEncoder.load(str(folder), device="cpu")
    assert encoder.method.startswith("unpadded")
    assert_same_vectors(encoder.encode_documents(TEXTS), theirs(folder), FLOAT32)


@pytest.mark.parametrize("deviation", [{"is_decoder": True}, {"position_embedding_type": "relative_key"}])
def test_a_network_that_differs_from_the_known_ones_is_left_to_transformers(deviation):
    config = {"model_type": "bert", "hidden_act": "gelu", "num_hidden_layers": 0, "num_attention_heads": 1}
    tensors = _AnyTensors()
    assert model_parts(config | {"layer_norm_eps": 1e-12}, tensors) is not None
    assert model_parts(config | {"layer_norm_eps": 1e-12} | deviation, tensors) is None
    assert model_parts(config, tensors) is None  # without its eps
    assert model_parts(config | {"layer_norm_eps": 1e-12, "hidden_act": "silu"}, tensors) is None
    assert model_parts(config | {"layer_norm_eps": 1e-12, "model_type": "unheard-of"}, tensors) is None


class _AnyTensors(dict):
    def __missing__(self, name: str) -> torch.Tensor:
        return torch.zeros(2, 2)


def test_a_rearrangement_that_disagrees_is_not_used(tmp_path, monkeypatch, caplog):
    def wrong(config, tensors):
        parts = model_parts(config, tensors)
        parts.positions[1] += torch.randn(32)  # as if positions were counted differently
        return parts

    folder = str(bert(tmp_path))
    right = SpladeEncoder.load(folder, device="cpu").encode_documents(TEXTS)
    monkeypatch.setattr(loading, "_read_directly", lambda folder, layout: None)
    monkeypatch.setattr(loading, "model_parts", wrong)
    encoder = SpladeEncoder.load(folder, device="cpu")
    assert "without padding its logits differ from those of transformers" in caplog.text
    assert encoder.method.startswith("padded")
    np.testing.assert_allclose(encoder.encode_documents(TEXTS).values, right.values, atol=FLOAT32)


def test_a_decoder_that_is_no_linear_layer_is_said_to_be_slow(tmp_path, caplog):
    encoder = SpladeEncoder.load(str(mobilebert(tmp_path)), device="cpu")
    assert "slow" in caplog.text
    assert "all logits" in encoder.method


def test_a_checkpoint_without_a_number_that_transformers_fills_in_is_read_by_it(tmp_path, assert_same_vectors):
    folder = bert(tmp_path)
    wanted = theirs(folder)
    config = json.loads((folder / "config.json").read_text())
    del config["layer_norm_eps"]  # the default is what the model was made with
    (folder / "config.json").write_text(json.dumps(config))
    assert_same_vectors(SpladeEncoder.load(str(folder), device="cpu").encode_documents(TEXTS), wanted, FLOAT32)


def test_a_build_of_torch_without_fused_layers_gives_the_same_vectors(tmp_path, monkeypatch, assert_same_vectors):
    monkeypatch.setattr("spladelake.encoder.linear.fused_kernel_available", lambda: False)
    for activation in ("gelu", "gelu_new", "relu"):
        folder = bert(tmp_path / activation, hidden_act=activation)
        encoder = SpladeEncoder.load(str(folder), device="cpu")
        assert encoder.method.startswith("unpadded")
        assert_same_vectors(encoder.encode_documents(TEXTS), theirs(folder), FLOAT32)


def test_no_single_word_has_to_be_in_the_vocabulary(tmp_path, assert_same_vectors):
    folder = bert(tmp_path / "model")
    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "rivers": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=48, pad_token="[PAD]")
    wrapped.save_pretrained(folder)
    wanted = SparseEncoder(str(folder), device="cpu").encode_document(["rivers"], convert_to_sparse_tensor=False)
    found = SpladeEncoder.load(str(folder), device="cpu").encode(["rivers"])
    assert found.tokens.tolist() == [3]
    assert_same_vectors(found.vectors, wanted.numpy(), FLOAT32)
