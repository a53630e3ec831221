"""Every architecture of the installed transformers has the vectors and scores of sentence-transformers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import CrossEncoder as Reference
from sentence_transformers import SparseEncoder
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as CLASSIFIERS,
)

from spladelake.encoder import SpladeEncoder
from spladelake.reranker import CrossEncoder
from support.architectures import build
from support.families import TEXTS

# Two float32 computations in different orders: 3.3e-5 was seen of RemBERT.
TOLERANCE = 5e-5
PAIRS = [
    ("how is bread made", "Bread is baked from flour"),
    ("trains", "Trains run on rails and more " * 9),
    ("a", "b c d"),
]
# Compared by default; all others are marked slow.
BY_DEFAULT = {"deberta-v2", "mpnet", "convbert", "qwen3"}

NO_MASKED_HEAD = "it has no …ForMaskedLM, without which sentence-transformers makes no SPLADE of it either"
PROCESSOR = "it needs a processor of images or layouts beside a tokenizer"
PARTS = "its configuration is made of others; the part for text has an entry of its own"
SIZES = "the small configuration made here does not build or run in transformers either"
NOT_COMPARED: dict[str, dict[str, str]] = {
    "masked": {
        **dict.fromkeys(("bart", "flaubert", "mbart", "mvp", "xlm"), NO_MASKED_HEAD),
        **dict.fromkeys(("modernvbert", "neomme", "ultravbert"), PROCESSOR),
        "perceiver": "it reads bytes, always as many as its positions",
    },
    "classifier": {
        **dict.fromkeys(("layoutlmv2", "layoutlmv3", "markuplm", "modernvbert", "ultravbert"), PROCESSOR),
        **dict.fromkeys(("gemma3", "qwen3_5", "t5gemma", "t5gemma2"), PARTS),
        **dict.fromkeys(("cohere_compass_text", "deepseek_v2", "mistral4", "zamba", "zamba2"), SIZES),
        "perceiver": "it reads bytes, always as many as its positions",
    },
}


def chosen(registry: dict[str, str]) -> list[object]:
    return [pytest.param(name, marks=[] if name in BY_DEFAULT else pytest.mark.slow) for name in registry]


def skip_if_listed(kind: str, name: str) -> None:
    if name in NOT_COMPARED[kind]:
        pytest.skip(NOT_COMPARED[kind][name])


@pytest.mark.parametrize("name", chosen(MASKED))
def test_every_masked_language_model_has_the_vectors_of_sentence_transformers(
    tmp_path: Path, name: str, assert_same_vectors
) -> None:
    skip_if_listed("masked", name)
    folder = str(build(tmp_path, name, "AutoModelForMaskedLM"))
    theirs = SparseEncoder(folder, device="cpu")
    # One text at a time: a model that reads padding gives a text in a batch another vector.
    wanted = np.concatenate([theirs.encode_document([text], convert_to_sparse_tensor=False).numpy() for text in TEXTS])
    assert np.ptp(wanted) > 0.1
    found = SpladeEncoder.load(folder, device="cpu").encode_documents(TEXTS)
    assert_same_vectors(found, wanted, TOLERANCE)


@pytest.mark.parametrize("name", chosen(CLASSIFIERS))
def test_every_classifier_has_the_scores_of_sentence_transformers(tmp_path: Path, name: str) -> None:
    skip_if_listed("classifier", name)
    folder = str(build(tmp_path, name, "AutoModelForSequenceClassification", num_labels=1))
    wanted = Reference(folder, device="cpu").predict(PAIRS, batch_size=1, show_progress_bar=False)
    assert CrossEncoder.load(folder, device="cpu").score(PAIRS).scores == pytest.approx(wanted, abs=TOLERANCE)


def test_settings_of_the_config_hold_for_an_architecture_that_transformers_builds(
    tmp_path: Path, assert_same_vectors
) -> None:
    from support.checkpoints import edit

    folder = tmp_path / "saved"
    plain = build(tmp_path / "plain", "mpnet", "AutoModelForMaskedLM")
    SparseEncoder(str(plain), device="cpu").save_pretrained(str(folder))
    before = SpladeEncoder.load(str(folder), device="cpu").encode_documents(TEXTS)
    edit(folder / "sentence_bert_config.json", config_kwargs={"num_hidden_layers": 1, "hidden_act": "relu"})
    wanted = SparseEncoder(str(folder), device="cpu").encode_document(TEXTS, convert_to_sparse_tensor=False).numpy()
    found = SpladeEncoder.load(str(folder), device="cpu").encode_documents(TEXTS)
    assert_same_vectors(found, wanted, TOLERANCE)
    assert found.values.tolist() != before.values.tolist()


def test_an_attention_that_is_not_installed_gives_way_to_the_plain_one(tmp_path: Path, assert_same_vectors) -> None:
    from support.checkpoints import edit

    folder = build(tmp_path, "mpnet", "AutoModelForMaskedLM")
    wanted = SpladeEncoder.load(str(folder), device="cpu").encode_documents(TEXTS)
    edit(folder / "config.json", attn_implementation="flash_attention_2")
    found = SpladeEncoder.load(str(folder), device="cpu").encode_documents(TEXTS)
    np.testing.assert_array_equal(found.indices, wanted.indices)
    np.testing.assert_allclose(found.values, wanted.values, atol=TOLERANCE)
