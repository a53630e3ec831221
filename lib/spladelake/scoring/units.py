"""The two integers a score is counted in, so that no order of adding changes a ranking.

A product of two float32 weights is exact in a double. It is cut into whole units of 2^-30 and a rest in units of 2^-76,
and each is added up as an integer: the same total in any order, and exact while no product is below 2^-29 (what is
smaller is cut at 2^-76). The SQL form of the retrieval counts in the same two.
"""

from __future__ import annotations

# Units to a score of 1.
SCORE_UNITS = 2.0**30
# A unit is 2^REST_BITS rests.
REST_BITS = 46
RESTS_PER_UNIT = 2.0**REST_BITS
REST_MASK = 2**REST_BITS - 1
# Rests to a score of 1.
REST_UNITS = SCORE_UNITS * RESTS_PER_UNIT
# Terms after which rests are carried into units: sums of this many stay below 2^62.
CARRY_TERMS = 2**16
# A score this high or higher, in units, is refused: 2^62 is 4 billion, far above what encoders give, and leaves room
# to add bounds in int64 without checking each sum.
MOST_UNITS = 2.0**62
