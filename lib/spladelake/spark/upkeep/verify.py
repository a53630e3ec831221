"""The verification job: it checks each table of a lake, and the tables against each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config.upkeep import VerifyTables
from spladelake.errors import DataError
from spladelake.names import amount, listed
from spladelake.results import VerifyResult
from spladelake.spark.encode.passages.documents import documents_in, documents_of
from spladelake.spark.encode.passages.ids import document_in, ending
from spladelake.spark.encode.text_tables import TextTable, noted_text_table
from spladelake.spark.encode.texts import SIDES, Side, SideName
from spladelake.spark.tables.every_schema import SCHEMAS
from spladelake.spark.tables.quarantine import quarantined_ids
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import PASSAGE_COLUMNS
from spladelake.spark.tables.split_files import COMPACTED_FROM
from spladelake.spark.tables.sql_text import sql_string
from spladelake.spark.upkeep.counts import REPEATED, ROWS, Found, constraint_sentences, counts_of, table_counts
from spladelake.spark.upkeep.maintain import LakeTable, tables_of

# Most findings that the error's message shows. Its `findings` holds all of them.
SHOWN = 10


class FindingsError(DataError):
    """Tables that do not agree.

    - findings: all findings, one sentence each.
    """

    def __init__(self, lake: str, findings: list[str]) -> None:
        shown = " | ".join(findings[:SHOWN])
        more = f" | and {len(findings) - SHOWN} more" if len(findings) > SHOWN else ""
        super().__init__(
            lake,
            f"{amount(len(findings), 'finding')}: {shown}{more}",
            "wanted tables that agree with one another",
            "Run the jobs that made these tables again. If a job skips its table as up to date, add --force.",
        )
        self.findings = findings


@dataclass(frozen=True)
class Tables:
    """The existing tables of a lake."""

    session: SparkSession
    lake: Lake
    found: list[LakeTable]

    def rows(self, ref: TableRef) -> DataFrame | None:
        """Return the rows of a table; None if the table does not exist."""
        return ref.read(self.session) if any(ref == table.ref for table in self.found) else None

    def of(self, schema: str) -> Iterator[LakeTable]:
        """Return every table that has a schema of this name."""
        return (table for table in self.found if table.schema_name == schema)


# A frame of one row, and a function that turns its values into findings.
Check = tuple[DataFrame, Callable[[Found], Iterable[str]]]


def verify_tables(session: SparkSession, options: VerifyTables) -> VerifyResult:
    """Check every table of the lake. Raises FindingsError if a check fails."""
    lake, started = Lake(options.lake), time.monotonic()
    tables = Tables(session, lake, tables_of(session, lake))
    if not tables.found:
        raise DataError(options.lake, "the lake holds no table", "wanted a lake with tables", "Correct --lake.")
    between = [*_texts(tables), *_runs(tables), *_measures(tables)]
    found = counts_of(session, [*(_counts(session, table) for table in tables.found), *(frame for frame, _ in between)])
    counts = dict(zip(tables.found, found, strict=False))
    findings = [
        said for check in (_constraints, _keys, _vectors) for t, f in counts.items() for said in check(tables, t, f)
    ]
    findings += [said for (_, say), f in zip(between, found[len(counts) :], strict=True) for said in say(f)]
    findings += [said for table, f in counts.items() for said in _leftovers(table, f)]
    if findings:
        raise FindingsError(options.lake, findings)
    rows = {str(table.ref): int(found[ROWS]) for table, found in counts.items()}
    return {"status": "done", "findings": [], "tables": rows, "seconds": round(time.monotonic() - started, 2)}


_KEYS = {
    "documents": ("doc_id",),
    "queries": ("query_id",),
    "judgements": ("query_id", "doc_id"),
    "vectors": ("id",),
    "vocabulary": ("term_id",),
    "runs": ("run_id", "query_id", "doc_id"),
    "measures": ("run_id", "measure", "query_id"),
}
_FOREIGN, _BEYOND, _WITH_TEXT = "rows of another model", "terms beyond the vocabulary", "rows with a text"


def _counts(session: SparkSession, table: LakeTable) -> DataFrame:
    """Return the counts that one pass over a table makes."""
    more = {}
    if table.schema_name == "vectors":
        model_id = table.properties.get("spladelake.model_id")
        more[_FOREIGN] = f"NOT model_id <=> {'NULL' if model_id is None else sql_string(model_id)}"
        more[_BEYOND] = f"size(indices) > 0 AND array_max(indices) >= {_vocabulary_size(table)}"
        more[_WITH_TEXT] = "text_sha256 IS NOT NULL"
    keys = _KEYS.get(table.schema_name, ())
    return table_counts(table.ref.read(session), SCHEMAS.get(table.schema_name), keys=keys, more=more)


def _vocabulary_size(table: LakeTable) -> int:
    return int(table.properties.get("spladelake.vocabulary_size", 0))


def _constraints(tables: Tables, table: LakeTable, found: Found) -> list[str]:
    return constraint_sentences(table.ref, SCHEMAS.get(table.schema_name), found, table.properties)


def _keys(tables: Tables, table: LakeTable, found: Found) -> Iterator[str]:
    """Find keys that occur more than once."""
    if found.get(REPEATED):
        keys = " and ".join(_KEYS[table.schema_name])
        yield f"{table.ref}: {amount(found[REPEATED], 'value')} of {keys} in more than one row"


def _vectors(tables: Tables, table: LakeTable, found: Found) -> Iterator[str]:
    """Find vectors of another model, vectors beyond the vocabulary, and vectors whose table of texts is missing."""
    if table.schema_name != "vectors":
        return
    if found[_FOREIGN]:
        rows = table.ref.read(tables.session).select("model_id").distinct().collect()
        models = sorted(str(row["model_id"]) for row in rows)
        named = listed((model[:12] for model in models), "and")
        noted = str(table.properties.get("spladelake.model_id"))[:12]
        yield f"{table.ref}: the rows have the model_id {named}, but the table properties have {noted}"
    if found[_BEYOND]:
        size = _vocabulary_size(table)
        yield f"{table.ref}: {amount(found[_BEYOND], 'vector')} with terms beyond the vocabulary of {size:,} terms"
    if found[_WITH_TEXT] and _text_rows(tables, table) is None:
        texts = _text_table(tables, table)
        said = f"the lake has no {texts.side.name} table" if texts.is_own else f"there is no table {texts.ref}"
        yield f"{table.ref}: {said} for these vectors"


def _text_table(tables: Tables, table: LakeTable) -> TextTable:
    name: SideName = "documents" if str(table.ref).endswith("documents") else "queries"
    return noted_text_table(tables.lake, table.properties, name)


def _text_rows(tables: Tables, table: LakeTable) -> DataFrame | None:
    """Return the rows of the table of texts of some vectors; None if it is missing."""
    texts = _text_table(tables, table)
    if texts.is_own:
        return tables.rows(texts.ref)
    return texts.ref.read(tables.session) if texts.ref.exists(tables.session) else None


def _texts(tables: Tables) -> Iterator[Check]:
    """Compare vectors with their texts."""
    for table in tables.of("vectors"):
        rows, texts = _text_rows(tables, table), _text_table(tables, table)
        side = texts.side
        if rows is not None:
            encoded = table.properties.get(f"spladelake.{COMPACTED_FROM}", str(table.ref))
            vectors, label = table.ref.read(tables.session), f"encode_texts {side.name}: {encoded}"
            rows = texts.encoded(rows)
            if PASSAGE_COLUMNS[0] not in vectors.columns:
                counts = _against_texts(tables, texts.texts(rows), vectors, label)
            else:
                counts = _against_texts(tables, documents_of(texts.parts(rows)), documents_in(vectors), label)
            yield counts, partial(_unlike_texts, table.ref, side)


def _unlike_texts(ref: TableRef, side: Side, found: Found) -> list[str]:
    return [
        f"{ref}: {amount(count, side.kind, side.name)} {'is' if count == 1 else 'are'} {what}"
        for what, count in found.items()
        if count
    ]


def _against_texts(tables: Tables, texts: DataFrame, vectors: DataFrame, label: str) -> DataFrame:
    """Count texts without vectors, vectors without texts, and texts that changed after they were encoded.

    - label: input in quarantine. Its texts need no vectors. For compacted vectors it is the input of the original ones.
    """
    # The encoder leaves out the hash of null texts only. Other vectors without a hash were imported without texts.
    known = F.col("text_sha256").isNotNull() | (F.col("status") == "null")
    have = vectors.select(
        F.col("id").alias("have_id"), F.col("text_sha256").alias("have_sha256"), known.alias("known"), "model_id"
    )
    apart = quarantined_ids(tables.session, tables.lake, label).select(F.col("id").alias("q"))
    joined = texts.select("id", "text_sha256").join(have, F.col("id") == F.col("have_id"), "full_outer")
    joined = joined.join(F.broadcast(apart), F.col("id") == F.col("q"), "left")
    return joined.agg(
        F.count_if(F.col("have_id").isNull() & F.col("q").isNull()).alias("without a vector"),
        F.count_if(F.col("id").isNull()).alias("gone, but vectors remain"),
        F.count_if(
            F.col("id").isNotNull() & F.col("known") & ~F.col("text_sha256").eqNullSafe(F.col("have_sha256"))
        ).alias("different from the encoded text"),
        # Rows of vectors always have a model; `documents_in` leaves it out.
        F.count_if(F.col("have_id").isNotNull() & F.col("model_id").isNull()).alias("without some passages"),
    )


def _runs(tables: Tables) -> Iterator[Check]:
    """Find documents and queries of runs that the lake lacks, and rankings with gaps or ascending scores."""
    ref = tables.lake.table("runs")
    runs = tables.rows(ref)
    if runs is None:
        return
    for kind, column in (("documents", "doc_id"), ("queries", "query_id")):
        known = tables.rows(tables.lake.table(kind))
        if known is not None:
            orphans = _named(runs, column).join(known.select(column), column, "left_anti")
            yield (
                orphans.agg(F.count("*").alias("n")),
                partial(_said, f"{ref}: the table {kind!r} lacks {{n}} of the runs", SIDES[kind].kind, kind),
            )
    grouped = runs.groupBy("run_id", "query_id").agg(
        F.count("*").alias("rows"),
        F.max("rank").alias("last"),
        F.transform(F.sort_array(F.collect_list(F.struct("rank", "score"))), lambda hit: hit["score"]).alias("scores"),
    )
    ordered = F.col("scores") == F.sort_array("scores", asc=False)
    bad = grouped.agg(F.count_if((F.col("rows") != F.col("last")) | ~ordered).alias("n"))
    yield bad, partial(_said, f"{ref}: {{n}} with missing ranks or ascending scores", "ranking", "rankings")


def _named(runs: DataFrame, column: str) -> DataFrame:
    """Return the ids of a column of runs, each once. A run that ranks passages names their documents."""
    if column != "doc_id" or "passage" not in runs.columns:
        return runs.select(column).distinct()
    by_passage = F.coalesce(F.col("doc_id").endswith(ending()), F.lit(False))
    return runs.select(F.when(by_passage, document_in("doc_id")).otherwise(F.col("doc_id")).alias("doc_id")).distinct()


def _said(sentence: str, one: str, many: str, found: Found) -> list[str]:
    return [sentence.format(n=amount(found["n"], one, many))] if found["n"] else []


def _measures(tables: Tables) -> Iterator[Check]:
    """Find measures whose run is missing."""
    ref = tables.lake.table("measures")
    measures, runs = tables.rows(ref), tables.rows(tables.lake.table("runs"))
    if measures is not None and runs is not None:
        orphans = measures.select("run_id").distinct().join(runs.select("run_id"), "run_id", "left_anti")
        counts = orphans.agg(F.sort_array(F.collect_list("run_id")).alias("runs"))
        yield counts, lambda found: [f"{ref}: the run {run!r} is not in the table runs" for run in found["runs"]]


def _leftovers(table: LakeTable, found: Found) -> Iterator[str]:
    """Find an encode that stopped halfway."""
    if table.schema_name == "staged":
        done = amount(found[ROWS], "text")
        yield f"{table.ref}: encode_texts stopped after {done}; run encode_texts again for the rest"
