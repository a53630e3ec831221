"""The unit scores are counted in, so that no order of adding changes a ranking."""

from __future__ import annotations

# One unit is 2^-40 of a score. A product of two float32 weights is exact in a double; rounding it to a unit costs at
# most 2^-41; integers add up to the same total in any order.
SCORE_UNITS = 2.0**40
# A score this high or higher, in units, is refused: 2^62 is 4 million, far above what encoders give, and leaves room
# to add bounds in int64 without checking each sum.
MOST_UNITS = 2.0**62
