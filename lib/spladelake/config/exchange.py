"""Options of the jobs that read and write the files of other tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from spladelake.config.base import DEFAULT_MODEL, JobOptions, RankingOptions, VectorsName
from spladelake.config.refusals import OptionsError


class ImportRun(RankingOptions):
    """Read runs of another system into the lake, to measure and compare them like any other run."""

    run: str = Field(
        min_length=1,
        description="File, folder or pattern of the run: TREC or other lines of three or more columns, with or "
        "without a "
        "header; csv; sentence-transformers' predictions (jsonl); json of BEIR, ranx or MTEB; jsonl, Parquet or Delta.",
    )
    run_format: Literal["auto", "trec", "csv", "predictions", "jsonl", "json", "parquet", "delta"] = Field(
        "auto", description="Format. auto: by the file's name, and for JSON also by its first line."
    )
    ranking: str | None = Field(
        None,
        min_length=1,
        description="Name of the run (default: its name in the file, else the file's name). For a table: the run to "
        "import.",
    )
    order: Literal["scores", "ranks"] = Field(
        "scores",
        description="scores: order the documents by their scores, as trec_eval does. ranks: order them by their ranks, "
        "which then replace the scores.",
    )
    force: bool = Field(False, description="Read again even if the run is current.")


class ExportRun(RankingOptions):
    """Write a run or the judgements for trec_eval, ir_measures or sentence-transformers."""

    synonyms: ClassVar[Mapping[str, str]] = {"qrels": "judgements"}

    ranking: str | None = Field(None, min_length=1, description="Run to write.")
    output: str | None = Field(None, min_length=1, description="File of the run.")
    output_format: Literal["trec", "predictions"] = Field(
        "trec", description="Format of the run: TREC run, or sentence-transformers' predictions (jsonl)."
    )
    judgements: str | None = Field(None, min_length=1, description="File of the judgements, as TREC qrels.")

    @model_validator(mode="after")
    def _names_a_file(self) -> ExportRun:
        if self.output is None and self.judgements is None:
            fix = "Add --output and --ranking, or --judgements."
            raise OptionsError("there is nothing to write", "--output, --judgements or both", fix)
        if (self.output is None) != (self.ranking_name is None):
            missing, given = ("--output", "--ranking") if self.output is None else ("--ranking", "--output")
            found, wanted = f"{missing} is missing", "--ranking for the name of the run and --output for the file"
            raise OptionsError(found, wanted, f"Add {missing}, or leave out {given}.")
        return self


class ExportMeasures(RankingOptions):
    """Write a run's measures as csv, as yaml for a model card, or in the format of trec_eval.

    The csv has the form of sentence-transformers' evaluator.
    """

    ranking: str | None = Field(None, min_length=1, description="Run of the measures.")
    output: str = Field(min_length=1, description="File to write.")
    output_format: Literal["csv", "model-card", "trec_eval"] = Field(
        "csv",
        description="csv: as sentence-transformers' evaluator. model-card: yaml block for a model card. trec_eval: as "
        "the output of trec_eval -q.",
    )
    model_name: str | None = Field(
        None, min_length=1, description="Name of the model in the card (default: --ranking)."
    )
    dataset: str = Field("unknown", min_length=1, description="Name of the collection in the model card.")

    @model_validator(mode="after")
    def _names_a_run(self) -> ExportMeasures:
        if self.ranking_name is None:
            raise OptionsError("--ranking is missing", "the name of a measured run", "Add --ranking.")
        return self


VectorFormat = Literal[
    "anserini", "ciff", "seismic", "opensearch", "elasticsearch", "qdrant", "npz", "parquet"
]  # fmt: skip


class ExportVectors(JobOptions):
    """Write vectors as files that other engines load.

    An interrupted export resumes after its last finished part. An up-to-date export is skipped.
    """

    model: str = Field(DEFAULT_MODEL, description="Model of the vectors.")
    vectors: VectorsName = None
    side: Literal["documents", "queries"] = Field(
        "documents", description="Write the vectors of documents or of queries."
    )
    output: str = Field(min_length=1, description="Folder to write to.")
    output_format: VectorFormat = Field(
        description="anserini (JsonVectorCollection, Pyserini too), ciff (BMP, PISA), seismic, opensearch and "
        "elasticsearch (bulk), qdrant (points), npz (scipy, sentence-transformers), parquet (Hugging Face datasets)."
    )
    levels: int = Field(
        255,
        ge=1,
        le=1_000_000,
        description="anserini, ciff: weights become whole numbers. The largest weight becomes this number.",
    )
    gzip: bool = Field(False, description="Compress text files with gzip.")
    force: bool = Field(False, description="Write again even if the files are current.")


class ImportVectors(JobOptions):
    """Read vectors of another system, or files of export_vectors, into a lake."""

    input: str = Field(min_length=1, description="File, folder or pattern of the vectors.")
    input_format: Literal["anserini", "ciff", "seismic", "parquet"] = Field(
        description="anserini: JSON lines, also with fractions as weights. ciff: the index format of BMP and PISA. "
        "seismic: the JSON lines of Seismic. parquet: columns id, indices and values, as export_vectors writes them, "
        "of passages too."
    )
    side: Literal["documents", "queries"] = Field(
        "documents", description="Import the vectors as those of documents or of queries."
    )
    vectors: str = Field(min_length=1, description="Name of the vectors in the lake.")
    like: str | None = Field(
        None,
        min_length=1,
        description="Name of vectors in the lake whose vocabulary and model the imported vectors share (default: the "
        "terms of the files become a new vocabulary).",
    )
    step: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Multiply the numbers in the files by this step to get the weights (default: the step that "
        "export_vectors wrote beside the files, else 1).",
    )
    force: bool = Field(False, description="Read again even if the vectors are current.")
