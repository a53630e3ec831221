"""The tables of a collection in a local folder, opened without Spark."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from spladelake.files.delta_folder import FolderTable, folder_table
from spladelake.passages import PassageSettings

_VOCABULARY = pa.schema([("term_id", pa.int32()), ("token", pa.string())])
# Errors of a table that is unusual. Spark then reads the table, or reports its fault.
UNREADABLE = (OSError, ValueError, TypeError, pa.ArrowException)


@dataclass(frozen=True)
class LocalTables:
    """The tables of a collection in a local folder that a search reads without Spark.

    - place: the table of the vectors, for errors.
    - vocabulary: the table of the tokens; None if there is none, or only Spark can read it.
    - texts: the table of the documents; None if the lake has no own one.
    - titles_elsewhere: whether only Spark can read the titles of the documents.
    """

    place: str
    vectors: FolderTable
    vocabulary: FolderTable | None
    texts: FolderTable | None
    titles_elsewhere: bool

    @property
    def of_passages(self) -> bool:
        """Whether the vectors are of passages."""
        return PassageSettings.of_properties(self.vectors.properties) is not None

    @property
    def vocabulary_model_id(self) -> str | None:
        """The model_id in the properties of the vocabulary's table."""
        return None if self.vocabulary is None else self.vocabulary.properties.get("spladelake.model_id")

    def tokens(self) -> pa.Table | None:
        """Return (term_id, token) of the vocabulary; None if only Spark can read it."""
        try:
            return None if self.vocabulary is None else self.vocabulary.read(_VOCABULARY)
        except UNREADABLE:
            return None


def local_tables(lake: str, name: str) -> LocalTables | None:
    """Open the tables of a local folder without Spark. Returns None if one is missing or unusual."""
    root = _local_folder(lake)
    if root is None:
        return None
    vectors, vocabulary = (folder_table(root / "vectors" / name / part) for part in ("documents", "vocabulary"))
    if vectors is None:
        return None
    how = json.loads(vectors.properties.get("spladelake.texts") or "{}")
    is_own = how.get("id") is None
    texts = folder_table(root / "documents") if is_own else None
    # Spark reads the titles of a table outside the lake.
    titled = is_own or dict(how["columns"]).get("title") is not None
    if not vectors.properties.get("spladelake.vocabulary_size", "").isdigit():
        return None
    place = str(root / "vectors" / name / "documents")
    return LocalTables(place, vectors, vocabulary, texts, titled and texts is None)


def folder_properties(lake: str, name: str) -> tuple[str, Mapping[str, str]]:
    """Return the table of document vectors of a local lake, for messages, and its properties, read without Spark.

    There are no properties if there is no such table, or if only Spark can read it.
    """
    root = _local_folder(lake)
    place = None if root is None else root / "vectors" / name / "documents"
    found = None if place is None else folder_table(place)
    return str(place), {} if found is None else found.properties


def _local_folder(lake: str) -> Path | None:
    """Return the folder of a lake, None if it is in a catalog or on remote storage."""
    return None if ":" in lake.partition("/")[0] else Path(lake).expanduser().absolute()
