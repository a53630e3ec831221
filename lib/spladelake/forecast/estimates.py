"""Seconds, memory and bytes of the steps at a size, from the slopes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from spladelake.config.forecast import Forecast
from spladelake.errors import UsageError
from spladelake.forecast.slopes import Slopes
from spladelake.names import short_name

# A model's name says which of the measured ones it is like: the first of these that is a part of it.
MEASURED_AS = (("distil", "distilbert"), ("mini", "mini"), ("tiny", "splade-tiny"))

VECTORS, INDEX = "vectors", "index"


@dataclass(frozen=True)
class Estimate:
    """One step. error: of the seconds, relative, as it was where it could be checked; None where it could not.

    memory_mb: of each task that runs at once, in 10**6 bytes; None where it was not measured. shuffle_bytes:
    written for other tasks. storage_bytes: of the table that the step makes.
    """

    step: str
    seconds: float
    error: float | None
    memory_mb: float | None
    shuffle_bytes: float
    storage_bytes: float


def measured_as(model: str) -> str | None:
    """The measured model that one is like, by its name; None where that says nothing."""
    name = short_name(model).lower()
    return next((measured for part, measured in MEASURED_AS if part in name), None)


def _speed(slopes: Slopes, model: str) -> float:
    """Documents a second of a model over those of the reference. Raises UsageError for one that nothing is like."""
    found = measured_as(model)
    if found is None:
        known = ", ".join(part for part, _ in MEASURED_AS)
        raise UsageError(
            f"spladelake forecast: model {model}",
            "there is no record of such a model",
            f"wanted a name with one of {known} in it, or the model's speed",
            "Give --docs-per-second: the rate of encode_texts --dry-run divided by its task slots.",
        )
    return slopes.encode.speed[found]


def estimates(slopes: Slopes, asked: Forecast) -> list[Estimate]:
    """What each step will take."""
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
    """Seconds where work that was measured in the slots of the records is divided evenly among those asked for."""
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
    """Seconds are those of the job itself, of its rows, of reading the documents, and of the products.

    The line that was measured is taken apart into these: a job with next to nothing to do, the kernel's own speed, and
    what remains of the line's two parts. With the queries and k of the record they add up to the line.
    """
    retrieve = slopes.retrieve
    line, rows = retrieve.seconds[source], asked.queries * asked.k
    per_row = (line.fixed - retrieve.job_s) / (retrieve.queries * retrieve.k)
    scoring = retrieve.products / retrieve.products_per_s / slopes.slots
    reading = line.slope - scoring * retrieve.queries
    work = per_row * rows + asked.docs * (reading + scoring * asked.queries)
    # A task that has seen k documents hands over as many; how many more it found on its way grows as the logarithm.
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
    """What of a forecast goes beyond what was measured, a sentence each."""
    encode, retrieve = slopes.encode, slopes.retrieve
    for what, line in (("encode_texts", encode.seconds), ("index_vectors and retrieve_run", slopes.index_s)):
        low, high = line.sizes[0], line.sizes[-1]
        if len(line.sizes) < 3:
            yield f"{what} was timed at {high:,.0f} documents only, so the error of its time is not known."
        elif not low <= asked.docs <= high:
            times = f"{asked.docs / high:,.1f} times the largest" if asked.docs > high else "fewer than the smallest"
            yield f"{what} was timed at {low:,.0f} to {high:,.0f} documents; {asked.docs:,} is {times}."
    if asked.slots != slopes.slots:
        yield (
            f"All was timed in {slopes.slots} tasks at once on one machine; among {asked.slots} the work is taken as "
            "evenly divided, network, stragglers and remote storage as free, and each to hand over as many candidates."
        )
    if (asked.queries, asked.k) != (retrieve.queries, retrieve.k):
        yield (
            f"Retrieval was timed with {retrieve.queries:,} queries and k = {retrieve.k:,}; for others its time is put "
            "together from the kernel's speed and a small job's, and was not compared with a measurement."
        )
    if asked.docs_per_second is None and measured_as(asked.model) != encode.reference:
        yield (
            f"The encode job was timed with {encode.reference}; {asked.model} is taken as slower by what the bare "
            f"encoder of {measured_as(asked.model)} was."
        )
    if asked.tokens is not None:
        yield f"Documents were of some {encode.tokens:.0f} tokens; time and text are taken to grow as their number."
    terms = encode.postings.at(encode.postings.sizes[-1]) / encode.postings.sizes[-1]
    yield (
        f"Storage of the vectors is that of {encode.reference} with {terms:.0f} terms a document; it grows with the "
        "terms of other models."
    )
