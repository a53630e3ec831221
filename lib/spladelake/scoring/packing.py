"""Native code that packs the postings of a stored block into bits, and unpacks those of chosen terms.

The bits of each term start at a 64-bit word of their own, so that a reader can take the words of one term. Documents
are packed as the numbers of documents between neighbours, in runs of RUN postings. Each run starts with the width of
its numbers, because a term can be frequent in one part of a collection and rare in another. Weights are packed as codes
of one width, see `index.layout`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from spladelake.scoring.compiled import array, native, part, view

# Postings of a run, and bits of the width in front of it. Widths go up to 16.
RUN, WIDTH_BITS = 128, 5
WORD_BITS = 64

_ZERO, _ONE, _WORD = np.uint64(0), np.uint64(1), np.uint64(WORD_BITS)


@part
def _put(words: Any, place: Any, value: Any, width: Any) -> None:
    """Write a number at a place in bits. The words hold zeros there."""
    word, shift = place >> np.uint64(6), place & np.uint64(63)
    words[word] |= value << shift
    if shift + width > _WORD:
        words[word + _ONE] |= value >> (_WORD - shift)


@part
def _get(words: Any, place: Any, width: Any) -> Any:
    """Return the number at a place in bits."""
    word, shift = place >> np.uint64(6), place & np.uint64(63)
    value = words[word] >> shift
    if shift + width > _WORD:
        value |= words[word + _ONE] << (_WORD - shift)
    return value & ((_ONE << width) - _ONE)


@part
def _bits_of(number: Any) -> Any:
    """Return how many bits a number has."""
    width = _ZERO
    while number > _ZERO:
        number >>= _ONE
        width += _ONE
    return width


@native(view(types.int32), view(types.uint16), array(types.uint64), array(types.uint16), returns=types.int64)
def pack_documents(starts: Any, ordinals: Any, words: Any, sizes: Any) -> Any:
    """Pack the documents of all terms and return the number of words in use.

    - starts: int32 (terms + 1); the postings of term t are `starts[t]:starts[t + 1]`.
    - ordinals: uint16 (postings), ascending within a term.
    - words: uint64 zeros, see `most_words`.
    - sizes: uint16 (terms), filled with the number of words of each term.
    """
    word = _ZERO
    for t in range(sizes.size):
        place, before = word << np.uint64(6), np.int64(-1)
        for first in range(starts[t], starts[t + 1], RUN):
            last = min(first + RUN, starts[t + 1])
            largest, previous = np.int64(0), before
            for i in range(first, last):
                largest = max(largest, np.int64(ordinals[i]) - previous - 1)
                previous = np.int64(ordinals[i])
            width = _bits_of(np.uint64(largest))
            _put(words, place, width, np.uint64(WIDTH_BITS))
            place += np.uint64(WIDTH_BITS)
            for i in range(first, last):
                if width > _ZERO:
                    _put(words, place, np.uint64(np.int64(ordinals[i]) - before - 1), width)
                    place += width
                before = np.int64(ordinals[i])
        end = (place + np.uint64(63)) >> np.uint64(6)
        sizes[t] = np.uint16(end - word)
        word = end
    return np.int64(word)


@native(
    types.int64, view(types.int32), view(types.int64), view(types.uint64), array(types.uint16), returns=types.boolean
)
def unpack_documents(documents: int, starts: Any, word_starts: Any, words: Any, ordinals: Any) -> bool:
    """Unpack the documents of terms; return whether they ascend, lie below `documents` and fill the words of each term.

    - starts: int32 (terms + 1), of the postings of these terms.
    - word_starts: int64 (terms + 1), the place of each term's words, and the end.
    - ordinals: uint16 (postings), filled.
    """
    for t in range(starts.size - 1):
        place, end = np.uint64(word_starts[t]) << np.uint64(6), np.uint64(word_starts[t + 1]) << np.uint64(6)
        before = np.int64(-1)
        for first in range(starts[t], starts[t + 1], RUN):
            last = min(first + RUN, starts[t + 1])
            if place + np.uint64(WIDTH_BITS) > end:
                return False
            width = _get(words, place, np.uint64(WIDTH_BITS))
            place += np.uint64(WIDTH_BITS)
            if width > np.uint64(16) or place + width * np.uint64(last - first) > end:
                return False
            for i in range(first, last):
                if width > _ZERO:
                    before += np.int64(_get(words, place, width))
                    place += width
                before += 1
                ordinals[i] = np.uint16(before)
            if before >= documents:
                return False
        if (place + np.uint64(63)) >> np.uint64(6) != np.uint64(word_starts[t + 1]):
            return False
    return True


@native(view(types.int32), view(types.uint32), types.int64, array(types.uint64))
def pack_codes(starts: Any, codes: Any, width: int, words: Any) -> None:
    """Pack numbers of one width, those of each term from a new word on. words: uint64 zeros."""
    word, bits = _ZERO, np.uint64(width)
    for t in range(starts.size - 1):
        place = word << np.uint64(6)
        for i in range(starts[t], starts[t + 1]):
            _put(words, place, np.uint64(codes[i]), bits)
            place += bits
        word = (place + np.uint64(63)) >> np.uint64(6)


@native(view(types.int32), view(types.uint64), types.int64, array(types.uint32))
def unpack_codes(starts: Any, words: Any, width: int, codes: Any) -> None:
    """Unpack the numbers that `pack_codes` packed. The words must be as many as it wrote."""
    if width == 0:
        codes[:] = np.uint32(0)
        return
    word, bits = _ZERO, np.uint64(width)
    for t in range(starts.size - 1):
        place = word << np.uint64(6)
        for i in range(starts[t], starts[t + 1]):
            codes[i] = np.uint32(_get(words, place, bits))
            place += bits
        word = (place + np.uint64(63)) >> np.uint64(6)


@native(view(types.uint32), array(types.uint32), array(types.uint32), returns=types.int64)
def distinct_numbers(numbers: Any, slots: Any, found: Any) -> Any:
    """Write the distinct numbers to `found` and return how many there are; -1 if there are more than its size.

    - numbers: uint32, above 0.
    - slots: uint32 zeros, twice as many as `found` or more, a power of two.
    """
    count, mask = np.int64(0), np.uint64(slots.size - 1)
    for i in range(numbers.size):
        number = numbers[i]
        slot = ((np.uint64(number) * np.uint64(2654435769)) >> np.uint64(16)) & mask
        while slots[slot] != number:
            if slots[slot] == np.uint32(0):
                if count == found.size:
                    return np.int64(-1)
                slots[slot] = number
                found[count] = number
                count += 1
                break
            slot = (slot + _ONE) & mask
    return count


@native(
    types.int64, types.int64, view(types.int32), view(types.uint16), view(types.uint32), array(types.int32),
    array(types.int32), array(types.int32), array(types.uint32), array(types.uint16), array(types.uint32),
    returns=types.int64,
)  # fmt: skip
def next_documents(
    first: int, end: int, starts: Any, ordinals: Any, weights: Any, cursors: Any,
    slots: Any, part_starts: Any, peaks: Any, part_ordinals: Any, part_weights: Any,
) -> Any:  # fmt: skip
    """Copy the postings of documents `first` to `end` out of a block; return the number of terms that have any.

    Weights are the bits of positive floats: as integers they have the same order.

    - starts, ordinals, weights: of the block.
    - cursors: int32 (terms), the first posting of each term that is not copied yet; moved on.
    - slots, peaks: int32 and uint32 (terms), filled with the place in the block and the largest weight of each term.
    - part_starts: int32 (terms + 1), filled from its second entry on; the first is 0.
    - part_ordinals, part_weights: filled with the postings; document `first` becomes 0.
    """
    count, place = np.int64(0), np.int64(0)
    for t in range(cursors.size):
        i, before, peak = np.int64(cursors[t]), place, np.uint32(0)
        while i < starts[t + 1] and np.int64(ordinals[i]) < end:
            part_ordinals[place] = np.uint16(np.int64(ordinals[i]) - first)
            part_weights[place] = weights[i]
            peak = max(peak, weights[i])
            place += 1
            i += 1
        cursors[t] = np.int32(i)
        if place > before:
            slots[count], peaks[count] = np.int32(t), peak
            count += 1
            part_starts[count] = np.int32(place)
    return count
