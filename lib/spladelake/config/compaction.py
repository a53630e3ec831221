"""Options of the job that compacts vectors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator, model_validator

from spladelake.config.base import DEFAULT_MODEL, JobOptions, Measures, VectorsName
from spladelake.config.comparison import PERMUTATIONS_DEFAULT, Permutations
from spladelake.config.refusals import OptionError, OptionsError
from spladelake.config.runs import MOST_K
from spladelake.errors import UsageError
from spladelake.names import listed

if TYPE_CHECKING:
    from spladelake.compaction import Compaction

_TARGET = re.compile(r"(?P<measure>[\w@]+)\s*>=\s*(?P<share>[0-9]*\.?[0-9]+)(?P<percent>\s*%)?\s+of\s+original")


@dataclass(frozen=True)
class Target:
    """A measure, and the share of its original mean that compacted vectors must keep."""

    measure: str
    share: float

    @classmethod
    def parse(cls, text: str) -> Target:
        """Parse a target such as "ndcg@10 >= 0.995 of original".

        Raises ValueError for another form, UsageError for an unknown measure.
        """
        from spladelake.measures import expanded  # see config.base

        match = _TARGET.fullmatch(text.strip())
        if match is None:
            raise OptionError('MEASURE >= SHARE of original, such as "ndcg@10 >= 0.995 of original"')
        share = float(match["share"]) / (100 if match["percent"] else 1)
        if not 0 < share <= 1:
            raise OptionError("a share above 0 and at most 1", found=f"the share is {share:g}")
        measures = expanded([match["measure"]])
        if len(measures) > 1:
            found = f"{match['measure']!r} is a set of {len(measures)} measures"
            raise OptionError("one measure", "Name one measure, such as ndcg@10.", found=found)
        return cls(measures[0], share)


class CompactVectors(JobOptions):
    """Rewrite a model's vectors as smaller files, and report the effect on the measures.

    The compacted vectors get a name of their own. Without settings or a target the job changes no weight: it only
    reorders documents, so that those sharing terms lie together, and compresses them.
    """

    model: str = Field(DEFAULT_MODEL, description="Model of the vectors.")
    vectors: VectorsName = None
    into: str | None = Field(None, min_length=1, description="Name of the compacted vectors (default: NAME-compact).")
    target: str | None = Field(
        None,
        min_length=1,
        description='Find the settings that give the smallest files and keep a measure, for example "ndcg@10 >= 0.995 '
        'of original".',
    )
    mantissa_bits: int | None = Field(
        None, ge=1, le=22, description="Round weights to this many mantissa bits, not counting the leading 1."
    )
    levels: int | None = Field(None, ge=2, le=65_535, description="Round weights to this many equal steps.")
    minimum_weight: float = Field(0.0, ge=0, allow_inf_nan=False, description="Leave out terms below this weight.")
    term_quantile: float = Field(
        0.0, ge=0, lt=1, description="Leave out this share of each term's postings, the lightest first."
    )
    keep_terms: int | None = Field(None, ge=1, description="Keep this many terms of each document, the heaviest.")
    alpha_mass: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Keep the fewest heaviest terms of each document that sum to this share of its weights.",
    )
    files: Literal["plain", "split"] = Field(
        "plain",
        description="Form of the files. plain: every engine reads them. split: they are smaller, but Spark reads them "
        "only in sessions of spladelake, or with spark.sql.parquet.enableNestedColumnVectorizedReader=false.",
    )
    measures: Measures = Field(
        ("ndcg@10", "mrr@10", "recall@100"), description="Measures of the report, comma separated."
    )
    k: int = Field(
        100,
        ge=1,
        le=MOST_K,
        description="Documents to rank for each query of the report. A measure with a larger cutoff ranks more.",
    )
    permutations: Permutations = PERMUTATIONS_DEFAULT
    force: bool = Field(False, description="Compact again even if the compacted vectors are current.")

    @field_validator("target")
    @classmethod
    def _is_a_target(cls, text: str | None) -> str | None:
        try:
            if text is not None:
                Target.parse(text)
        except UsageError as error:
            raise OptionError(error.wanted.removeprefix("wanted "), error.fix, found=error.found) from None
        return text

    @model_validator(mode="after")
    def _goes_together(self) -> CompactVectors:
        if self.mantissa_bits is not None and self.levels is not None:
            found = "--mantissa-bits and --levels both round the weights"
            raise OptionsError(found, "one of the two options", "Leave out --mantissa-bits or --levels.")
        if self.target is not None and not self.compaction.is_lossless:
            given = listed((f"--{name.replace('_', '-')}" for name in self.compaction.changes), "and")
            found = f"--target is given together with {given}"
            wanted = "--target alone, because the job then chooses these settings itself"
            raise OptionsError(found, wanted, f"Leave out --target, or leave out {given}.")
        if self.depth > MOST_K:
            deepest = max(self.all_measures, key=_depth)
            found, fix = f"the measure {deepest} needs {self.depth:,} ranks", "Lower the cutoff of the measure."
            raise OptionsError(found, f"at most {MOST_K:,} ranks for each query", fix)
        return self

    @property
    def compaction(self) -> Compaction:
        """The settings that the user gave."""
        from spladelake.compaction import Compaction  # see config.base

        return Compaction(**{name: getattr(self, name) for name in Compaction.__dataclass_fields__})

    @property
    def all_measures(self) -> tuple[str, ...]:
        """Measures of the report, beginning with the measure of the target."""
        first = () if self.target is None else (Target.parse(self.target).measure,)
        return tuple(dict.fromkeys((*first, *self.measures)))

    @property
    def depth(self) -> int:
        """Number of documents to rank for each query: the depth of the deepest measure."""
        return max(self.k, *map(_depth, self.all_measures), 0)


def _depth(measure: str) -> int:
    """Return the number of ranks that a measure needs; 0 if every number will do."""
    from spladelake.measures import parse_measure

    return parse_measure(measure).depth or 0
