"""Every setting that sentence-transformers 6 and transformers read from a model folder is honoured, or refused by name.

The reference reads one text at a time: with padding on the left, its vectors depend on the other texts of a batch.
"""

from __future__ import annotations

import inspect
import json
import re
import shutil
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder as ReferenceCrossEncoder
from sentence_transformers import SparseEncoder
from sentence_transformers.base.model import BaseModel
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling
from transformers import BertTokenizer, PreTrainedTokenizerBase
from transformers.models.bert import modeling_bert

from spladelake.encoder import SpladeEncoder, resolve_checkpoint
from spladelake.errors import UsageError
from spladelake.reranker import CrossEncoder, resolve_cross_encoder
from support.cross_encoders import PAIRS, write_cross_encoder
from support.families import TEXTS, bert, word_piece
from support.model_settings import (
    CONFIG,
    CROSS_ENCODER,
    ENCODER,
    MODEL,
    POOLING,
    ROUTER,
    STATIC,
    TOKENIZER,
    WRAPPER,
    Setting,
    Table,
    is_slow,
    settings,
)

Bases = dict[str, Path]
Scores = Callable[[Path], NDArray[np.float32]]
ALL_TEXTS = [*TEXTS, "Ünï [SEP] CÔDE [MASK] x"]
# Several with literal special tokens: vocabularies differ from run to run, and a single score may be close to 0 or 1.
MARKED = [
    ("WHAT [SEP] Ünï", "FLOUR and [MASK] Cities"),
    ("[MASK] bread", "rails [SEP] freight"),
    ("trains [PAD]", "[CLS] dough"),
    ("cities", "yeast [MASK] water [SEP] rails"),
]
ALL_PAIRS = [*PAIRS[:10], *MARKED]
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    """A small encoder in the plain layout, in that of sentence-transformers, and with static queries."""
    folder = tmp_path_factory.mktemp("encoders")
    plain = bert(folder / "plain")
    SparseEncoder(str(plain), device="cpu").save_pretrained(str(folder / "saved"))
    tokenizer = word_piece()
    tokenizer.model_max_length = 6
    static = SparseStaticEmbedding(tokenizer, torch.rand(len(tokenizer), generator=torch.manual_seed(1)) + 0.1)
    document = [Transformer(str(plain), transformer_task="fill-mask"), SpladePooling()]
    router = Router({"query": [static], "document": document})
    SparseEncoder(modules=[router], device="cpu").save_pretrained(str(folder / "router"))
    return {name: folder / name for name in ("plain", "saved", "router")}


@pytest.fixture(scope="module")
def cross_encoders(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    """A small cross-encoder in both layouts."""
    folder = tmp_path_factory.mktemp("cross_encoders")
    plain = write_cross_encoder(folder / "plain")
    ReferenceCrossEncoder(str(plain), device="cpu").save_pretrained(str(folder / "saved"))
    return {name: folder / name for name in ("plain", "saved")}


def with_settings(bases: Bases, changes: Iterable[Setting], folder: Path) -> tuple[Path, list[Path]]:
    """A copy of a model folder with these settings, all of one base, and the files that they are in."""
    files = []
    for setting in changes:
        if not folder.exists():
            shutil.copytree(bases[setting.base], folder)
        path = folder / setting.file
        if setting.file == STATIC:
            path = next(folder.glob("*SparseStaticEmbedding")) / CONFIG
        config: Any = json.loads(path.read_text()) if path.is_file() else {}
        # A Router's own settings are one level down.
        (config.setdefault("parameters", {}) if setting.file == ROUTER else config)[setting.key] = setting.value
        path.write_text(json.dumps(config))
        files.append(path)
    return folder, files


def reference_vectors(folder: Path) -> NDArray[np.float32]:
    """By sentence-transformers, in float32: documents above queries."""
    model = SparseEncoder(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    kinds = (model.encode_document, model.encode_query)
    return np.concatenate([f(ALL_TEXTS, convert_to_sparse_tensor=False, batch_size=1).numpy() for f in kinds])


def our_vectors(folder: Path) -> NDArray[np.float32]:
    encoder = SpladeEncoder.load(str(folder), device="cpu", threads=1)
    dense = np.zeros((2 * len(ALL_TEXTS), encoder.checkpoint.vocabulary_size), dtype=np.float32)
    for half, vectors in enumerate((encoder.encode_documents(ALL_TEXTS), encoder.encode_queries(ALL_TEXTS))):
        for row in range(len(ALL_TEXTS)):
            indices, values = vectors.row(row)
            dense[half * len(ALL_TEXTS) + row, indices] = values
    return dense


def reference_scores(folder: Path) -> NDArray[np.float32]:
    model = ReferenceCrossEncoder(str(folder), device="cpu")
    return np.asarray(model.predict(ALL_PAIRS, batch_size=1, show_progress_bar=False))


def our_scores(folder: Path) -> NDArray[np.float32]:
    return CrossEncoder.load(str(folder), device="cpu", threads=1).score(ALL_PAIRS).scores


@cache
def unchanged(reference: Scores, folder: Path) -> NDArray[np.float32]:
    """What the reference gives for a folder as it was made."""
    return reference(folder)


def together(own: dict[str, Table]) -> list[tuple[Setting, ...]]:
    """The settings without an effect: all of one base at once, repeated ones apart."""
    groups: dict[tuple[str, int], list[Setting]] = {}
    seen: dict[tuple[str, str], int] = {}
    for setting in settings(own, "none"):
        number = seen[setting.file, setting.key] = seen.get((setting.file, setting.key), -1) + 1
        groups.setdefault((setting.base, number), []).append(setting)
    return [tuple(group) for group in groups.values()]


def by_name(own: dict[str, Table], effect: Any) -> list[Any]:
    return [
        pytest.param(
            setting, id=setting.name, marks=[pytest.mark.slow] if effect == "other" and is_slow(setting) else []
        )
        for setting in settings(own, effect)
    ]


@pytest.mark.parametrize("setting", by_name(ENCODER, "refused"))
def test_a_setting_that_an_encoder_does_not_have_is_refused_by_its_name(
    encoders: Bases, tmp_path: Path, setting: Setting
) -> None:
    folder, (file,) = with_settings(encoders, [setting], tmp_path / "model")
    with pytest.raises(UsageError) as refused:
        resolve_checkpoint(str(folder))
    assert setting.key in str(refused.value)
    assert refused.value.place == str(file)


@pytest.mark.parametrize("setting", by_name(CROSS_ENCODER, "refused"))
def test_a_setting_that_a_cross_encoder_does_not_have_is_refused_by_its_name(
    cross_encoders: Bases, tmp_path: Path, setting: Setting
) -> None:
    folder, (file,) = with_settings(cross_encoders, [setting], tmp_path / "model")
    with pytest.raises(UsageError) as refused:
        resolve_cross_encoder(str(folder))
    # The number of labels is one setting under three names.
    name = "num_labels" if "num_labels" in str(setting.value) or setting.key == "id2label" else setting.key
    assert name in str(refused.value)
    assert Path(refused.value.place).parent == file.parent


@pytest.mark.parametrize("setting", by_name(ENCODER, "other"))
def test_a_setting_changes_vectors_as_in_sentence_transformers(
    encoders: Bases, tmp_path: Path, setting: Setting
) -> None:
    folder, _ = with_settings(encoders, [setting], tmp_path / "model")
    wanted = reference_vectors(folder)
    before = unchanged(reference_vectors, encoders[setting.base])
    assert not np.allclose(wanted, before, atol=TOLERANCE)
    np.testing.assert_allclose(our_vectors(folder), wanted, atol=TOLERANCE)


@pytest.mark.parametrize("setting", by_name(CROSS_ENCODER, "other"))
def test_a_setting_changes_scores_as_in_sentence_transformers(
    cross_encoders: Bases, tmp_path: Path, setting: Setting
) -> None:
    folder, _ = with_settings(cross_encoders, [setting], tmp_path / "model")
    wanted = reference_scores(folder)
    assert not np.allclose(wanted, unchanged(reference_scores, cross_encoders[setting.base]), atol=TOLERANCE)
    np.testing.assert_allclose(our_scores(folder), wanted, atol=TOLERANCE)


@pytest.mark.parametrize("group", together(ENCODER), ids=lambda group: group[0].base)
def test_settings_without_an_effect_on_vectors_have_none_here(
    encoders: Bases, tmp_path: Path, group: tuple[Setting, ...]
) -> None:
    folder, _ = with_settings(encoders, group, tmp_path / "model")
    wanted = reference_vectors(folder)
    np.testing.assert_allclose(wanted, unchanged(reference_vectors, encoders[group[0].base]), atol=TOLERANCE)
    np.testing.assert_allclose(our_vectors(folder), wanted, atol=TOLERANCE)


@pytest.mark.parametrize("group", together(CROSS_ENCODER), ids=lambda group: group[0].base)
def test_settings_without_an_effect_on_scores_have_none_here(
    cross_encoders: Bases, tmp_path: Path, group: tuple[Setting, ...]
) -> None:
    folder, _ = with_settings(cross_encoders, group, tmp_path / "model")
    wanted = reference_scores(folder)
    np.testing.assert_allclose(wanted, unchanged(reference_scores, cross_encoders[group[0].base]), atol=TOLERANCE)
    np.testing.assert_allclose(our_scores(folder), wanted, atol=TOLERANCE)


def parameters(function: Callable[..., Any], *without: str) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self", "args", "kwargs", *without}


def read_keys(pattern: str, *sources: Any) -> set[str]:
    """Keys that the source of these reads, by a pattern with one group."""
    return {key for source in sources for key in re.findall(pattern, inspect.getsource(source))}


def test_the_table_has_every_setting_that_the_installed_versions_read() -> None:
    known: dict[str, set[str]] = {}
    for own in (ENCODER, CROSS_ENCODER):
        for effect in ("none", "other", "refused"):
            for setting in settings(own, effect):  # type: ignore[arg-type]
                known.setdefault(setting.file, set()).add(setting.key)
    renamed = {"model_args", "tokenizer_args", "config_args", "cache_dir"}
    inside = {"model_kwargs", "processor_kwargs", "config_kwargs"}
    read = {
        WRAPPER: (parameters(Transformer.__init__, "model_name_or_path") | renamed | inside) - {"do_lower_case"},
        POOLING: parameters(SpladePooling.__init__) | set(SpladePooling.config_key_renames),
        ROUTER: parameters(Router.__init__, "sub_modules"),
        STATIC: parameters(SparseStaticEmbedding.__init__, "tokenizer", "weight") | {"path"},
        MODEL: read_keys(
            r'model_config\.get\(\s*"(\w+)"',
            BaseModel._load_config_modules,
            *(model._parse_model_config for model in (BaseModel, SparseEncoder, ReferenceCrossEncoder)),
        )
        | {"model_type", "activation_fn"},
        # Written by the library itself, or what its objects say of themselves.
        TOKENIZER: (
            read_keys(r'kwargs\.pop\("(\w+)"', PreTrainedTokenizerBase.__init__)
            | set(PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES)
        )
        - {"name_or_path", "verbose", "backend", "files_loaded", "additional_special_tokens", "max_len"},
        # A number that is the length of a tensor contradicts the weights when it changes.
        CONFIG: read_keys(r"\bconfig\.([a-z]\w+)", modeling_bert)
        - {"hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings", "type_vocab_size"},
    }
    # `add_cross_attention` makes another model of it, with weights that a file of this one lacks.
    read[CONFIG] -= {"add_cross_attention"}
    assert {file: keys - known[file] for file, keys in read.items() if keys - known[file]} == {}
    assert parameters(BertTokenizer.__init__) - known[TOKENIZER] <= {
        "vocab", "do_lower_case", "tokenize_chinese_chars", "strip_accents"
    }  # fmt: skip


@pytest.mark.parametrize("setting", ["do_lower_case", "strip_accents", "tokenize_chinese_chars"])
def test_a_tokenizer_that_builds_its_normaliser_is_read_with_its_own_settings(
    encoders: Bases, tmp_path: Path, setting: str
) -> None:
    values = {"tokenizer_class": "BertTokenizer", "do_lower_case": True} | {setting: False}
    changes = [Setting("plain", TOKENIZER, key, value) for key, value in values.items()]
    folder, _ = with_settings(encoders, changes, tmp_path / "model")
    wanted = reference_vectors(folder)
    assert not np.allclose(wanted, unchanged(reference_vectors, encoders["plain"]), atol=TOLERANCE)
    np.testing.assert_allclose(our_vectors(folder), wanted, atol=TOLERANCE)


def cased(folder: Path) -> None:
    """Have the tokenizer leave upper case as it is, and the module above it read texts in lower case."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["normalizer"]["lowercase"] = False
    path.write_text(json.dumps(tokenizer))


def test_do_lower_case_lower_cases_what_the_tokenizer_does_not(
    encoders: Bases, cross_encoders: Bases, tmp_path: Path
) -> None:
    lower = [Setting("saved", WRAPPER, "do_lower_case", True)]
    folder, _ = with_settings(encoders, lower, tmp_path / "encoder")
    cased(folder)
    wanted = reference_vectors(folder)
    np.testing.assert_allclose(our_vectors(folder), wanted, atol=TOLERANCE)
    folder, _ = with_settings(cross_encoders, lower, tmp_path / "cross_encoder")
    cased(folder)
    np.testing.assert_allclose(our_scores(folder), reference_scores(folder), atol=TOLERANCE)
    lower = [Setting("saved", WRAPPER, "do_lower_case", False)]
    without, _ = with_settings(encoders, lower, tmp_path / "without")
    cased(without)
    assert not np.allclose(reference_vectors(without), wanted, atol=TOLERANCE)


def test_a_cross_encoder_puts_its_default_prompt_before_queries(cross_encoders: Bases, tmp_path: Path) -> None:
    values = {"prompts": {"rerank": "bread flour "}, "default_prompt_name": "rerank"}
    changes = [Setting("saved", MODEL, key, value) for key, value in values.items()]
    folder, _ = with_settings(cross_encoders, changes, tmp_path / "model")
    wanted = reference_scores(folder)
    assert not np.allclose(wanted, unchanged(reference_scores, cross_encoders["saved"]), atol=TOLERANCE)
    np.testing.assert_allclose(our_scores(folder), wanted, atol=TOLERANCE)
    plain, saved = (resolve_cross_encoder(str(place)).model_id for place in (cross_encoders["saved"], folder))
    assert plain != saved


@pytest.mark.parametrize("file", [WRAPPER, MODEL])
def test_a_plain_model_has_no_settings_of_sentence_transformers(encoders: Bases, tmp_path: Path, file: str) -> None:
    values = {WRAPPER: {"max_seq_length": 9}, MODEL: {"prompts": {"query": "buyer "}, "max_active_dims": 3}}
    changes = [Setting("plain", file, key, value) for key, value in values[file].items()]
    folder, _ = with_settings(encoders, changes, tmp_path / "model")
    wanted = reference_vectors(folder)
    np.testing.assert_allclose(wanted, unchanged(reference_vectors, encoders["plain"]), atol=TOLERANCE)
    np.testing.assert_allclose(our_vectors(folder), wanted, atol=TOLERANCE)


@pytest.mark.parametrize("wrapper", ["_orig_mod.", "module.", "_orig_mod.module."])
def test_names_of_a_wrapper_before_those_of_tensors_are_refused_as_such(
    encoders: Bases, cross_encoders: Bases, tmp_path: Path, wrapper: str
) -> None:
    for bases, resolve in ((encoders, resolve_checkpoint), (cross_encoders, resolve_cross_encoder)):
        folder = Path(shutil.copytree(bases["plain"], tmp_path / resolve.__name__))
        path = folder / "model.safetensors"
        save_file({wrapper + name: tensor for name, tensor in load_file(path).items()}, path)
        with pytest.raises(UsageError, match=rf"has the part {wrapper.split('.')[0]}\b\S*, which .+ adds"):
            resolve(str(folder))


def test_a_router_goes_by_its_mappings_whatever_its_routes_are_called(encoders: Bases, tmp_path: Path) -> None:
    path = Path(shutil.copytree(encoders["router"], tmp_path / "model")) / ROUTER
    config = json.loads(path.read_text())
    config["structure"] = {f"{name}s": modules for name, modules in config["structure"].items()}
    config["parameters"] |= {
        "default_route": None,
        "route_mappings": {"('query', 'text')": "querys", "('document', None)": "documents"},
    }
    path.write_text(json.dumps(config))
    wanted = reference_vectors(path.parent)
    np.testing.assert_allclose(our_vectors(path.parent), wanted, atol=TOLERANCE)
    config["parameters"]["route_mappings"] = {}
    path.write_text(json.dumps(config))
    with pytest.raises(UsageError, match=r"no route for queries \(its routes: querys, documents\)"):
        resolve_checkpoint(str(path.parent))


def test_code_that_only_a_checkpoint_has_is_refused_by_the_name_of_its_setting(encoders: Bases, tmp_path: Path) -> None:
    foreign = {"auto_map": {"AutoConfig": "own.C", "AutoModelForMaskedLM": "own.M"}, "model_type": "unheard-of"}
    changes = [Setting("plain", CONFIG, key, value) for key, value in foreign.items()]
    folder, _ = with_settings(encoders, changes, tmp_path / "model")
    with pytest.raises(UsageError, match=r"auto_map\.AutoConfig is 'own\.C'"):
        resolve_checkpoint(str(folder))
    native = {"auto_map": {"AutoConfig": "own.C", "AutoModelForMaskedLM": "own.M"}}
    changes = [Setting("plain", CONFIG, key, value) for key, value in native.items()]
    folder, _ = with_settings(encoders, changes, tmp_path / "native")
    np.testing.assert_allclose(our_vectors(folder), reference_vectors(folder), atol=TOLERANCE)
