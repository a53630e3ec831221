"""Options of the jobs that read and write the files of other tools."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from spladelake.config.base import DEFAULT_MODEL, JobOptions


class ImportRun(JobOptions):
    """Read rankings that another system made into `runs`, to be measured and compared like any other run."""

    run: str = Field(
        min_length=1,
        description="TREC run or lines of three columns or more, with a header or not; csv; sentence-transformers' "
        "predictions (jsonl); json of BEIR, ranx or MTEB; rows in jsonl, Parquet or Delta; file, folder or pattern.",
    )
    run_format: Literal["auto", "trec", "csv", "predictions", "jsonl", "json", "parquet", "delta"] = Field(
        "auto", description="Format; auto goes by the name, and of JSON by the first line."
    )
    run_id: str | None = Field(
        None,
        min_length=1,
        description="Name of the run (default: the one in the file, or the file's name); of a table, the run to take.",
    )
    order: Literal["scores", "ranks"] = Field(
        "scores",
        description="What orders the documents: scores, as in trec_eval, or the ranks, which then become the scores.",
    )
    force: bool = Field(False, description="Read again even if the run is current.")


class ExportRun(JobOptions):
    """Write a run or the judgements as files that trec_eval, ir_measures and sentence-transformers' users read."""

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


class ExportMeasures(JobOptions):
    """Write the measures of a run as sentence-transformers' csv, a model card's metrics, or trec_eval's output."""

    run_id: str = Field(min_length=1, description="Run whose measures are written.")
    output: str = Field(min_length=1, description="File to write.")
    output_format: Literal["csv", "model-card", "trec_eval"] = Field(
        "csv",
        description="csv as sentence-transformers' evaluator writes it, yaml block of a model card, or trec_eval -q.",
    )
    model_name: str | None = Field(None, min_length=1, description="Name in the model card (default: the run's).")
    dataset: str = Field("unknown", min_length=1, description="Collection's name in the model card.")


VectorFormat = Literal[
    "anserini", "ciff", "seismic", "opensearch", "elasticsearch", "qdrant", "npz", "parquet"
]  # fmt: skip


class ExportVectors(JobOptions):
    """Write vectors as the files that other engines load; a stopped export goes on where it was."""

    model: str = Field(DEFAULT_MODEL, description="Model whose vectors are written.")
    vectors: str | None = Field(None, min_length=1, description="Name of the vectors' folder (default: the model's).")
    side: Literal["documents", "queries"] = Field("documents", description="Which vectors.")
    output: str = Field(min_length=1, description="Folder to write to.")
    output_format: VectorFormat = Field(
        description="anserini (JsonVectorCollection, Pyserini too), ciff (BMP, PISA), seismic, opensearch and "
        "elasticsearch (bulk), qdrant (points), npz (scipy, sentence-transformers), parquet (Hugging Face datasets)."
    )
    levels: int = Field(
        255,
        ge=1,
        le=1_000_000,
        description="anserini and ciff hold whole numbers: how many steps to the largest weight.",
    )
    gzip: bool = Field(False, description="Compress files of text.")
    force: bool = Field(False, description="Write again even if the files are current.")


class ImportVectors(JobOptions):
    """Read vectors that another system made, or that export_vectors wrote, into a lake."""

    input: str = Field(min_length=1, description="File, folder or pattern.")
    input_format: Literal["anserini", "ciff", "seismic"] = Field(
        description="anserini: lines of JSON with numbers of any kind; ciff: what BMP and PISA exchange too; seismic."
    )
    side: Literal["documents", "queries"] = Field("documents", description="What the vectors are of.")
    vectors: str = Field(min_length=1, description="Name of the vectors' folder.")
    like: str | None = Field(
        None,
        min_length=1,
        description="Vectors of this lake whose vocabulary and model they share (default: one of their own terms).",
    )
    step: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Weight of one unit (default: as export_vectors noted beside the files, else 1).",
    )
    force: bool = Field(False, description="Read again even if the vectors are current.")
