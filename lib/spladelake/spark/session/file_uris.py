"""Places of files as Spark and Hadoop write them, as readable paths."""

from __future__ import annotations

import re
from urllib.parse import unquote

from pyspark.sql import Column
from pyspark.sql import functions as F


def plain_path(uri: Column) -> Column:
    """Return a column of file URIs, as in Spark's `_metadata.file_path`, as readable paths."""
    # url_decode turns + into a space, but in a path it is a plus sign.
    decoded = F.url_decode(F.replace(uri, F.lit("+"), F.lit("%2B")))
    return F.regexp_replace(decoded, "^file:/*", "/")


def person_path(uri: str) -> str:
    """Return a file URI of Spark as a readable path."""
    return shown_path(unquote(uri))


def shown_path(path: str) -> str:
    """Return a path of Hadoop as a readable path."""
    return re.sub("^file:/*", "/", path)
