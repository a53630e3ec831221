"""Options of the jobs that read and write the files of other tools."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from spladelake.config.base import DEFAULT_MODEL, JobOptions


class ImportRun(JobOptions):
    """Read runs of another system into the lake, to measure and compare them like any other run."""

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
        description="Order the documents by their scores, as trec_eval does, or by their ranks, which then become the "
        "scores.",
    )
    force: bool = Field(False, description="Read again even if the run is current.")


class ExportRun(JobOptions):
    """Write a run or the judgements as files for trec_eval, ir_measures or sentence-transformers."""

    run_id: str | None = Field(None, min_length=1, description="Run to write.")
    output: str | None = Field(None, min_length=1, description="File of the run.")
    output_format: Literal["trec", "predictions"] = Field(
        "trec", description="Format of the run: TREC run, or sentence-transformers' predictions (jsonl)."
    )
    judgements: str | None = Field(None, min_length=1, description="File of the judgements, as TREC qrels.")

    @model_validator(mode="after")
    def _names_a_file(self) -> ExportRun:
        if self.output is None and self.judgements is None:
            raise ValueError("nothing to write: give --output, --judgements or both")
        if (self.output is None) != (self.run_id is None):
            raise ValueError("--run-id and --output need each other: the run, and its file")
        return self


class ExportMeasures(JobOptions):
    """Write the measures of a run for sentence-transformers (csv), a model card (yaml) or users of trec_eval."""

    run_id: str = Field(min_length=1, description="Run of the measures.")
    output: str = Field(min_length=1, description="File to write.")
    output_format: Literal["csv", "model-card", "trec_eval"] = Field(
        "csv",
        description="csv of sentence-transformers' evaluator, yaml block of a model card, or output of trec_eval -q.",
    )
    model_name: str | None = Field(None, min_length=1, description="Name of the model in the card (default: the run).")
    dataset: str = Field("unknown", min_length=1, description="Name of the collection in the model card.")


VectorFormat = Literal[
    "anserini", "ciff", "seismic", "opensearch", "elasticsearch", "qdrant", "npz", "parquet"
]  # fmt: skip


class ExportVectors(JobOptions):
    """Write vectors as files that other engines load.

    An interrupted export resumes after its last finished part. An up-to-date export is skipped.
    """

    model: str = Field(DEFAULT_MODEL, description="Model of the vectors.")
    vectors: str | None = Field(
        None, min_length=1, description="Name of the vectors (default: the model's short name)."
    )
    side: Literal["documents", "queries"] = Field("documents", description="The side whose vectors are written.")
    output: str = Field(min_length=1, description="Folder to write to.")
    output_format: VectorFormat = Field(
        description="anserini (JsonVectorCollection, Pyserini too), ciff (BMP, PISA), seismic, opensearch and "
        "elasticsearch (bulk), qdrant (points), npz (scipy, sentence-transformers), parquet (Hugging Face datasets)."
    )
    levels: int = Field(
        255,
        ge=1,
        le=1_000_000,
        description="anserini and ciff hold whole numbers: the number of steps up to the largest weight.",
    )
    gzip: bool = Field(False, description="Compress text files with gzip.")
    force: bool = Field(False, description="Write again even if the files are current.")


class ImportVectors(JobOptions):
    """Read vectors of another system, or files of export_vectors, into a lake."""

    input: str = Field(min_length=1, description="File, folder or pattern of the vectors.")
    input_format: Literal["anserini", "ciff", "seismic"] = Field(
        description="anserini: lines of JSON with numbers of any kind. ciff: the format of BMP and PISA. seismic."
    )
    side: Literal["documents", "queries"] = Field("documents", description="The side of the vectors.")
    vectors: str = Field(min_length=1, description="Name of the vectors in the lake.")
    like: str | None = Field(
        None,
        min_length=1,
        description="Vectors of this lake with the same vocabulary and model (default: a vocabulary of the terms that "
        "are read).",
    )
    step: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Weight of one unit (default: the step that export_vectors noted beside the files, else 1).",
    )
    force: bool = Field(False, description="Read again even if the vectors are current.")
