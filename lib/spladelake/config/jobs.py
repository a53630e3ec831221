"""The jobs, one row each. The command line, the pipeline file, the help pages and the tests come from these rows."""

from __future__ import annotations

from spladelake.config.compaction import CompactVectors
from spladelake.config.comparison import CompareRuns
from spladelake.config.evaluation import EvaluateRun
from spladelake.config.exchange import ExportMeasures, ExportRun, ExportVectors, ImportRun, ImportVectors
from spladelake.config.fusion import FuseRuns
from spladelake.config.job import EVERY_TABLE, Job
from spladelake.config.rerank import RerankRun
from spladelake.config.runs import IndexVectors, RetrieveRun
from spladelake.config.texts import EncodeTexts, IngestTexts
from spladelake.config.training import MinePairs, ScorePairs, TrainModel
from spladelake.config.upkeep import MaintainTables, VerifyTables
from spladelake.results import (
    CompactResult,
    CompareResult,
    EncodeResult,
    EvaluateResult,
    ExportMeasuresResult,
    ExportRunResult,
    ExportVectorsResult,
    FuseResult,
    ImportRunResult,
    ImportVectorsResult,
    IndexResult,
    IngestResult,
    MaintainResult,
    MineResult,
    RerankResult,
    RetrieveResult,
    ScoreResult,
    TrainResult,
    VerifyResult,
)

INGEST_TEXTS = Job(
    "ingest_texts", IngestTexts, "spladelake.spark.ingest.job:ingest_texts", IngestResult,
    group="prepare data",
    reads=(),
    writes=("documents", "queries", "judgements", "quarantine"),
    examples=(
        "spladelake ingest_texts --lake my-lake --source beir/scifact",
        "spladelake ingest_texts --lake my-lake --documents docs.tsv --queries queries.tsv --judgements qrels.txt",
        "spladelake ingest_texts --lake my-lake --documents p.parquet --document-id paper_id --document-text abstract",
        "spladelake ingest_texts --lake my-lake --source ir_datasets:msmarco-passage/dev/small",
    ),
)  # fmt: skip
ENCODE_TEXTS = Job(
    "encode_texts", EncodeTexts, "spladelake.spark.encode.job:encode_texts", EncodeResult,
    group="encode",
    reads=("documents", "queries", "vectors/NAME/documents"),
    writes=("vectors/NAME/documents", "vectors/NAME/queries", "vectors/NAME/vocabulary", "quarantine"),
    examples=(
        "spladelake encode_texts --lake my-lake",
        "spladelake encode_texts --lake my-lake --model splade-tiny --side queries",
        "spladelake encode_texts --lake my-lake --model ./document-model --query-model ./query-model",
        "spladelake encode_texts --lake my-lake --model bm25 --stemmer german --stopwords my-stopwords.txt",
        "spladelake encode_texts --lake my-lake --changes feed",
        "spark-submit jobs/encode_texts.py --lake s3a://bucket/lake --model /models/splade-mini",
    ),
)  # fmt: skip
INDEX_VECTORS = Job(
    "index_vectors", IndexVectors, "spladelake.spark.retrieve.index:index_vectors", IndexResult,
    group="encode",
    reads=("vectors/NAME/documents",),
    writes=("vectors/NAME/index",),
    examples=("spladelake index_vectors --lake my-lake --model splade-tiny",),
)  # fmt: skip
COMPACT_VECTORS = Job(
    "compact_vectors", CompactVectors, "spladelake.spark.compact.job:compact_vectors", CompactResult,
    group="encode",
    reads=("vectors/NAME/documents", "vectors/NAME/queries", "vectors/NAME/vocabulary", "judgements"),
    writes=("vectors/NAME/documents", "vectors/NAME/queries", "vectors/NAME/vocabulary", "compactions"),
    examples=(
        'spladelake compact_vectors --lake my-lake --target "ndcg@10 >= 0.995 of original"',
        "spladelake compact_vectors --lake my-lake --mantissa-bits 6 --into splade-mini-6bit",
        "spladelake compact_vectors --lake my-lake --alpha-mass 0.9 --levels 255",
    ),
)  # fmt: skip
RETRIEVE_RUN = Job(
    "retrieve_run", RetrieveRun, "spladelake.spark.retrieve.job:retrieve_run", RetrieveResult,
    group="retrieve",
    reads=("vectors/NAME/documents", "vectors/NAME/queries", "vectors/NAME/index", "documents", "runs"),
    writes=("runs",),
    examples=(
        "spladelake retrieve_run --lake my-lake --model splade-tiny --k 1000 --ranking tiny-1000",
        "spladelake retrieve_run --lake my-lake --where \"title LIKE 'A%'\" --minimum-score 5 --ranking only-a",
        "spladelake retrieve_run --lake my-lake --k 100 --also '{short: {k: 10, where: \"length(text) < 500\"}}'",
    ),
    lake_only=True,
    on_connect=True,
    not_on_connect=("where", "since_version"),
)  # fmt: skip
RERANK_RUN = Job(
    "rerank_run", RerankRun, "spladelake.spark.rerank.job:rerank_run", RerankResult,
    group="retrieve",
    reads=("documents", "queries", "runs"),
    writes=("runs",),
    examples=(
        "spladelake rerank_run --lake my-lake --run splade-mini --depth 100",
        "spladelake rerank_run --lake my-lake --run bm25 --cross-encoder /models/my-cross-encoder --ranking bm25-mine",
    ),
)  # fmt: skip
FUSE_RUNS = Job(
    "fuse_runs", FuseRuns, "spladelake.spark.rerank.fuse:fuse_runs", FuseResult,
    group="retrieve",
    reads=("runs",),
    writes=("runs",),
    examples=(
        "spladelake fuse_runs --lake my-lake --runs bm25,splade-mini",
        "spladelake fuse_runs --lake my-lake --runs bm25,splade-mini --method sum --weights 0.3,0.7 --ranking hybrid",
    ),
    lake_only=True,
)  # fmt: skip
EVALUATE_RUN = Job(
    "evaluate_run", EvaluateRun, "spladelake.spark.evaluate.job:evaluate_run", EvaluateResult,
    group="measure",
    reads=("runs", "judgements", "documents", "vectors/NAME/documents", "vectors/NAME/queries", "training/SET/parts"),
    writes=("measures",),
    examples=(
        "spladelake evaluate_run --lake my-lake --model splade-tiny",
        "spladelake evaluate_run --lake my-lake --ranking tiny --measures ndcg_cut_10,recall_1000 --relevance-level 2",
    ),
    lake_only=True,
    on_connect=True,
)  # fmt: skip
COMPARE_RUNS = Job(
    "compare_runs", CompareRuns, "spladelake.spark.evaluate.compare:compare_runs", CompareResult,
    group="measure",
    reads=("measures", "runs", "run_log"),
    writes=("comparisons/systems", "comparisons/costs", "comparisons/pairs", "comparisons/queries"),
    examples=(
        "spladelake compare_runs --lake my-lake --measures ndcg@10,mrr@10 --baseline bm25",
        "spladelake compare_runs --lake all --collections '{DL: dl, cranfield: c}' --run-ids bm25,splade-tiny",
    ),
    lake_only=True,
    on_connect=True,
)  # fmt: skip
MINE_PAIRS = Job(
    "mine_pairs", MinePairs, "spladelake.spark.train.mine:mine_pairs", MineResult,
    group="train",
    reads=("documents", "queries", "judgements", "runs"),
    writes=("training/SET/parts", "training/SET/pairs"),
    examples=(
        "spladelake mine_pairs --lake my-lake --run bm25 --negatives 4 --max-rank 50",
        "spladelake mine_pairs --lake my-lake --run fusion --choose random --min-rank 10 --relative-margin 0.05",
    ),
)  # fmt: skip
SCORE_PAIRS = Job(
    "score_pairs", ScorePairs, "spladelake.spark.train.score_pairs:score_pairs", ScoreResult,
    group="train",
    reads=("documents", "queries", "runs", "training/SET/pairs", "training/SET/teacher_scores"),
    writes=("training/SET/teacher_scores", "training/SET/scored_pairs"),
    examples=(
        "spladelake score_pairs --lake my-lake",
        "spladelake score_pairs --lake my-lake --teachers /models/teacher-a,/models/teacher-b --average scaled",
        "spladelake score_pairs --lake my-lake --teachers run:fusion",
    ),
)  # fmt: skip
TRAIN_MODEL = Job(
    "train_model", TrainModel, "spladelake.spark.train.job:train_model", TrainResult,
    group="train",
    reads=(
        "documents",
        "queries",
        "judgements",
        "runs",
        "training/SET/parts",
        "training/SET/pairs",
        "training/SET/scored_pairs",
    ),
    writes=(),
    examples=(
        "spladelake train_model --lake my-lake --model splade-tiny --output my-model",
        "spladelake train_model --lake my-lake --output my-model --loss ranking --batch-size 32 --learning-rate 2e-5",
        "spladelake train_model --lake my-lake --output my-model --processes 4 --precision bf16",
    ),
)  # fmt: skip
IMPORT_RUN = Job(
    "import_run", ImportRun, "spladelake.spark.exchange.import_run:import_run", ImportRunResult,
    group="exchange",
    reads=("documents", "queries"),
    writes=("runs",),
    examples=(
        "spladelake import_run --lake my-lake --run bm25.trec",
        "spladelake import_run --lake my-lake --run 'runs/dl*.bm25.trec' --ranking bm25",
    ),
)  # fmt: skip
EXPORT_RUN = Job(
    "export_run", ExportRun, "spladelake.spark.exchange.export_runs:export_run", ExportRunResult,
    group="exchange",
    reads=("runs", "judgements"),
    writes=(),
    examples=(
        "spladelake export_run --lake my-lake --ranking splade-tiny --output splade-tiny.trec --judgements qrels.txt",
    ),
)  # fmt: skip
EXPORT_MEASURES = Job(
    "export_measures", ExportMeasures, "spladelake.spark.exchange.export_runs:export_measures", ExportMeasuresResult,
    group="exchange",
    reads=("measures", "queries"),
    writes=(),
    examples=(
        "spladelake export_measures --lake my-lake --ranking splade-tiny --output results.csv",
        "spladelake export_measures --lake my-lake --ranking splade-tiny --output card.md --output-format model-card",
    ),
)  # fmt: skip
EXPORT_VECTORS = Job(
    "export_vectors", ExportVectors, "spladelake.spark.exchange.export_vectors:export_vectors", ExportVectorsResult,
    group="exchange",
    reads=("vectors/NAME/documents", "vectors/NAME/queries", "vectors/NAME/vocabulary"),
    writes=(),
    examples=(
        "spladelake export_vectors --lake my-lake --output seismic --output-format seismic",
        "spladelake export_vectors --lake my-lake --output ciff --output-format ciff --levels 255",
        "spladelake export_vectors --lake my-lake --output queries --output-format anserini --side queries",
    ),
)  # fmt: skip
IMPORT_VECTORS = Job(
    "import_vectors", ImportVectors, "spladelake.spark.exchange.import_vectors:import_vectors", ImportVectorsResult,
    group="exchange",
    reads=("vectors/NAME/vocabulary", "vectors/NAME/documents"),
    writes=("vectors/NAME/documents", "vectors/NAME/queries", "vectors/NAME/vocabulary"),
    examples=(
        "spladelake import_vectors --lake my-lake --input ciff --input-format ciff --vectors theirs",
        "spladelake import_vectors --lake my-lake --input theirs/ --input-format anserini --vectors theirs --step 0.01",
    ),
)  # fmt: skip
MAINTAIN_TABLES = Job(
    "maintain_tables", MaintainTables, "spladelake.spark.upkeep.maintain:maintain_tables", MaintainResult,
    group="upkeep",
    reads=(EVERY_TABLE,),
    writes=(EVERY_TABLE,),
    examples=("spladelake maintain_tables --lake my-lake --retention-hours 720",),
    lake_only=True,
)  # fmt: skip
VERIFY_TABLES = Job(
    "verify_tables", VerifyTables, "spladelake.spark.upkeep.verify:verify_tables", VerifyResult,
    group="upkeep",
    reads=(EVERY_TABLE,),
    writes=(),
    examples=("spladelake verify_tables --lake my-lake",),
    lake_only=True,
    on_connect=True,
)  # fmt: skip

JOBS: dict[str, Job] = {
    job.name: job
    for job in (
        INGEST_TEXTS,
        ENCODE_TEXTS,
        INDEX_VECTORS,
        COMPACT_VECTORS,
        RETRIEVE_RUN,
        RERANK_RUN,
        FUSE_RUNS,
        EVALUATE_RUN,
        COMPARE_RUNS,
        MINE_PAIRS,
        SCORE_PAIRS,
        TRAIN_MODEL,
        IMPORT_RUN,
        EXPORT_RUN,
        EXPORT_MEASURES,
        EXPORT_VECTORS,
        IMPORT_VECTORS,
        MAINTAIN_TABLES,
        VERIFY_TABLES,
    )
}
