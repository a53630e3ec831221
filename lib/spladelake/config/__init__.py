"""Options of every job, defined once: the command line, the pipeline file and the checks all read these models."""

from spladelake.config.base import DEFAULT_MODEL, JobOptions, Options, RankingOptions, checked
from spladelake.config.compaction import CompactVectors
from spladelake.config.comparison import CompareRuns
from spladelake.config.evaluation import EvaluateRun
from spladelake.config.exchange import ExportMeasures, ExportRun, ExportVectors, ImportRun, ImportVectors
from spladelake.config.fusion import FuseRuns
from spladelake.config.job import Job
from spladelake.config.jobs import JOBS
from spladelake.config.pipeline import Pipeline, load_pipeline
from spladelake.config.rerank import RerankRun
from spladelake.config.runs import IndexVectors, Ranking, RetrieveRun
from spladelake.config.texts import MAX_REJECTED_DEFAULT, EncodeTexts, FileFormat, IngestTexts
from spladelake.config.training import MinePairs, ScorePairs, TrainModel

__all__ = [
    "DEFAULT_MODEL",
    "JOBS",
    "MAX_REJECTED_DEFAULT",
    "CompactVectors",
    "CompareRuns",
    "EncodeTexts",
    "EvaluateRun",
    "ExportMeasures",
    "ExportRun",
    "ExportVectors",
    "FileFormat",
    "FuseRuns",
    "ImportRun",
    "ImportVectors",
    "IndexVectors",
    "IngestTexts",
    "Job",
    "JobOptions",
    "MinePairs",
    "Options",
    "Pipeline",
    "Ranking",
    "RankingOptions",
    "RerankRun",
    "RetrieveRun",
    "ScorePairs",
    "TrainModel",
    "checked",
    "load_pipeline",
]
