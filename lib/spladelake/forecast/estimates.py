"""Time, memory and bytes of each step at a size, from the fitted lines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from spladelake.config.forecast import Forecast
from spladelake.errors import UsageError
from spladelake.forecast.slopes import Slopes
from spladelake.names import listed, short_name

# (part of a model's name, measured model that it resembles); the first part found in the name decides.
MEASURED_AS = (("distil", "distilbert"), ("mini", "mini"), ("tiny", "splade-tiny"))

VECTORS, INDEX = "vectors", "index"


@dataclass(frozen=True)
class Estimate:
    """The estimate for one step.

    - error: relative error of the seconds, as measured on a size left out of the fit; None if there was none.
    - memory_mb: memory of each parallel task, in 10**6 bytes; None if it was not measured.
    - shuffle_bytes: bytes written for other tasks.
    - storage_bytes: bytes of the table that the step writes.
    """

    step: str
    seconds: float
    error: float | None
    memory_mb: float | None
    shuffle_bytes: float
    storage_bytes: float


def measured_as(model: str) -> str | None:
    """Return the measured model that a model resembles by its name; None if no measured model matches."""
    name = short_name(model).lower()
    return next((measured for part, measured in MEASURED_AS if part in name), None)


def _speed(slopes: Slopes, model: str) -> float:
    """Return the model's speed relative to the reference model. Raises UsageError if no measured model matches."""
    found = measured_as(model)
    if found is None:
        known = listed(part for part, _ in MEASURED_AS)
        raise UsageError(
            f"spladelake forecast: model {model}",
            "no measurement covers this model",
            f"wanted the speed of the model, which is known only for names that contain {known}",
            "Set --docs-per-second to the rate that encode_texts --dry-run reports, divided by the number of task "
            "slots of the dry run.",
        )
    return slopes.encode.speed[found]


def estimates(slopes: Slopes, asked: Forecast) -> list[Estimate]:
    """Return the estimates of all steps."""
    return [
        _encoding(slopes, asked),
        Estimate(
            "index_vectors",
            _shared(slopes, asked, slopes.index_s.fixed, slopes.index_s.slope * asked.docs),
            slopes.index_s.error(asked.docs),
            None,
            0,
            slopes.index_bytes.at(asked.docs),
        ),
        *(_retrieval(slopes, asked, source) for source in (VECTORS, INDEX)),
    ]


def _shared(slopes: Slopes, asked: Forecast, fixed: float, work: float) -> float:
    """Return the fixed seconds plus the seconds of work in `slopes.slots`, spread evenly over `asked.slots`."""
    return max(0.0, fixed) + work * slopes.slots / asked.slots


def _encoding(slopes: Slopes, asked: Forecast) -> Estimate:
    encode, name = slopes.encode, measured_as(asked.model)
    longer = (asked.tokens or encode.tokens) / encode.tokens
    if asked.docs_per_second is not None:
        error, work = None, asked.docs / asked.docs_per_second / slopes.slots
    else:
        error = encode.seconds.error(asked.docs)
        work = encode.seconds.slope * asked.docs * longer / _speed(slopes, asked.model)
    return Estimate(
        "encode_texts",
        _shared(slopes, asked, encode.seconds.fixed, work),
        error,
        encode.worker_mb[name] if name else None,
        encode.shuffle.at(asked.docs) * longer,
        encode.table.at(asked.docs),
    )


def _retrieval(slopes: Slopes, asked: Forecast, source: str) -> Estimate:
    """Return the estimate of a retrieval from the vectors or from the index.

    The time has four parts: starting the job, writing rows, reading documents, and computing products. The start is the
    time of an almost empty job. The products come from the speed of the kernel. The rest of the measured line's fixed
    part is for rows, and the rest of its slope for reading. With the recorded queries and k, the parts give the line.
    """
    retrieve = slopes.retrieve
    line, rows = retrieve.seconds[source], asked.queries * asked.k
    per_row = (line.fixed - retrieve.job_s) / (retrieve.queries * retrieve.k)
    scoring = retrieve.products / retrieve.products_per_s / slopes.slots
    reading = line.slope - scoring * retrieve.queries
    work = per_row * rows + asked.docs * (reading + scoring * asked.queries)
    # A task sends at least k candidates per query. The number beyond k grows with the logarithm of its documents.
    each = max(1.0, slopes.candidates.at(math.log(asked.docs / asked.slots)))
    return Estimate(
        f"retrieve_run from {source}",
        _shared(slopes, asked, retrieve.job_s, work),
        line.error(asked.docs),
        retrieve.slot_mb[source],
        rows * asked.slots * each * slopes.candidate_bytes,
        rows * slopes.row_bytes,
    )


def extrapolations(slopes: Slopes, asked: Forecast) -> Iterator[str]:
    """Yield a text for each part of the forecast that no measurement covers."""
    encode, retrieve = slopes.encode, slopes.retrieve
    for what, line in (("encode_texts", encode.seconds), ("index_vectors and retrieve_run", slopes.index_s)):
        low, high = line.sizes[0], line.sizes[-1]
        if len(line.sizes) < 3:
            yield f"The only timing of {what} is at {high:,.0f} documents, so the error of its time is unknown."
        elif not low <= asked.docs <= high:
            times = f"{asked.docs / high:,.1f} times the largest" if asked.docs > high else "below the smallest"
            yield f"The timings of {what} cover {low:,.0f} to {high:,.0f} documents; {asked.docs:,} is {times}."
    if asked.slots != slopes.slots:
        yield (
            f"All timings come from {slopes.slots} parallel tasks on one machine. For {asked.slots} tasks the forecast "
            "divides the work evenly, ignores network, stragglers and remote storage, and assumes the same number of "
            "candidates per task."
        )
    if (asked.queries, asked.k) != (retrieve.queries, retrieve.k):
        yield (
            f"Retrieval was timed with {retrieve.queries:,} queries and k = {retrieve.k:,}. For other values the "
            "forecast combines the kernel's speed with the time of a small job; no measurement confirms the result."
        )
    if asked.docs_per_second is None and measured_as(asked.model) != encode.reference:
        yield (
            f"The encode job was timed with {encode.reference}. For {asked.model} the forecast uses the relative speed "
            f"of the encoder of {measured_as(asked.model)}, measured without Spark."
        )
    if asked.tokens is not None:
        yield f"The timed documents had {encode.tokens:.0f} tokens on average; time and shuffle grow in proportion."
    terms = encode.postings.at(encode.postings.sizes[-1]) / encode.postings.sizes[-1]
    yield (
        f"The storage of vectors was measured with {encode.reference} at {terms:.0f} terms per document. A model with "
        "more terms needs more."
    )
