"""What is said of the kinds of models agrees with the options and with the tables."""

from __future__ import annotations

from itertools import combinations

import pytest

from spladelake.config import EncodeTexts, checked
from spladelake.config.model_kinds import BM25, IMPORTED, KINDS, NEURAL, ModelKind, kind_of_vectors, properties_of_rows
from spladelake.errors import UsageError


def test_options_of_a_kind_are_options_of_the_encode_job_and_no_other_kinds() -> None:
    assert all(set(kind.options) <= EncodeTexts.model_fields.keys() for kind in KINDS)
    assert not any(set(a.options) & set(b.options) for a, b in combinations(KINDS, 2))


@pytest.mark.parametrize(
    ("model", "model_id", "kind"),
    [
        ("splade-tiny", "ab12", NEURAL),
        ("rasyosef/splade-mini@main", "ab12", NEURAL),
        ("bm25", "ab12", BM25),
        ("imported from docs.jsonl", "imported-ab12", IMPORTED),
        ("bm25", "imported-ab12", IMPORTED),  # a file of that name
        (None, None, NEURAL),  # a table that a user wrote
    ],
)
def test_a_table_of_vectors_tells_its_kind(model: str | None, model_id: str | None, kind: ModelKind) -> None:
    said = {"spladelake.model": model, "spladelake.model_id": model_id}
    assert kind_of_vectors({key: value for key, value in said.items() if value is not None}) is kind


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "bm25", "query_model": "splade-tiny"}, "wanted --query-model only with a neural model"),
        ({"model": "splade-tiny", "query_model": "bm25"}, "--query-model is bm25; wanted a SPLADE model"),
    ],
)
def test_only_splade_models_are_a_pair(given: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        checked(EncodeTexts, {"lake": "l", **given}, place="encode_texts")


def test_compacted_rows_take_over_what_is_said_of_rows_and_nothing_of_files() -> None:
    said = {"model": "bm25", "model_id": "x", "bm25": "f", "average_length": "2.5", "source_version": "3"}
    found = {f"spladelake.{key}": value for key, value in said.items()} | {"spladelake.files": "split", "delta.x": "1"}
    assert properties_of_rows(found) == said
    pair = {"model": "m", "model_id": "x", "query_model": "q", "max_length": "9"}
    assert properties_of_rows({f"spladelake.{key}": value for key, value in pair.items()}) == pair
