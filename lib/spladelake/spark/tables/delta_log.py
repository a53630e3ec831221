"""Facts from a table's log: version, properties, sizes and last commits.

A job asks for them some dozens of times. The classes of Delta's log answer from memory, but they are no public
interface, and a platform's own Delta may lack them. Public interfaces answer then, on Spark Connect, or if
SPLADELAKE_DELTA says so.
"""

from __future__ import annotations

import logging
import os
from types import ModuleType

from pyspark.sql import SparkSession

from spladelake.errors import UsageError
from spladelake.spark.session.connect import is_connect
from spladelake.spark.tables.delta import classes, public
from spladelake.spark.tables.delta.asked import Commit, Located

__all__ = ["Commit", "Located"]

log = logging.getLogger(__name__)

VARIABLE = "SPLADELAKE_DELTA"
CLASSES, PUBLIC = "classes", "public"
# Whether the classes answer, by application of Spark. It is tried once, on the first table.
_usable: dict[str, bool] = {}


def property_in_memory(session: SparkSession, ref: Located, key: str) -> str | None:
    """Return a property of a table as this session last saw it; None if the table lacks it.

    A commit of another process may be missing until this session reads the table again.
    """
    if _way(session, ref) is public:
        return public.properties(session, ref).get(key)
    return classes.property_in_memory(session, ref, key)


def newest_version(session: SparkSession, ref: Located) -> int:
    """Return the number of the table's newest commit by any writer. The table must exist."""
    found: int = _way(session, ref).newest_version(session, ref)
    return found


def all_properties(session: SparkSession, ref: Located) -> dict[str, str]:
    """Return the table's properties at its newest commit."""
    found: dict[str, str] = _way(session, ref).properties(session, ref)
    return found


def reader_version(session: SparkSession, ref: Located) -> int:
    """Return the protocol version that a reader of the table must support."""
    found: int = _way(session, ref).reader_version(session, ref)
    return found


def size_in_bytes(session: SparkSession, ref: Located) -> int:
    """Return the bytes of the data files in the table's newest version."""
    return file_sizes(session, ref)[1]


def file_sizes(session: SparkSession, ref: Located) -> tuple[int, int]:
    """Return the number of data files in the table's newest version, and their bytes together."""
    found: tuple[int, int] = _way(session, ref).file_sizes(session, ref)
    return found


def newest_commits(session: SparkSession, ref: Located, most: int) -> list[Commit]:
    """Return the last commits of a table, newest first: `most` of them, or fewer if its log holds fewer."""
    found: list[Commit] = _way(session, ref).newest_commits(session, ref, most)
    return found


def _way(session: SparkSession, ref: Located) -> ModuleType:
    """Return the module that answers. Raises UsageError if the user's choice is unknown."""
    chosen = os.environ.get(VARIABLE) or CLASSES
    if chosen not in (CLASSES, PUBLIC):
        wanted = f"wanted {CLASSES} or {PUBLIC}"
        fix = f"Set the variable to {CLASSES} or {PUBLIC}, or unset it."
        raise UsageError(VARIABLE, f"the value is {chosen!r}", wanted, fix)
    if chosen == PUBLIC or is_connect(session):
        return public
    application = str(session.sparkContext.applicationId)
    if application not in _usable:
        _usable[application] = classes.supported(session, ref)
        if not _usable[application]:
            log.info(
                "spladelake does not know the classes of this version of Delta, so it asks tables by DESCRIBE, which "
                "is slower"
            )
    return classes if _usable[application] else public
