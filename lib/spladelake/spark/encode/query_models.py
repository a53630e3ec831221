"""The model that encodes the queries of some vectors, if it is not the model of the documents.

The properties of the vectors' tables name it, so that later queries need not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession

from spladelake.config.model_kinds import NEURAL, kind_of_vectors
from spladelake.errors import UsageError
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import Lake

# Imported inside the function: a search by BM25 does not need it.
if TYPE_CHECKING:
    from spladelake.encoder import Checkpoint

PROPERTY = "spladelake.query_model"


@dataclass(frozen=True)
class QueryModel:
    """A model that encodes queries. noted_by: the table of vectors that names it, None if the user did."""

    name: str
    noted_by: str | None = None


def query_model_of(given: str | None, properties: Mapping[str, str], *, place: str) -> QueryModel | None:
    """Return the model of queries: the one that the user gave, else the one that the vectors' table names, else None.

    - properties: of the table of vectors.
    - place: the table.
    """
    if given is not None:
        return QueryModel(given)
    noted = properties.get(PROPERTY) if kind_of_vectors(properties) is NEURAL else None
    return QueryModel(noted, place) if noted else None


def noted_query_model(session: SparkSession, lake: Lake, name: str, model: str) -> QueryModel | None:
    """Return the model of queries that either side's vectors name; None if there is none, or if `model` is another."""
    for side in ("documents", "queries"):
        table = lake.vectors(name, side)
        found = table_properties(session, table) if table.exists(session) else {}
        noted = query_model_of(None, found, place=str(table))
        if noted is not None and is_same_model(found.get("spladelake.model", ""), model):
            return noted
    return None


def is_same_model(name: str, other: str) -> bool:
    """Return whether two names mean the same model: an id at any revision, or a folder by any path."""
    places = [Path(of).expanduser() for of in (name, other)]
    if all(place.is_dir() for place in places):
        return places[0].resolve() == places[1].resolve()
    return name.split("@")[0] == other.split("@")[0]


def resolve_models(model: str, query_model: QueryModel | None, **options: Any) -> Checkpoint:
    """Return the checkpoint of a model, or of a pair, as `resolve_pair` does, which takes the options.

    If the query model of some vectors is no longer at its place, the error names the vectors and --query-model.
    """
    from spladelake.encoder import resolve_pair

    try:
        return resolve_pair(model, None if query_model is None else query_model.name, **options)
    except UsageError:
        # Only now: to resolve a model reads all its weights.
        if query_model is not None and query_model.noted_by is not None:
            _check_noted(query_model.name, query_model.noted_by)
        raise


def _check_noted(name: str, noted_by: str) -> None:
    """Raise UsageError if the query model that a table of vectors names cannot be used."""
    from spladelake.encoder import resolve_checkpoint

    try:
        resolve_checkpoint(name)
    except UsageError as error:
        raise UsageError(
            noted_by,
            f"this table names the query model {name}, which cannot be used: {error.found}",
            error.wanted,
            "Make the query model available under this name again, or set --query-model to its new place.",
        ) from error
