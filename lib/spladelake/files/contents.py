"""A check of a file's first bytes: they must fit the file's name and a format that a job can read."""

from __future__ import annotations

import re

from spladelake.errors import DataError
from spladelake.files.formats import compression_of, suffix_of

# This many bytes identify every kind of file below. The mark of a tar archive comes last, at byte 257.
HEAD_BYTES = 600
_FRAME_OF_LZ4 = b"\x04\x22\x4d\x18"
_FRAME_OF_SNAPPY = b"\xff\x06\x00\x00sNaPpY"
COMPRESSIONS = {
    ".gz": b"\x1f\x8b",
    ".bz2": b"BZh",
    ".zst": b"\x28\xb5\x2f\xfd",
}
_TOOLS = {".gz": "gzip", ".bz2": "bzip2", ".zst": "zstd"}
# Frames of zstd that hold no data; pzstd writes one before each frame of data.
_EMPTY_ZSTD = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")


_SAVE_SPACE = "To save space, compress the result with gzip or zstd."


def _unpacked_by(tool: str) -> str:
    # The tools refuse a file whose name lacks their ending, but not their standard input.
    return f"Run: {tool} -dc < FILE > NEW. {_SAVE_SPACE}"


# First bytes of a file, its kind, and how to convert it into a readable file.
_OTHERS = (
    (b"PK\x03\x04", "a zip archive (or a spreadsheet)", "Unpack the archive, or save the sheet as csv in UTF-8."),
    (b"\xfd7zXZ\x00", "compressed by xz", _unpacked_by("xz")),
    (b"\x1f\x9d", "compressed by the Unix tool compress", _unpacked_by("gzip")),
    (b"\x89LZO\x00\r\n\x1a\n", "compressed by lzop", _unpacked_by("lzop")),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack the archive."),
    (b"PAR1", "a Parquet file", "Set its format option to parquet, or rename the file to *.parquet."),
    (b"PARE", "an encrypted Parquet file", "Decrypt the file."),
    (b"ARROW1", "an Arrow (Feather) file", "Convert the file to Parquet."),
    (b"ORC", "an ORC file", "Convert the file to Parquet."),
    (b"Obj\x01", "an Avro file", "Convert the file to Parquet."),
    (b"SQLite format 3\x00", "an SQLite database", "Export a table of the database as csv."),
    (b"%PDF-", "a PDF", "Extract the text of the PDF."),
    (b"\x89HDF\r\n", "an HDF5 file", "Convert the file to Parquet."),
    (b"version https://git-lfs", "a pointer of Git LFS, not the data", "Run: git lfs pull"),
    (b"<!DOCTYPE html", "a web page", "Download the data file itself."),
    (b"<!doctype html", "a web page", "Download the data file itself."),
)
_UTF_16 = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


# Kinds of files by the ending of the name: endings, kind, and how to convert it.
_BY_ENDING = (
    ((".xz", ".lzma"), "compressed by xz", _unpacked_by("xz")),
    ((".br",), "compressed by brotli", _unpacked_by("brotli")),
    ((".z",), "compressed by the Unix tool compress", _unpacked_by("gzip")),
    ((".lzo",), "compressed by lzop", _unpacked_by("lzop")),
    ((".zip", ".tar", ".tgz", ".7z", ".rar"), "an archive", "Unpack the archive."),
    ((".xlsx", ".xls", ".ods"), "a spreadsheet", "Save the sheet as csv in UTF-8."),
    (
        (".feather", ".arrow", ".ipc", ".orc", ".avro", ".h5", ".hdf5", ".pkl", ".pickle", ".npz", ".npy"),
        "a table of another format",
        "Convert the file to Parquet.",
    ),
    ((".sqlite", ".db"), "a database", "Export a table of the database as csv."),
)


def check_ending(name: str) -> None:
    """Raise DataError for a file that is no input, by the ending of its name: an archive, or a table of other tools.

    The ending before that of a compression decides: `texts.tar.gz` is an archive.
    """
    ending = suffix_of(name)
    for endings, found, fix in _BY_ENDING:
        if ending in endings:
            raise _refused(name, found, "wanted jsonl, tsv, csv, Parquet or a Delta table", fix)


def check_head(name: str, head: bytes, file_format: str) -> None:
    """Raise DataError if the first bytes of a file do not fit its format. The error names the kind of the file.

    - name: the file.
    - head: its first HEAD_BYTES bytes, or all bytes of a shorter file.
    - file_format: jsonl, tsv, csv, qrels, trec, predictions or parquet.
    """
    if file_format == "parquet":
        return _check_parquet(name, head)
    check_ending(name)
    compression = compression_of(name)
    if not head and compression is None:
        return None
    if head.startswith(_FRAME_OF_LZ4):
        wanted = "wanted gzip, bzip2 or zstd, because Spark does not read this kind of lz4"
        raise _refused(name, "compressed by the tool lz4", wanted, _unpacked_by("lz4"))
    wanted = "wanted lines of text in UTF-8, plain or compressed by gzip, bzip2 or zstd"
    if head.startswith(_FRAME_OF_SNAPPY):
        wanted = "wanted gzip, bzip2 or zstd, because Spark does not read this kind of snappy"
        fix = f"Unpack the file with the tool that wrote it. {_SAVE_SPACE}"
        raise _refused(name, "compressed by a snappy tool", wanted, fix)
    for suffix, start in COMPRESSIONS.items():
        if compression == suffix:
            if not head.startswith(start) and not (suffix == ".zst" and _EMPTY_ZSTD.match(head)):
                raise _other_content(name, head, suffix, wanted)
            return None
        if head.startswith(start) and compression is None:
            raise _refused(
                name,
                f"compressed by {_TOOLS[suffix]}, but its name does not end in {suffix}",
                wanted,
                f"Rename the file so that its name ends in {suffix}.",
            )
    if compression is None:
        _check_text(name, head, wanted)
    return None


def _other_content(name: str, head: bytes, suffix: str, wanted: str) -> DataError:
    """Return the error for a file that is not compressed as the ending of its name says."""
    tool = _TOOLS[suffix]
    if not head:
        found, fix = f"has no bytes, so {tool} cannot read it", "Copy the file again from its source, or remove it."
    elif other := next((ending for ending, start in COMPRESSIONS.items() if head.startswith(start)), None):
        found = f"is compressed by {_TOOLS[other]}, but its name ends in {suffix}"
        fix = f"Rename the file so that its name ends in {other}."
    else:
        found = f"is damaged or not compressed by {tool}, but its name ends in {suffix}"
        fix = f"Copy the file again from its source. If it is not compressed, remove {suffix} from its name."
    return DataError(name, f"the file {found}", wanted, fix)


def _check_text(name: str, head: bytes, wanted: str) -> None:
    for start, found, fix in _OTHERS:
        if head.startswith(start):
            raise _refused(name, found, wanted, fix)
    if head[257:262] == b"ustar":
        raise _refused(name, "a tar archive", wanted, "Unpack the archive.")
    encoding = next((encoding for start, encoding in _UTF_16 if head.startswith(start)), None)
    if encoding is None and (half := _zeros(head)):
        encoding = f"UTF-16{half}"
    if encoding is not None:
        raise _refused(name, f"text in {encoding[:6]}", wanted, f"Run: iconv -f {encoding} -t UTF-8 FILE > NEW")


def _zeros(head: bytes) -> str | None:
    """Return LE or BE if the first 32 bytes are UTF-16 without a byte order mark: every other byte is zero."""
    piece = head[:32]
    if len(piece) < 4:
        return None
    if not any(piece[1::2]) and all(piece[::2]):
        return "LE"
    return "BE" if not any(piece[::2]) and all(piece[1::2]) else None


def _check_parquet(name: str, head: bytes) -> None:
    if head.startswith(b"PAR1"):
        return
    found, fix = "damaged, or not a Parquet file", "Copy the file again from its source, or correct its format option."
    if not head:
        found, fix = "empty", "Copy the file again from its source, or remove the file."
    packed = ((start, f"compressed ({suffix})", "Unpack the file.") for suffix, start in COMPRESSIONS.items())
    if known := next(((what, how) for start, what, how in (*_OTHERS, *packed) if head.startswith(start)), None):
        found, fix = known
    raise _refused(name, found, "wanted a Parquet file", fix)


def _refused(name: str, found: str, wanted: str, fix: str) -> DataError:
    return DataError(name, f"the file is {found}", wanted, fix)
