"""The Common Index File Format (CIFF): an inverted index as protobuf messages, each preceded by its length.

The format has few, fixed messages, so numpy writes and reads them: a protobuf library loops over single postings and
takes a hundred times as long.
Source: Lin et al. 2020, "Supporting Interoperability Between Open-Source Search Engines with the Common Index File
Format", and its ciff.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from spladelake.errors import DataError
from spladelake.files.contents import COMPRESSIONS

VERSION = 1
_MOST_VARINT = 10

Fields = dict[int, int | bytes]

# The tools that compress a file, as other programs may, and that unpack it.
_TOOLS = {".gz": ("gzip", "gunzip"), ".zst": ("zstd", "unzstd"), ".bz2": ("bzip2", "bunzip2")}


@dataclass(frozen=True)
class CiffHeader:
    """The header of an index: number of postings lists, number of documents, and tokens, the sum of their lengths."""

    lists: int
    documents: int
    tokens: int
    description: str


@dataclass(frozen=True, eq=False)
class PostingsList:
    """The postings of one term: int64 document numbers from 0, ascending, and an int64 impact from 1 for each."""

    term: str
    documents: NDArray[np.int64]
    impacts: NDArray[np.int64]


@dataclass(frozen=True)
class DocRecord:
    """A document: its number from 0, its id in the collection, and its length, the sum of its impacts."""

    number: int
    doc_id: str
    length: int


def write_ciff(file: BinaryIO, header: CiffHeader, lists: Iterable[bytes], documents: Iterable[DocRecord]) -> None:
    """Write a whole file.

    - header: the counts of the index.
    - lists: messages of `postings_message`, by ascending term.
    - documents: the records, by ascending number.
    """
    file.write(_delimited(_header_message(header)))
    for message in lists:
        file.write(_delimited(message))
    for record in documents:
        file.write(_delimited(_record_message(record)))


def postings_message(found: PostingsList) -> bytes:
    """Return the message of one term. Each posting is a message, with the gap to the previous document."""
    gaps = np.diff(found.documents, prepend=0)
    gap_bytes, gap_sizes = _varints(gaps)
    impact_bytes, impact_sizes = _varints(found.impacts)
    sizes = 2 + gap_sizes + impact_sizes
    width = 4 + 2 * _MOST_VARINT
    cells = np.zeros((len(gaps), width), dtype=np.uint8)
    used = np.zeros((len(gaps), width), dtype=bool)
    cells[:, 0], cells[:, 1] = 0x22, sizes  # field 4 of the list: a posting, shorter than 128 bytes
    cells[:, 2], cells[:, 3 + _MOST_VARINT] = 0x08, 0x10  # fields 1 and 2 of the posting
    cells[:, 3 : 3 + _MOST_VARINT], cells[:, 4 + _MOST_VARINT :] = gap_bytes, impact_bytes
    used[:, :3] = used[:, 3 + _MOST_VARINT] = True
    columns = np.arange(_MOST_VARINT)
    used[:, 3 : 3 + _MOST_VARINT] = columns < gap_sizes[:, None]
    used[:, 4 + _MOST_VARINT :] = columns < impact_sizes[:, None]
    head = _text(1, found.term) + _whole(2, len(gaps)) + _whole(3, int(found.impacts.sum()))
    return head + cells[used].tobytes()


def read_ciff(file: BinaryIO, *, place: str) -> tuple[CiffHeader, Iterator[PostingsList], Iterator[DocRecord]]:
    """Return header, lists and documents of a file; read the lists to their end before the documents.

    Raises DataError if the file is truncated or is not a CIFF file.
    """
    fields = _header_fields(file, place)
    lists, documents = _number_of(fields, 2, place), _number_of(fields, 3, place)
    header = CiffHeader(lists, documents, _number_of(fields, 6, place), _text_of(fields, 8, place))
    return (
        header,
        (_postings_list(_next_message(file, place), place) for _ in range(lists)),
        (_record(_next_message(file, place), place) for _ in range(documents)),
    )


def _header_fields(file: BinaryIO, place: str) -> Fields:
    """Return the fields of the first message. Raises DataError if the file is compressed or of another format."""
    head = file.read(4)
    file.seek(0)
    if not head:
        raise DataError(place, "the file is empty", "wanted a CIFF file", "Export the index again, or correct --input.")
    for suffix, (packer, unpacker) in _TOOLS.items():
        if head.startswith(COMPRESSIONS[suffix]):
            wanted = "wanted an uncompressed CIFF file"
            raise DataError(place, f"the file is compressed by {packer}", wanted, f"Unpack it with {unpacker}.")
    try:
        fields = _fields(_next_message(file, place), place)
    except DataError:
        if bytes([1 << 3, VERSION]) in head:
            raise  # the file begins as a header does, but is damaged
        fields = {}
    if fields.get(1) != VERSION:
        found = f"the file does not begin with the header of CIFF version {VERSION}"
        raise DataError(place, found, "wanted a CIFF file", "Correct --input-format, or export the index again.")
    return fields


def _varints(numbers: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Encode numbers as varints: uint8 (numbers, 10), seven bits per byte, lowest first, and the length of each."""
    shifted = numbers[:, None] >> (7 * np.arange(_MOST_VARINT, dtype=np.int64))
    sizes = np.maximum(1, np.count_nonzero(shifted, axis=1)).astype(np.int64)
    more = np.arange(_MOST_VARINT) < (sizes - 1)[:, None]
    return ((shifted & 0x7F) | np.where(more, 0x80, 0)).astype(np.uint8), sizes


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _whole(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _text(field: int, text: str) -> bytes:
    raw = text.encode()
    return _varint(field << 3 | 2) + _varint(len(raw)) + raw


def _delimited(message: bytes) -> bytes:
    return _varint(len(message)) + message


def _header_message(header: CiffHeader) -> bytes:
    average = header.tokens / header.documents if header.documents else 0.0
    whole = [VERSION, header.lists, header.documents, header.lists, header.documents, header.tokens]
    numbers = b"".join(_whole(field, number) for field, number in enumerate(whole, start=1))
    return numbers + _varint(7 << 3 | 1) + struct.pack("<d", average) + _text(8, header.description)


def _record_message(record: DocRecord) -> bytes:
    return _whole(1, record.number) + _text(2, record.doc_id) + _whole(3, record.length)


def _next_message(file: BinaryIO, place: str) -> bytes:
    size, shift = 0, 0
    while True:
        byte = file.read(1)
        if not byte or shift > 63:
            raise _broken(place, "the file ends before the last message")
        size |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            break
    message = file.read(size)
    if len(message) < size:
        raise _broken(place, "the file ends within a message")
    return message


def _broken(place: str, found: str) -> DataError:
    return DataError(place, found, "wanted a complete CIFF file", "Copy the file again, or export the index again.")


def _number_of(fields: Fields, field: int, place: str) -> int:
    """Return a number field of a message; a writer may omit the number 0."""
    found = fields.get(field, 0)
    if not isinstance(found, int):
        raise _broken(place, f"field {field} of a message is not a number")
    return found


def _text_of(fields: Fields, field: int, place: str) -> str:
    """Return a text field of a message; a writer may omit an empty text."""
    found = fields.get(field, b"")
    if not isinstance(found, bytes):
        raise _broken(place, f"field {field} of a message is not text")
    return found.decode("utf-8", "replace")


def _part(message: bytes, start: int, size: int, place: str) -> bytes:
    if start + size > len(message):
        raise _broken(place, "a message ends within a field")
    return message[start : start + size]


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number, shift = 0, 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def _fields(message: bytes, place: str, *, stop: int | None = None) -> Fields:
    """Return the fields of a message by number, up to the first field `stop`; key 0 then holds its place."""
    found: Fields = {}
    at = 0
    try:
        while at < len(message):
            tag, after = _read_varint(message, at)
            field, kind = tag >> 3, tag & 7
            if field == stop:
                found[0] = at
                break
            if kind == 0:
                found[field], at = _read_varint(message, after)
            elif kind == 1:
                found[field], at = _part(message, after, 8, place), after + 8
            elif kind == 2:
                size, start = _read_varint(message, after)
                found[field], at = _part(message, start, size, place), start + size
            else:
                raise _broken(place, f"a message has a field of kind {kind}")
    except IndexError:
        raise _broken(place, "a message ends within a number") from None
    return found


def _postings_list(message: bytes, place: str) -> PostingsList:
    head = _fields(message, place, stop=4)
    term = _text_of(head, 1, place)
    start = _number_of(head, 0, place) if 0 in head else len(message)
    if message[start:] and message[-1] >= 0x80:
        raise _broken(place, f"the postings of {term!r} end within a number")
    numbers = _all_varints(message[start:])
    if len(numbers) % 6 == 0 and (numbers.reshape(-1, 6)[:, [0, 2, 4]] == [0x22, 0x08, 0x10]).all():
        pairs = numbers.reshape(-1, 6)[:, [3, 5]]
    else:  # a writer may omit the number 0
        pairs = _pairs_one_by_one(message, start, place)
    return PostingsList(term, np.cumsum(pairs[:, 0]), pairs[:, 1].copy())


def _all_varints(data: bytes) -> NDArray[np.int64]:
    """Read all bytes as varints."""
    raw = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    if not len(ends):
        return np.empty(0, dtype=np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    raw = raw[: ends[-1] + 1]
    places = np.arange(len(raw)) - np.repeat(starts, ends - starts + 1)
    return np.add.reduceat((raw & 0x7F).astype(np.int64) << (7 * np.minimum(places, 8)), starts)


def _pairs_one_by_one(message: bytes, at: int, place: str) -> NDArray[np.int64]:
    pairs = []
    while at < len(message):
        tag, after = _read_varint(message, at)
        if tag != 0x22:
            raise _broken(place, f"a postings list holds a field with the tag {tag}")
        if after == len(message):
            raise _broken(place, "a postings list ends within a posting")
        size, start = _read_varint(message, after)
        fields = _fields(_part(message, start, size, place), place)
        pairs.append((_number_of(fields, 1, place), _number_of(fields, 2, place)))
        at = start + size
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _record(message: bytes, place: str) -> DocRecord:
    fields = _fields(message, place)
    return DocRecord(_number_of(fields, 1, place), _text_of(fields, 2, place), _number_of(fields, 3, place))
