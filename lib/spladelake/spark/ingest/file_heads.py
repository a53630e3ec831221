"""The beginning of an input, by which its form is told."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
from pyspark.sql import SparkSession

from spladelake.files.formats import compression_of
from spladelake.spark.tables import storage

# So much of a file tells how its columns stand.
HEAD_BYTES = 1 << 18
_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


def first_lines(session: SparkSession, files: Iterable[storage.InputFile]) -> list[bytes]:
    """Whole lines among the `first_bytes` of an input, without their line feeds."""
    head = first_bytes(session, files)
    lines = head.split(b"\n")
    # The last one may be cut.
    return lines if len(head) < HEAD_BYTES else lines[:-1]


def first_bytes(session: SparkSession, files: Iterable[storage.InputFile]) -> bytes:
    """The first HEAD_BYTES of the first file that is not empty, decompressed.

    Empty if nothing can be read: why not, the reader of the whole input says.
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
