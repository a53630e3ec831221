"""The results of the jobs, which commands print as JSON, the pipeline returns, and run log and displays read."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

# written: the job made its tables or files. skipped: they were current. forecast: the job encoded only a sample. done:
# the job checked or maintained tables. dry run: the job changed nothing, as the options asked. worse: the trained model
# measures below its start model on dev.
Status = Literal["written", "skipped", "forecast", "done", "dry run", "worse"]


class Result(TypedDict, total=False):
    """Entries that several jobs have.

    - status: always present.
    - table: the table that was written.
    - rows: number of rows of that table, or of the rows that the job wrote into it.
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
    """One table of an ingest.

    - rejected: number of records that went to quarantine.
    - read_as: how the job understood an unusual form of the input.
    """

    rejected: int
    read_as: str


class IngestResult(Result, total=False):
    """The tables that ingest_texts was asked for."""

    documents: TableOfTexts
    queries: TableOfTexts
    judgements: TableOfTexts


class SideResult(Result, total=False):
    """The vectors of one side (documents or queries).

    - docs_per_second, tokens_per_second: over the time of the whole work.
    - padding_waste: share of the tokens.
    - documents, passages: number of documents that were encoded, and how they are split; `rows` then counts passages.
    """

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
    documents: int
    passages: str


class EncodeResult(Result, total=False):
    """The sides that encode_texts was asked for. `query_model` is there if it is another model than `model`."""

    model: str
    query_model: str
    model_id: str
    documents: SideResult
    queries: SideResult


class IndexResult(Result, total=False):
    """The index of document vectors. `blocks` counts all blocks, `blocks_made` the new ones."""

    blocks: int
    blocks_made: int


class CompactResult(Result, total=False):
    """The compacted vectors. `compactions` has a row for each trial and measure."""

    vectors: str
    settings: dict[str, Any]
    target: str | None
    bytes: int
    bytes_before: int
    postings: int
    postings_before: int
    bytes_per_posting: float
    bytes_per_posting_before: float
    compactions: list[dict[str, Any]]


class RetrieveResult(Result, total=False):
    """The retrieved runs. `runs` has the rows and queries of each run, if there are several."""

    k: int
    queries: int
    queries_without_hit: int
    runs: dict[str, dict[str, int]]
    strategy: str
    products: int
    index: str
    candidates: int


class RerankResult(Result, total=False):
    """The re-ranked run.

    - pairs: number of query-document pairs in the run.
    - distinct_pairs: number of pairs that the cross-encoder scored.
    """

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
    """The fused run. `runs` has the names of the runs that were fused."""

    runs: list[str]
    queries: int


class EvaluateResult(Result, total=False):
    """The measures of a run. `spladelake.measures.notes.COUNTS` explains the counts.

    - measures: means by name.
    """

    queries: int
    measures: dict[str, float]
    queries_without_results: int
    queries_not_judged: int
    judged_documents_unknown: int
    decided_by_tie_rule: int
    ranks_against_scores: int


class CompareResult(Result, total=False):
    """The comparison of runs.

    - systems, costs, pairs, queries: rows of the tables of comparisons.
    """

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
    """The scored pairs of a training set.

    - pairs: number of distinct pairs in the set.
    - scored_now: number of pairs that this run of the job scored.
    """

    training_set: str
    teachers: list[str]
    model_id: str | None
    pairs: int
    pairs_without_score: int
    scored_now: int
    model_loads: int
    pairs_per_second: float


class TrainResult(Result, total=False):
    """The trained model. Times are in seconds.

    - status: worse if the model measures below its start model on the part dev, by --best.
    - dev_measures: measures of the best checkpoint on dev.
    - dev_measures_of_start: measures of the start model on dev.
    """

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
    """The imported runs.

    - run_ids: names of all runs in the input.
    - read_as: how the job understood an unusual form of the input.
    """

    run_ids: list[str]
    read_as: str
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
    """The exported vectors.

    - files: number of files.
    - quantisation: how weights became whole numbers; None if they did not.
    """

    format: str
    output: str
    files: int
    quantisation: Any


class ImportVectorsResult(Result, total=False):
    """The imported vectors. `step` is the weight of one unit of the input."""

    dimensions: int
    step: float


class MaintainResult(Result, total=False):
    """The maintenance of a lake, with counts of each table."""

    tables: dict[str, dict[str, Any]]


class VerifyResult(Result, total=False):
    """The verification of a lake. Each finding is a sentence. `tables` has the number of rows of each table."""

    findings: list[str]
    tables: dict[str, int]
