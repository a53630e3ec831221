"""Fingerprint of a vocabulary: two sums over Spark's xxhash64(term_id, token, df), computed without Spark.

The sums are part of every model_id, so the hash must stay equal to Spark's function.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_P1, _P2, _P3, _P4, _P5 = (
    np.uint64(prime)
    for prime in (
        0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5,
    )
)  # fmt: skip
_SPARK_SEED = 42


def vocabulary_sums(words: pa.StringArray, frequencies: NDArray[np.int64]) -> tuple[int, int]:
    """Return the exclusive or and the sum of the hashes of all (position, word, frequency), as signed numbers."""
    marks = row_hashes(words, frequencies).view(np.int64)
    # The sum of 64-bit numbers needs more than 64 bits, so numpy adds up the halves separately.
    total = (int((marks >> 32).sum()) << 32) + int((marks & 0xFFFFFFFF).sum())
    return int(np.bitwise_xor.reduce(marks)), total


def row_hashes(words: pa.StringArray, frequencies: NDArray[np.int64]) -> Words:
    """Return Spark's xxhash64 of an int (the position from 0), a string and a bigint. Each hash seeds the next."""
    seeds = np.full(len(words), _SPARK_SEED, np.uint64)
    seeds = _hash_ints(np.arange(len(words), dtype=np.uint64), seeds)
    return _hash_longs(frequencies.astype(np.uint64), _hash_strings(words, seeds))


def _hash_ints(values: Words, seeds: Words) -> Words:
    return _mixed(_with_int(seeds + _P5 + np.uint64(4), values))


def _hash_longs(values: Words, seeds: Words) -> Words:
    return _mixed(_with_long(seeds + _P5 + np.uint64(8), values))


def _hash_strings(words: pa.StringArray, seeds: Words) -> Words:
    offsets = np.frombuffer(words.buffers()[1], np.int32)[words.offset : words.offset + len(words) + 1]
    letters = words.buffers()[2]
    # Eight more bytes, so that a 64-bit number can be read from every byte.
    data = np.frombuffer((letters.to_pybytes() if letters is not None else b"") + bytes(8), np.uint8)
    lengths, starts = np.diff(offsets), offsets[:-1].astype(np.int64)
    hashes = np.empty(len(words), np.uint64)
    by_length = np.argsort(lengths, kind="stable")
    for rows in np.split(by_length, np.flatnonzero(np.diff(lengths[by_length])) + 1):
        if len(rows):
            hashes[rows] = _hash_bytes(data, starts[rows], int(lengths[rows[0]]), seeds[rows])
    return hashes


def _hash_bytes(data: NDArray[np.uint8], starts: NDArray[np.int64], length: int, seeds: Words) -> Words:
    """Return the hashes of byte strings of one length that begin at `starts`."""
    longs: Words = np.ndarray(len(data) - 7, "<u8", data, 0, (1,))
    whole = length // 32 * 32
    hashes = _stripes(longs, starts, whole, seeds) if whole else seeds + _P5
    hashes = hashes + np.uint64(length)
    at = whole
    while at + 8 <= length:
        hashes = _with_long(hashes, longs[starts + at])
        at += 8
    if at + 4 <= length:
        hashes = _with_int(hashes, longs[starts + at] & np.uint64(0xFFFFFFFF))
        at += 4
    while at < length:
        hashes = _rotated(hashes ^ data[starts + at] * _P5, 11) * _P1
        at += 1
    return _mixed(hashes)


def _stripes(longs: Words, starts: NDArray[np.int64], whole: int, seeds: Words) -> Words:
    """Hash the whole 32-byte stripes at the start of each string, in four lanes.

    - whole: bytes of these stripes, above 0.
    """
    lanes = [seeds + _P1 + _P2, seeds + _P2, seeds, seeds - _P1]
    for at in range(0, whole, 32):
        lanes = [_rotated(lane + longs[starts + (at + 8 * i)] * _P2, 31) * _P1 for i, lane in enumerate(lanes)]
    hashes = np.zeros_like(seeds)
    for lane, by in zip(lanes, (1, 7, 12, 18), strict=True):
        hashes += _rotated(lane, by)
    for lane in lanes:
        hashes = (hashes ^ _rotated(lane * _P2, 31) * _P1) * _P1 + _P4
    return hashes


def _with_long(hashes: Words, values: Words) -> Words:
    return _rotated(hashes ^ _rotated(values * _P2, 31) * _P1, 27) * _P1 + _P4


def _with_int(hashes: Words, values: Words) -> Words:
    return _rotated(hashes ^ values * _P1, 23) * _P2 + _P3


def _rotated(values: Words, by: int) -> Words:
    return (values << np.uint64(by)) | (values >> np.uint64(64 - by))


def _mixed(hashes: Words) -> Words:
    hashes = (hashes ^ (hashes >> np.uint64(33))) * _P2
    hashes = (hashes ^ (hashes >> np.uint64(29))) * _P3
    return hashes ^ (hashes >> np.uint64(32))
