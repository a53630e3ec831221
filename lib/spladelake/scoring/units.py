"""The two integers of a score, which make the sum independent of the order of its products.

A product of two float32 weights is exact in a double. It is split into whole units of 2^-30 and a rest in units of
2^-76, and each part is summed as an integer. The total is the same in any order. It is exact if no product is below
2^-29; smaller products are truncated at 2^-76. The SQL form of the retrieval counts in the same way.
"""

from __future__ import annotations

# Units of a score of 1.
SCORE_UNITS = 2.0**30
# A unit is 2^REST_BITS rests.
REST_BITS = 46
RESTS_PER_UNIT = 2.0**REST_BITS
REST_MASK = 2**REST_BITS - 1
# Rests of a score of 1.
REST_UNITS = SCORE_UNITS * RESTS_PER_UNIT
# Rests are carried into units after this many terms: their sum stays below 2^62.
CARRY_TERMS = 2**16
# Scores must stay below this many units. 2^62 units are a score of 4 billion, far above any encoder's scores; bounds
# can be added in int64 without checking each sum.
MOST_UNITS = 2.0**62
