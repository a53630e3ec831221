"""Open the files of an input as ingest_texts does: check their first bytes, then decompress."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spladelake.errors import DataError
from spladelake.files.contents import HEAD_BYTES, check_head
from spladelake.files.formats import compression_of

_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


def check_file(file: Path, file_format: str) -> None:
    """Raise DataError if the content of a file does not fit its name, as ingest_texts does."""
    with file.open("rb") as opened:
        check_head(str(file), opened.read(HEAD_BYTES), file_format)


@contextmanager
def decompressed(file: Path, location: str) -> Iterator[tuple[Any, io.BufferedReader]]:
    """Yield (the open file, the stream of its decompressed bytes). A fault while reading becomes a DataError."""
    import pyarrow as pa

    compression = compression_of(file.name)
    if compression in (".snappy", ".deflate", ".lz4"):
        found = f"{file.name} is compressed in a way that only Spark reads"
        fix = "Compress the file with gzip, bzip2 or zstd instead."
        raise DataError(location, found, "wanted an uncompressed file, or .gz, .bz2 or .zst", fix)
    codec = _CODECS.get(compression or "")
    try:
        with file.open("rb") as raw:
            yield raw, io.BufferedReader(pa.CompressedInputStream(raw, codec), 1 << 20) if codec else raw
    except (OSError, EOFError) as error:
        if isinstance(error, PermissionError):
            found, fix = f"the file cannot be read ({error.strerror})", "Change the permissions of the file."
            raise DataError(str(file), found, "wanted a file that you may read", fix) from error
        reason = (str(error).splitlines() or [""])[0]
        fix = "Copy the file again from its source, or correct the ending of its name."
        raise DataError(str(file), f"the file cannot be read ({reason})", "wanted a complete file", fix) from error
