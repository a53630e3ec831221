"""Read the beginning of an input, which shows its form."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
from pyspark.sql import SparkSession

from spladelake.files.formats import compression_of
from spladelake.spark.tables import storage

# Number of first bytes that show the columns of a file.
HEAD_BYTES = 1 << 18
_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


def first_lines(session: SparkSession, files: Iterable[storage.InputFile]) -> list[bytes]:
    """Return the complete lines among the `first_bytes` of an input, or the first line if it is longer.

    The lines are without line feeds.
    """
    head = first_bytes(session, files)
    lines = head.split(b"\n")
    # The last one may be cut.
    return lines if len(head) < HEAD_BYTES or len(lines) == 1 else lines[:-1]


def first_bytes(session: SparkSession, files: Iterable[storage.InputFile]) -> bytes:
    """Return the first HEAD_BYTES of the first file that is not empty, decompressed.

    The result is empty if the file cannot be read. The reader of the whole input then reports the fault.
    """
    file = next((file for file in files if file.size), None)
    if file is None:
        return b""
    codec = _CODECS.get(compression_of(file.path) or "")
    with storage.open_input(session, file) as opened:
        try:
            return (pa.CompressedInputStream(opened, codec) if codec else opened).read(HEAD_BYTES)
        except OSError:
            return b""
