"""Pairs keep their scores however they are batched, and nothing unsafe is loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from spladelake.errors import UsageError
from spladelake.reranker import CrossEncoder, resolve_cross_encoder
from support.cross_encoders import PAIRS, write_cross_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small cross-encoder; read it only."""
    return write_cross_encoder(tmp_path_factory.mktemp("cross") / "model")


@pytest.mark.parametrize("budget", [1, 64, 100_000])
def test_the_token_budget_changes_batches_not_scores(folder: Path, budget: int) -> None:
    whole = CrossEncoder.load(str(folder), device="cpu").score(PAIRS)
    parts = CrossEncoder.load(str(folder), device="cpu", token_budget=budget, threads=1).score(PAIRS)
    assert parts.scores == pytest.approx(whole.scores, abs=1e-5)
    assert parts.tokens == whole.tokens


def test_null_texts_are_read_as_empty_and_no_pairs_give_no_scores(folder: Path) -> None:
    encoder = CrossEncoder.load(str(folder), device="cpu")
    assert encoder.score([(None, None)]).scores == pytest.approx(encoder.score([("", "")]).scores)
    assert encoder.score([]).scores.shape == (0,)


def spoil(folder: Path, target: Path, file: str, **changes: object) -> Path:
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    config = json.loads((target / file).read_text()) if (target / file).exists() else {}
    (target / file).write_text(json.dumps({**config, **changes}))
    return target


@pytest.mark.parametrize(
    ("file", "changes", "says"),
    [
        (
            "config.json",
            {"auto_map": {"AutoConfig": "evil.Config"}, "model_type": "evil"},
            "the checkpoint asks to run code",
        ),
        ("config.json", {"id2label": {"0": "a", "1": "b"}}, "num_labels is 2; wanted 1"),
        ("config.json", {"architectures": ["BertForMaskedLM"]}, "BertForMaskedLM"),
        (
            "config.json",
            {"sentence_transformers": {"activation_fn": "os.system"}},
            "the setting activation_fn is os.system",
        ),
        ("config.json", {"hidden_size": 64}, "hidden_size is 64, but"),
        ("config.json", {"num_hidden_layers": 10**9}, r"num_hidden_layers is 1,000,000,000"),
        (
            "config.json",
            {"num_hidden_layers": 1},
            r"num_hidden_layers is 1; wanted 2, the number of layers in the weights",
        ),
        ("config.json", {"vocab_size": 10**9}, r"vocab_size is 1,000,000,000"),
        ("config.json", {"quantization_config": {"quant_method": "awq"}}, "quant_method 'awq'"),
        ("tokenizer.json", {"pre_tokenizer": {"type": "OfTomorrow"}}, r"tokenizer\.json: the content cannot be read"),
    ],
)
def test_what_is_no_safe_cross_encoder_is_refused(
    folder: Path, tmp_path: Path, file: str, changes: dict[str, object], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        resolve_cross_encoder(str(spoil(folder, tmp_path / "spoilt", file, **changes)))


def test_pickles_and_files_that_changed_since_are_refused(folder: Path, tmp_path: Path) -> None:
    copy = spoil(folder, tmp_path / "copy", "config.json")
    checkpoint = resolve_cross_encoder(str(copy))
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(UsageError, match="the sha256 of the file is"):
        CrossEncoder.load(checkpoint)
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"only as pickles \(pytorch_model\.bin\)"):
        resolve_cross_encoder(str(copy))


def test_checkpoints_with_settings_are_keys_of_the_models_that_a_worker_keeps(folder: Path, tmp_path: Path) -> None:
    plain = resolve_cross_encoder(str(folder))
    assert {plain: 1}[resolve_cross_encoder(str(folder))] == 1
    changed = replace(plain, tokenizer_arguments={"padding_side": "left"}, config_changes={"a": [1]})
    assert {plain: 1, changed: 2}[changed] == 2
