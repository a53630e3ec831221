"""A checkpoint whose files contradict each other, or that other libraries fail on, is refused with one message."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from spladelake.encoder import SpladeEncoder, resolve_checkpoint
from spladelake.encoder.tokens import vocabulary_tokens
from spladelake.errors import MachineError, SpladelakeError, UsageError
from support.checkpoints import edit, refusal
from support.families import FAMILIES

WORDS = "bert.embeddings.word_embeddings.weight"
UP = "bert.encoder.layer.0.intermediate.dense.weight"


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A small checkpoint of a family; read it only."""
    made: dict[str, Path] = {}

    def of(family: str) -> Path:
        if family not in made:
            made[family] = FAMILIES[family](tmp_path_factory.mktemp(family))
        return made[family]

    return of


@pytest.fixture
def copy(originals: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a family's checkpoint to damage."""
    return lambda family: Path(shutil.copytree(originals(family), tmp_path / "model"))


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in change(load_file(folder / "model.safetensors")).items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


# Shapes

MISMATCHES = [
    ("bert", {"hidden_size": 64}, "hidden_size is 64, but"),
    ("bert", {"intermediate_size": 65}, "intermediate_size is 65, but"),
    ("bert", {"vocab_size": 250}, "vocab_size is 250, but"),
    ("bert", {"max_position_embeddings": 49}, "max_position_embeddings is 49, but"),
    ("bert", {"type_vocab_size": 3}, "type_vocab_size is 3, but"),
    ("bert", {"num_hidden_layers": 3}, "num_hidden_layers is 3"),
    ("bert", {"num_hidden_layers": 1}, "num_hidden_layers is 1"),
    ("distilbert", {"dim": 64}, "dim is 64, but"),
    ("distilbert", {"n_layers": 3}, "n_layers is 3"),
    ("roberta", {"max_position_embeddings": 48}, "max_position_embeddings is 48, but"),
    ("modernbert", {"hidden_size": 40}, "hidden_size is 40, but"),
    ("electra", {"num_hidden_layers": 3}, "num_hidden_layers is 3"),
    ("modernbert", {"vocab_size": 401}, "vocab_size is 401, but"),
    ("electra", {"max_position_embeddings": 64}, "max_position_embeddings is 64, but"),
    ("mobilebert", {"num_hidden_layers": 1}, "num_hidden_layers is 1"),
]


def test_layers_with_gaps_are_told_by_their_numbers(copy):
    folder = copy("bert")
    number = re.compile(r"(encoder\.layer\.)1\.")
    change_tensors(folder, lambda t: {number.sub(r"\g<1>2.", name): tensor for name, tensor in t.items()})
    gap = "the weights have a layer 2, but no layer 1; wanted the layers 0 to 1, because num_hidden_layers is 2"
    assert gap in refusal(folder)


@pytest.mark.parametrize(("family", "changes", "named"), MISMATCHES, ids=str)
def test_a_config_that_contradicts_the_tensors_is_refused_as_transformers_reports_it(copy, family, changes, named):
    from transformers import AutoModelForMaskedLM

    folder = copy(family)
    edit(folder / "config.json", **changes)
    message = refusal(folder)
    assert named in message
    assert "config.json" in message
    _, report = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True, ignore_mismatched_sizes=True)
    assert report["mismatched_keys"] or report["missing_keys"] or report["unexpected_keys"]


@pytest.mark.parametrize(
    ("family", "changes"), [("modernbert", {"intermediate_size": 66}), ("electra", {"type_vocab_size": 3})], ids=str
)
def test_a_contradiction_that_only_the_model_s_code_knows_is_refused_when_it_is_built(copy, family, changes):
    folder = copy(family)
    edit(folder / "config.json", **changes)
    with pytest.raises(UsageError, match=r"do not fit config.json: \S+ is \[\d+, \d+\] instead of \[\d+, \d+\]"):
        SpladeEncoder.load(str(folder), device="cpu")


TENSORS: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "a row too many": (lambda t: t | {WORDS: torch.cat([t[WORDS], t[WORDS][:1]])}, WORDS),
    "a row too few": (lambda t: t | {WORDS: t[WORDS][:-1]}, WORDS),
    "a layer of another shape": (lambda t: t | {UP: torch.randn(70, 32)}, UP),
    "a bias for another vocabulary": (lambda t: t | {"cls.predictions.bias": torch.ones(7)}, "cls.predictions.bias"),
    "a tensor of another rank": (lambda t: t | {UP: t[UP].flatten()}, UP),
    "whole numbers": (lambda t: t | {UP: torch.ones(64, 32, dtype=torch.int8)}, "I8"),
}


@pytest.mark.parametrize("change", TENSORS)
def test_a_tensor_of_another_shape_or_type_is_refused_with_its_name(copy, change):
    folder = copy("bert")
    change_tensors(folder, TENSORS[change][0])
    assert TENSORS[change][1] in refusal(folder)


BILLION = [
    *(("bert", key) for key in ("num_hidden_layers", "hidden_size", "vocab_size", "intermediate_size")),
    *(("bert", key) for key in ("max_position_embeddings", "type_vocab_size", "num_attention_heads", "num_labels")),
    *(("modernbert", key) for key in ("num_hidden_layers", "hidden_size", "vocab_size", "intermediate_size")),
    *(("modernbert", key) for key in ("max_position_embeddings", "num_attention_heads")),
    *(("electra", key) for key in ("embedding_size", "type_vocab_size")),
    *(("mobilebert", key) for key in ("num_feedforward_networks", "true_hidden_size", "intra_bottleneck_size")),
]


@pytest.mark.parametrize(("family", "key"), BILLION)
def test_a_size_that_no_machine_holds_is_refused_at_once(copy, family, key):
    folder = copy(family)
    edit(folder / "config.json", **{key: 10**9})
    began = time.process_time()
    message = refusal(folder)
    assert time.process_time() - began < 1
    assert key in message


@pytest.mark.parametrize("value", [-1, "2", 2.5, True, [2]])
def test_a_size_that_is_no_whole_number_is_refused(copy, value):
    folder = copy("bert")
    edit(folder / "config.json", num_hidden_layers=value)
    assert "num_hidden_layers is" in refusal(folder)


def test_resolving_a_small_model_stays_fast(originals):
    folder = str(originals("bert"))
    resolve_checkpoint(folder)
    began = time.process_time()
    resolve_checkpoint(folder)
    assert time.process_time() - began < 0.3


# Errors of other libraries


def newer(folder: Path) -> None:
    edit(folder / "tokenizer.json", pre_tokenizer={"type": "OfTomorrow"})


def without_tokenizer_json(folder: Path, name: str) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / name).write_bytes(b"\x0a\x0e")


def japanese(folder: Path) -> None:
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.get)) + "\n")
    (folder / "tokenizer.json").unlink()
    edit(folder / "tokenizer_config.json", tokenizer_class="BertJapaneseTokenizer", word_tokenizer_type="mecab")


def half_of(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def shards(folder: Path, places: object) -> None:
    if isinstance(places, dict):
        shutil.copy(folder / "model.safetensors", folder / "model-1.safetensors")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


RAW: dict[str, tuple[Callable[[Path], object], str]] = {
    "tokenizer.json cut in half": (lambda f: half_of(f / "tokenizer.json"), "tokenizer.json"),
    "tokenizer.json that is empty": (lambda f: (f / "tokenizer.json").write_text(""), "tokenizer.json"),
    "tokenizer.json that is {}": (lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer.json"),
    "tokenizer.json of a newer library": (newer, "install newer versions"),
    "tokenizer_config.json that is a list": (lambda f: (f / "tokenizer_config.json").write_text("[]"), "a JSON object"),
    "quantised weights": (
        lambda f: edit(f / "config.json", quantization_config={"quant_method": "gptq", "bits": 4}),
        "quant_method 'gptq'",
    ),
    "config.json that is empty": (lambda f: (f / "config.json").write_text(""), "config.json"),
    "config.json nested without end": (lambda f: (f / "config.json").write_text("[" * 100_000), "config.json"),
    "config.json in another encoding": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe{"), "config.json"),
    "architectures that are a number": (lambda f: edit(f / "config.json", architectures=7), "the architecture is 7"),
    "an index without shards": (lambda f: shards(f, {}), "index.json"),
    "an index that is a list": (lambda f: shards(f, []), "weight_map"),
    "an index of other tensors": (lambda f: shards(f, {"absent": "model-1.safetensors"}), "has no tensor absent"),
    "weights that are a page of the web": (
        lambda f: (f / "model.safetensors").write_text("<!DOCTYPE html>" * 99),
        "first eight bytes",
    ),
    "weights that are a pointer of git lfs": (
        lambda f: (f / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\nsize 7\n"),
        "first eight bytes",
    ),
}


@pytest.mark.parametrize("damage", RAW)
def test_a_damaged_file_is_refused_when_the_model_is_resolved(copy, damage):
    folder = copy("bert")
    RAW[damage][0](folder)
    message = refusal(folder)
    assert RAW[damage][1] in message
    assert str(folder) in message
    assert "\n" not in message


LATER: dict[str, tuple[Callable[[Path], object], str, type[SpladelakeError]]] = {
    "an architecture of tomorrow": (
        lambda f: edit(f / "config.json", model_type="bert-of-tomorrow"),
        "'bert-of-tomorrow', which transformers",
        UsageError,
    ),
    "a tokenizer of an absent package": (japanese, "pip install fugashi", MachineError),
    "sentencepiece alone": (
        lambda f: without_tokenizer_json(f, "spm.model"),
        "the tokenizer",
        SpladelakeError,
    ),
    "a vocabulary that is damaged": (lambda f: without_tokenizer_json(f, "vocab.json"), "the tokenizer", UsageError),
    "an activation that nobody has": (
        lambda f: edit(f / "config.json", hidden_act="of-tomorrow"),
        "the model cannot be read",
        UsageError,
    ),
}


@pytest.mark.parametrize("damage", LATER)
def test_what_only_transformers_finds_is_told_as_one_message(copy, damage):
    folder, (apply, reason, kind) = copy("bert"), LATER[damage]
    apply(folder)
    with pytest.raises(kind) as refused:
        SpladeEncoder.load(str(folder), device="cpu")
    message = str(refused.value)
    assert reason in message
    assert str(folder) in message
    assert "\n" not in message
    assert refused.value.exit_code in (2, 5)


def test_a_damaged_tokenizer_is_refused_when_its_vocabulary_is_listed(copy):
    folder = copy("bert")
    half_of(folder / "tokenizer.json")
    with pytest.raises(UsageError, match=r"tokenizer\.json"):
        vocabulary_tokens(folder, 10)
