"""The plan of an export of vectors: its rows, the names of the terms, and the manifest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from spladelake import __version__
from spladelake.config.exchange import ExportVectors
from spladelake.errors import DataError
from spladelake.exchange import LINE_FORMATS, Quantiser
from spladelake.names import amount, short_name
from spladelake.passages.settings import PassageSettings
from spladelake.spark.retrieve.vector_checks import largest_weight, vocabulary_size
from spladelake.spark.tables import storage
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import VECTORS, VOCABULARY
from spladelake.spark.tables.skeleton import Needed, newest_inputs
from spladelake.spark.tables.suggestions import encoded_by

# File beside the exported files that says how they were made.
MANIFEST = "export.json"
# Characters of a too long id that a message shows.
SHOWN = 40
# Prefix of the folders with the finished parts of an export.
PARTS = ".parts-"


@dataclass(frozen=True)
class Export:
    """One export: the vectors, the output folder and the format."""

    session: SparkSession
    options: ExportVectors
    source: TableRef
    rows: DataFrame
    tokens: list[str]
    output: str
    manifest: dict[str, Any]
    quantiser: Quantiser | None

    @property
    def parts(self) -> str:
        """The folder of the finished parts."""
        return f"{self.output}/{PARTS}{self.manifest['fingerprint'][:12]}"


def planned(session: SparkSession, options: ExportVectors) -> Export:
    """Return the plan of the export. Raises DataError if the lake has no such vectors."""
    lake, name = Lake(options.lake), short_name(options.vectors or options.model)
    source, vocabulary = lake.vectors(name, options.side), lake.vectors(name, "vocabulary")
    made_by = encoded_by(lake, model=options.model, vectors=options.vectors)
    inputs = newest_inputs(
        session,
        {
            options.side: Needed(source, VECTORS, made_by),
            "vocabulary": Needed(vocabulary, VOCABULARY, made_by),
        },
    )
    version = inputs.versions[options.side]
    rows = source.scan(session, version=version)  # one data file after the other is exported
    tokens = tokens_of(inputs.rows["vocabulary"], vocabulary_size(session, source, source))
    form, is_ciff = LINE_FORMATS.get(options.output_format), options.output_format == "ciff"
    quantiser = (
        Quantiser.of(largest_weight(rows), levels=options.levels)
        if is_ciff or (form is not None and form.whole)
        else None
    )
    first = rows.select("model_id").first()
    settings = {"format": options.output_format, "levels": options.levels, "gzip": options.gzip}
    lineage = Lineage("export_vectors", inputs.lineage((options.side,)), settings)
    manifest = {
        "format": options.output_format,
        "written_by": f"spladelake {__version__}",
        "vectors": str(source),
        "version": version,
        "model_id": None if first is None else first["model_id"],
        "dimensions": len(tokens),
        "terms": "tokens" if is_ciff or (form is not None and not form.ids) else "numbers",
        "quantisation": None if quantiser is None else quantiser.as_dict(),
        "fingerprint": lineage.fingerprint,
    }
    if (passages := PassageSettings.of_properties(table_properties(session, source))) is not None:
        manifest["passages"] = asdict(passages)
    return Export(session, options, source, rows, tokens, storage.absolute(options.output), manifest, quantiser)


def check_ids(export: Export) -> None:
    """Raise DataError if a row's id is longer than the engine of the format accepts."""
    form = LINE_FORMATS.get(export.options.output_format)
    if form is None or form.longest_id is None:
        return
    long = export.rows.where(F.octet_length("id") > form.longest_id)
    found = long.agg(F.count("*").alias("ids"), F.min("id").alias("first")).first()
    assert found is not None
    if found["ids"]:
        raise DataError(
            str(export.source),
            f"the vectors have {amount(found['ids'], 'id')} of more than {form.longest_id:,} bytes, such as the id of "
            f"{len(found['first'].encode()):,} bytes that begins with {found['first'][:SHOWN]!r}",
            f"wanted shorter ids, because {export.options.output_format} would skip documents with longer ids",
            "Shorten the ids, then ingest and encode the documents again, or choose another --output-format.",
        )


def tokens_of(vocabulary: DataFrame, size: int) -> list[str]:
    """Return the token of every dimension, in order; a dimension without a token is its number in brackets."""
    tokens = [f"[{term}]" for term in range(size)]
    for row in vocabulary.collect():
        tokens[row["term_id"]] = row["token"]
    return tokens


def numbered(rows: DataFrame) -> DataFrame:
    """Return the rows with a column `place`: their position from 0 in the order of their ids."""
    places = rows.select("id", (F.row_number().over(Window.orderBy("id")) - 1).cast("long").alias("place"))
    return rows.join(places, "id")
