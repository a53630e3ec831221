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
    settings,
)

Bases = dict[str, Path]
Scores = Callable[[Path], NDArray[np.float32]]
ALL_TEXTS = [*TEXTS, "Ünï [SEP] CÔDE [MASK] x"]
ALL_PAIRS = [*PAIRS[:10], ("WHAT [SEP] Ünï", "FLOUR and [MASK] Cities")]
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
    return [pytest.param(setting, id=setting.name) for setting in settings(own, effect)]


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
