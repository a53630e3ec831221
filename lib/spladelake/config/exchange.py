"""Options of the jobs that read and write the files of other tools."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from spladelake.config.base import Lake, Options


class ImportRun(Options):
    """Read rankings that another system made into `runs`, to be measured and compared like any other run."""

    lake: Lake
    run: str = Field(
        min_length=1,
        description="TREC run, sentence-transformers' predictions (jsonl), or a runs table; file, folder or pattern.",
    )
    run_format: Literal["auto", "trec", "predictions", "delta"] = Field(
        "auto", description="Format; auto goes by the name."
    )
    run_id: str | None = Field(
        None,
        min_length=1,
        description="Name of the run (default: the file's own; predictions have none); of a table, the run to take.",
    )
    order: Literal["scores", "ranks"] = Field(
        "scores",
        description="What orders the documents: scores, as in trec_eval, or the ranks, which then become the scores.",
    )
    force: bool = Field(False, description="Read again even if the run is current.")


class ExportRun(Options):
    """Write a run or the judgements as files that trec_eval, ir_measures and sentence-transformers' users read."""

    lake: Lake
    run_id: str | None = Field(None, min_length=1, description="Run to write.")
    output: str | None = Field(None, min_length=1, description="File of the run.")
    output_format: Literal["trec", "predictions"] = Field(
        "trec", description="TREC run, or sentence-transformers' predictions (jsonl)."
    )
    judgements: str | None = Field(None, min_length=1, description="File to write the judgements to, as TREC qrels.")

    @model_validator(mode="after")
    def _names_a_file(self) -> ExportRun:
        if self.output is None and self.judgements is None:
            raise ValueError("nothing to write: give --output, --judgements or both")
        if (self.output is None) != (self.run_id is None):
            raise ValueError("--run-id and --output go together: which run, and where to")
        return self


class ExportMeasures(Options):
    """Write the measures of a run as sentence-transformers' csv, a model card's metrics, or trec_eval's output."""

    lake: Lake
    run_id: str = Field(min_length=1, description="Run whose measures are written.")
    output: str = Field(min_length=1, description="File to write.")
    output_format: Literal["csv", "model-card", "trec_eval"] = Field(
        "csv",
        description="csv as sentence-transformers' evaluator writes it, yaml block of a model card, or trec_eval -q.",
    )
    model_name: str | None = Field(None, min_length=1, description="Name in the model card (default: the run's).")
    dataset: str = Field("unknown", min_length=1, description="Collection's name in the model card.")
