"""The statements of explore.sql for one collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import cast

from pyspark.sql import SparkSession

from spladelake.config.runs import MOST_K
from spladelake.passages.aggregate import Aggregate
from spladelake.spark.encode.text_tables import TextTable, texts_of_vectors
from spladelake.spark.encode.texts import SideName
from spladelake.spark.retrieve.join import top_k_statement
from spladelake.spark.retrieve.vector_checks import checked_indices, vocabulary_size
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.sql_text import quoted, sql_string

_KIND = re.compile(r"^CREATE OR REPLACE TEMPORARY (VIEW|FUNCTION) (\w+)", re.MULTILINE)
_BEST_PASSAGE = "substring(documents.text, passage_start + 1, passage_end - passage_start)"
_NEEDS = re.compile(r"^-- needs:(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class LakeTables:
    """The tables of a lake that SQL reads.

    - vectors: name of the vectors' folder.
    """

    lake: Lake
    vectors: str

    @property
    def tables(self) -> dict[str, TableRef]:
        """Every table by its name in explore.sql."""
        own = {name: self.lake.table(name) for name in ("documents", "queries", "judgements", "runs", "measures")}
        return {
            **own,
            "document_vectors": self.lake.vectors(self.vectors, "documents"),
            "query_vectors": self.lake.vectors(self.vectors, "queries"),
            "vocabulary": self.lake.vectors(self.vectors, "vocabulary"),
        }

    def texts(self, session: SparkSession, name: SideName) -> TextTable:
        """Return the table of the texts of one side, which may be one that encode_texts read in place."""
        side = "document_vectors" if name == "documents" else "query_vectors"
        return texts_of_vectors(session, self.lake, self.tables[side], name)

    def made_by(self, table: str, model: str) -> str:
        """Return the command that makes a table."""
        lake = self.lake.root
        if table in ("document_vectors", "query_vectors", "vocabulary"):
            return f"spladelake encode_texts --lake {lake} --model {model}"
        if table in ("runs", "measures"):
            return f"spladelake {'retrieve' if table == 'runs' else 'evaluate'}_run --lake {lake} --model {model}"
        return f"spladelake ingest_texts --lake {lake} …"


@dataclass(frozen=True)
class Definition:
    """One statement of explore.sql: its name and kind, and the tables and earlier definitions that it needs."""

    name: str
    kind: str
    needs: tuple[str, ...]
    statement: str


def definitions(
    session: SparkSession, collection: LakeTables, present: Mapping[str, TableRef], *, model_id: str
) -> list[Definition]:
    """Return the statements in order.

    - present: the tables of the collection that exist.
    - model_id: of the model that encodes questions.
    """
    measures = measures_of(session, present["measures"]) if "measures" in present else []
    of_passages = "passage" in _columns(session, present, "document_vectors")
    values = {
        **{name: ref.identifier for name, ref in collection.tables.items()},
        **_read_in_place(session, collection, present),
        "measure_names": ", ".join(f"{quoted(name)} COMMENT {sql_string(f'Mean of {name}.')}" for name in measures),
        "measure_columns": ", ".join(f"max(value) FILTER (WHERE measure = {sql_string(name)})" for name in measures),
        "model_id": sql_string(model_id),
        "best_passage": _BEST_PASSAGE if "passage" in _columns(session, present, "runs") else "CAST(NULL AS STRING)",
        "top_k_search": _top_k("search", documents="encoded_alike", exclude_self=False, of_passages=of_passages),
        "top_k_others": _top_k("similar", documents="stored", exclude_self=True),
        "document_indices": _checked(session, collection.tables["document_vectors"], present),
        "query_indices": _checked(session, collection.tables["query_vectors"], present),
    }
    source = files("spladelake.spark.sql").joinpath("explore.sql").read_text(encoding="utf-8")
    found = []
    for part in source.split(";\n"):
        kind, needs = _KIND.search(part), _NEEDS.search(part)
        if kind is None or needs is None:
            continue
        statement = Template(part[kind.start() :]).substitute(values)
        wanted = tuple(filter(None, (name.strip() for name in needs[1].split(","))))
        found.append(Definition(kind[2], kind[1].lower(), wanted, statement))
    return found


def _read_in_place(session: SparkSession, collection: LakeTables, present: Mapping[str, TableRef]) -> dict[str, str]:
    """Return the query for each table of texts that is not the lake's own."""
    found = {}
    for name in (name for name, ref in present.items() if ref != collection.tables[name]):
        table = collection.texts(session, cast("SideName", name))
        found[name] = f"({table.query(table.ref.read(session))})"
    return found


def function_statement(function: str, name: str) -> str:
    """Return the statement that writes a function of explore.sql, which needs no table, to the current schema.

    - name: its name there.
    """
    source = files("spladelake.spark.sql").joinpath("explore.sql").read_text(encoding="utf-8")
    for part in source.split(";\n"):
        kind = _KIND.search(part)
        if kind is not None and kind[2] == function:
            statement = part[kind.start() :].replace("REPLACE TEMPORARY FUNCTION", "REPLACE FUNCTION", 1)
            return statement.replace(function, name)
    raise KeyError(function)


def measures_of(session: SparkSession, measures: TableRef) -> list[str]:
    """Return the sorted names of the measures that have a mean."""
    rows = measures.read(session).where("query_id IS NULL").select("measure").distinct().collect()
    return sorted(row["measure"] for row in rows)


def _checked(session: SparkSession, ref: TableRef, present: Mapping[str, TableRef]) -> str:
    """Return SQL for the term ids of a vector. It raises an error if the vector breaks an invariant."""
    if ref not in present.values():
        return "indices"
    return checked_indices(ref, size=vocabulary_size(session, ref, ref))


def _columns(session: SparkSession, present: Mapping[str, TableRef], name: str) -> list[str]:
    """Return the columns of a table; none if it does not exist."""
    return present[name].read(session).columns if name in present else []


def _top_k(function: str, *, documents: str, exclude_self: bool, of_passages: bool = False) -> str:
    """Return SQL that ranks documents for `asked` by the definition of a run, and checks the function's k.

    - of_passages: whether documents are ranked by their best passages.
    """
    given = f"{function}.k"
    k = (
        f"(CASE WHEN {given} BETWEEN 1 AND {MOST_K} THEN {given} ELSE raise_error(concat('{function}: k is ', "
        f"coalesce(CAST({given} AS STRING), 'null'), '; wanted 1 to {MOST_K}. Give the number of documents.')) END)"
    )
    best_passage = Aggregate()
    return top_k_statement(best_passage if of_passages else None).format(
        best=best_passage.best,
        mean="false",
        queries="asked",
        documents=documents,
        minimum_score="0",
        exclude_self=str(exclude_self).lower(),
        k=k,
    )
