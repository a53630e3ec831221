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
from spladelake.names import short_name
from spladelake.passages import ID_SUFFIX
from spladelake.passages.aggregate import Aggregate
from spladelake.spark.encode.text_tables import TextTable, texts_of_vectors
from spladelake.spark.encode.texts import SideName
from spladelake.spark.retrieve.join import top_k_statement
from spladelake.spark.retrieve.vector_checks import checked_indices, vocabulary_size
from spladelake.spark.sql.indexed import SEARCH, SIMILAR, Indexed
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.sql_text import quoted, sql_string
from spladelake.spark.tables.suggestions import encoded_by, made_by

_KIND = re.compile(r"^CREATE OR REPLACE TEMPORARY (VIEW|FUNCTION) (\w+)", re.MULTILINE)
_BEST_PASSAGE = "substring(documents.text, passage_start + 1, passage_end - passage_start)"
# Parts of the definitions that differ between vectors of whole texts and of passages.
_OF_DOCUMENTS = {
    "document": "Document",
    "own_texts": "SELECT doc_id, concat_ws(' ', title, text) AS own_text FROM documents",
    "passage_column": "",
    "passage_value": "",
}
_OF_PASSAGES = {
    "document": "Passage",
    # The title counts as the text of every passage.
    "own_texts": "SELECT id AS doc_id, concat_ws(' ', title, substring(text, start + 1, end - start)) AS own_text "
    "FROM document_vectors JOIN documents USING (doc_id)",
    "passage_column": ",\n    passage_id STRING COMMENT 'Id of the passage that matched best.'",
    "passage_value": ", id AS passage_id",
}
# The vectors whose {column} has the id that is given to passage_vectors; null if there are none.
_VECTORS_OF = """(
    SELECT CASE WHEN count(*) > 0 THEN array_sort(
        array_agg(struct(id, {indices} AS indices, `values`, model_id)),
        (a, b) -> CASE WHEN a.id < b.id THEN -1 WHEN a.id > b.id THEN 1 ELSE 0 END) END
    FROM document_vectors WHERE document_vectors.{column} = passage_vectors.doc_id
)"""
# The documents found for the passages of a document, each with its highest score, without the document itself.
_BEST_OF_ALL = """
SELECT * FROM (
    SELECT CAST(ROW_NUMBER() OVER (ORDER BY score DESC, doc_id) AS INT) AS rank, doc_id, score
    FROM (
        SELECT doc_id, MAX(score) AS score FROM ({each})
        WHERE doc_id <> left(query_id, char_length(query_id) - {suffix}) GROUP BY doc_id
    )
) WHERE rank <= similar.k
"""
_TEXTS_OF_FOUND = "LEFT JOIN documents ON documents.doc_id = found.doc_id"
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
        """Return the command that makes a table. model: as the user gave it."""
        vectors = None if short_name(model) == self.vectors else self.vectors
        if table in ("document_vectors", "query_vectors", "vocabulary"):
            return encoded_by(self.lake, model=model, vectors=vectors).command
        if table in ("runs", "measures"):
            job = "retrieve_run" if table == "runs" else "evaluate_run"
            return made_by(job, self.lake, model=model, vectors=vectors).command
        return made_by("ingest_texts", self.lake, **{table: "FILE"}).command


@dataclass(frozen=True)
class Definition:
    """One statement of explore.sql: its name and kind, and the tables and earlier definitions that it needs."""

    name: str
    kind: str
    needs: tuple[str, ...]
    statement: str


def definitions(
    session: SparkSession,
    collection: LakeTables,
    present: Mapping[str, TableRef],
    *,
    model_id: str,
    indexed: Indexed | None,
) -> list[Definition]:
    """Return the statements in order.

    - present: the tables of the collection that exist.
    - model_id: of the model that encodes questions.
    - indexed: the functions that rank through the index, if they are defined.
    """
    measures = measures_of(session, present["measures"]) if "measures" in present else []
    of_passages = "passage" in _columns(session, present, "document_vectors")
    indices = _checked(session, collection.tables["document_vectors"], present)
    values = {
        **{name: ref.identifier for name, ref in collection.tables.items()},
        **_read_in_place(session, collection, present),
        "measure_names": ", ".join(f"{quoted(name)} COMMENT {sql_string(f'Mean of {name}.')}" for name in measures),
        "measure_columns": ", ".join(f"max(value) FILTER (WHERE measure = {sql_string(name)})" for name in measures),
        "model_id": sql_string(model_id),
        "best_passage": _BEST_PASSAGE if "passage" in _columns(session, present, "runs") else "CAST(NULL AS STRING)",
        **(_joined(of_passages=of_passages) if indexed is None else _INDEXED),
        # The worker that ranks through the index can have read the texts too.
        "texts_of_found": "" if indexed is not None and indexed.has_texts else _TEXTS_OF_FOUND,
        **(_OF_PASSAGES if of_passages else _OF_DOCUMENTS),
        "vectors_of_document": _vectors_of_document(indices, of_passages=of_passages),
        "document_indices": indices,
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
        found[name] = f"({table.query(table.ref.scan(session))})"
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
    return present[name].scan(session).columns if name in present else []


def _vectors_of_document(indices: str, *, of_passages: bool) -> str:
    """Return SQL for the vectors of the document that is given to passage_vectors.

    A document comes before a passage, if another document has a passage with this id.
    """
    columns = ("doc_id", "id") if of_passages else ("id",)
    return ", ".join(_VECTORS_OF.replace("{indices}", indices).replace("{column}", column) for column in columns)


def _others(*, of_passages: bool) -> str:
    """Return SQL that ranks the documents in `stored` for those in `asked`, which may be passages of one document."""
    if not of_passages:
        return _top_k("similar", documents="stored", exclude_self=True)
    each = _top_k("similar", documents="stored", exclude_self=False, of_passages=True, more=1)
    return _BEST_OF_ALL.replace("{each}", each).replace("{suffix}", str(ID_SUFFIX))


def _joined(*, of_passages: bool) -> dict[str, str]:
    """Return the parts of the definitions that rank by a join."""
    return {
        "top_k_search": _top_k("search", documents="encoded_alike", exclude_self=False, of_passages=of_passages),
        "top_k_others": _others(of_passages=of_passages),
    }


def _checked_k(function: str) -> str:
    """Return SQL for the parameter k of a function. It raises an error if k is out of range."""
    given = f"{function}.k"
    return (
        f"(CASE WHEN {given} BETWEEN 1 AND {MOST_K} THEN {given} ELSE raise_error(concat('{function}: k is ', "
        f"coalesce(CAST({given} AS STRING), 'null'), '; wanted 1 to {MOST_K}. Give the number of documents.')) END)"
    )


# The same parts, if the index ranks.
_INDEXED = {
    "top_k_search": "SELECT inline({best}(indices, `values`, {k})) FROM asked".replace("{best}", SEARCH).replace(
        "{k}", _checked_k("search")
    ),
    "top_k_others": f"SELECT inline({SIMILAR}(similar.doc_id, {_checked_k('similar')}))",
}


def _top_k(function: str, *, documents: str, exclude_self: bool, of_passages: bool = False, more: int = 0) -> str:
    """Return SQL that ranks documents for `asked` by the definition of a run, and checks the function's k.

    - of_passages: whether documents are ranked by their best passages.
    - more: further documents beyond k.
    """
    k = _checked_k(function)
    best_passage = Aggregate()
    return top_k_statement(best_passage if of_passages else None).format(
        best=best_passage.best,
        mean="false",
        queries="asked",
        documents=documents,
        minimum_score="0",
        exclude_self=str(exclude_self).lower(),
        k=f"{k} + {more}" if more else k,
    )
