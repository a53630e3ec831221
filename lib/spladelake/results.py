"""The results of the jobs: what a command prints as JSON, the pipeline returns, and the run log and displays read."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

# written: the job made its tables or files. skipped: they were current. forecast: only a sample was encoded.
# done: tables were checked or maintained. dry run: the job changed nothing, as it was asked to.
Status = Literal["written", "skipped", "forecast", "done", "dry run", "worse"]


class Result(TypedDict, total=False):
    """Entries that several jobs have.

    - status: always there.
    - table: the table that was written.
    - rows: rows of that table, or those that the job wrote into it.
    - seconds: time of the work; absent if the job was skipped.
    - run_id, run_date: the names that the scheduler, or the job itself, gave to the run.
    """

    status: Status
    table: str
    rows: int
    seconds: float
    run_id: str
    run_date: str


class TableOfTexts(Result, total=False):
    """One table of an ingest. rejected: records that went to quarantine."""

    rejected: int


class IngestResult(Result, total=False):
    """The tables that ingest_texts was asked for."""

    documents: TableOfTexts
    queries: TableOfTexts
    judgements: TableOfTexts


class SideResult(Result, total=False):
    """The vectors of one side. Rates are per second of the whole work; padding_waste is a share of the tokens."""

    distinct_texts: int
    docs_per_second: float
    tokens_per_second: float
    padding_waste: float
    active_dims: float
    truncated: int
    model_loads: int
    statuses: dict[str, int]
    warnings: dict[str, int]
    resumed: int
    rejected: int


class EncodeResult(Result, total=False):
    """The sides that encode_texts was asked for."""

    model: str
    model_id: str
    documents: SideResult
    queries: SideResult


class IndexResult(Result, total=False):
    """blocks: all blocks of the index; blocks_made: those that were new."""

    blocks: int
    blocks_made: int


class CompactResult(Result, total=False):
    """compactions: a row for each setting that was tried and each measure."""

    vectors: str
    postings: int
    postings_before: int
    bytes_per_posting: float
    bytes_per_posting_before: float
    compactions: list[dict[str, Any]]


class RetrieveResult(Result, total=False):
    """runs: rows and queries of each run, if there are several."""

    k: int
    queries: int
    queries_without_hit: int
    runs: dict[str, dict[str, int]]
    strategy: str
    products: int
    index: str
    candidates: int


class RerankResult(Result, total=False):
    """pairs: those of the run; distinct_pairs: those that the cross-encoder scored."""

    run: str
    model: str
    model_id: str
    pairs: int
    distinct_pairs: int
    pairs_per_second: float
    tokens: int
    padding_waste: float
    model_loads: int


class FuseResult(Result, total=False):
    """runs: those that were fused."""

    runs: list[str]
    queries: int


class EvaluateResult(Result, total=False):
    """measures: means by name. The counts are those of `spladelake.measures.notes.COUNTS`."""

    queries: int
    measures: dict[str, float]
    queries_without_results: int
    queries_not_judged: int
    judged_documents_unknown: int
    decided_by_tie_rule: int
    ranks_against_scores: int


class CompareResult(Result, total=False):
    """systems, costs, pairs, queries: rows of the tables of comparisons."""

    comparison: str
    baseline: str | None
    significance: float
    systems: list[dict[str, Any]]
    costs: list[dict[str, Any]]
    pairs: list[dict[str, Any]]
    queries: list[dict[str, Any]]


class MineResult(Result, total=False):
    """Counts of a training set."""

    training_set: str
    run: str
    positives: int
    negatives: int
    without_negatives: int
    with_fewer_negatives: int
    positives_without_text: int
    queries_train: int
    queries_dev: int
    queries_test: int


class ScoreResult(Result, total=False):
    """pairs: distinct pairs of the set; scored_now: those that this run scored."""

    training_set: str
    teachers: list[str]
    model_id: str | None
    pairs: int
    scored_now: int
    model_loads: int
    pairs_per_second: float


class TrainResult(Result, total=False):
    """dev_measures: of the best checkpoint on dev, status worse if --best is below the start. Times are in seconds."""

    output: str
    model: str
    training_set: str
    model_id: str
    with_fewer_negatives: int
    queries: int
    documents: int
    steps: int
    resumed_from: int | None
    best_step: int | None
    collapsed_at_step: int | None
    dev_measures: dict[str, float]
    dev_measures_of_start: dict[str, float]
    seconds_to_first_step: float | None
    training_seconds: float


class ImportRunResult(Result, total=False):
    """run_ids: all runs of the input."""

    run_ids: list[str]
    ranks_against_scores: int


class FileResult(Result, total=False):
    """One file that was written."""

    file: str


class ExportMeasuresResult(FileResult, total=False):
    """The file of the measures."""


class ExportRunResult(Result, total=False):
    """The files that export_run was asked for."""

    run: FileResult
    judgements: FileResult


class ExportVectorsResult(Result, total=False):
    """files: number of files; quantisation: how weights became whole numbers, if they did."""

    format: str
    output: str
    files: int
    quantisation: Any


class ImportVectorsResult(Result, total=False):
    """step: weight of one unit of the input."""

    dimensions: int
    step: float


class MaintainResult(Result, total=False):
    """tables: what was done to each."""

    tables: dict[str, dict[str, Any]]


class VerifyResult(Result, total=False):
    """findings: one sentence each; tables: rows of each table."""

    findings: list[str]
    tables: dict[str, int]
