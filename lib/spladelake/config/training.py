"""Options of the jobs that train a model from runs: mining, teacher scores, distillation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from spladelake.config.base import DEFAULT_MODEL, ChunkMinutes, JobOptions, Options, TokenBudget
from spladelake.config.refusals import NAME_PATTERN, OptionError, OptionsError
from spladelake.config.rerank import DEFAULT_CROSS_ENCODER, PairLength, PairsPerTask
from spladelake.names import listed

# Prefix of a teacher that is a run of the lake: the job takes the run's scores instead of a model's.
RUN_TEACHER = "run:"
# Tokens of a text, special ones included, below which nothing can be learnt.
SHORTEST_TEXT = 8

TrainingSet = Annotated[
    str,
    Field(
        pattern=NAME_PATTERN,
        description="Name of the training set, and of the folder of its tables.",
    ),
]


class MinePairs(JobOptions):
    """Mine training pairs from judgements and a run: each positive with its hard negatives.

    The job first divides the judged queries into the parts train, dev and test, by a hash of their text. Only the
    queries of train become pairs. train_model selects the best checkpoint on dev. test is for the measures that you
    report (evaluate_run --part).
    """

    run: str = Field(
        min_length=1, description="Run whose documents become negatives, for example a run of BM25, SPLADE or a fusion."
    )
    training_set: TrainingSet = "default"
    negatives: int = Field(2, ge=1, le=100, description="Most negatives of each positive.")
    choose: Literal["top", "random"] = Field(
        "top",
        description="How negatives are chosen from the documents that qualify. top: the highest ranked. random: drawn "
        "by --seed.",
    )
    min_rank: int = Field(1, ge=1, description="Best rank that a negative may have.")
    max_rank: int = Field(100, ge=1, description="Worst rank that a negative may have.")
    min_score: float | None = Field(None, allow_inf_nan=False, description="Lowest score that a negative may have.")
    max_score: float | None = Field(None, allow_inf_nan=False, description="Highest score that a negative may have.")
    margin: float | None = Field(
        None,
        allow_inf_nan=False,
        description="Take a negative only if it scores at least this much less than the positive.",
    )
    relative_margin: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Take a negative only if it scores at most (1 - this value) times the score of the positive.",
    )
    near_duplicate: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Leave out documents that share their words with a positive or an earlier negative to this degree "
        "or more (Jaccard index of the sets of words).",
    )
    passages: Literal["best", "whole"] = Field(
        "best",
        description="Text of a document if the run is made of passages. best: the passage that the run names, with the "
        "title. whole: the whole text, of which the models read the beginning.",
    )
    relevance_level: int = Field(1, ge=1, description="Lowest grade that makes a document a positive.")
    positives: int | None = Field(
        None, ge=1, description="Most positives of each query, the highest grades first (default: all)."
    )
    dev_share: float = Field(0.1, ge=0, lt=1, description="Share of the judged queries that goes to dev.")
    test_share: float = Field(0.1, ge=0, lt=1, description="Share of the judged queries that goes to test.")
    seed: int = Field(42, ge=0, description="Seed of the parts and of --choose random.")
    force: bool = Field(False, description="Mine again even if the pairs are current.")

    @model_validator(mode="after")
    def _goes_together(self) -> MinePairs:
        if self.min_rank > self.max_rank:
            found = f"--min-rank {self.min_rank} is above --max-rank {self.max_rank}"
            raise OptionsError(found, f"--min-rank {self.max_rank} or less", "Lower --min-rank, or raise --max-rank.")
        if self.min_score is not None and self.max_score is not None and self.min_score > self.max_score:
            found = f"--min-score {self.min_score} is above --max-score {self.max_score}"
            raise OptionsError(
                found, f"--min-score {self.max_score} or less", "Lower --min-score, or raise --max-score."
            )
        if self.dev_share + self.test_share >= 1:
            found = f"--dev-share is {self.dev_share:g} and --test-share is {self.test_share:g}"
            wanted = "a sum below 1, because the other queries train the model"
            raise OptionsError(found, wanted, "Lower --dev-share or --test-share.")
        return self


class ScorePairs(JobOptions):
    """Score mined pairs with one or more teachers, and write margins beside the scores.

    A teacher is a cross-encoder, or run:RUN_ID for the scores of a run. The job scores each distinct pair once. A
    killed job resumes after its last commit.
    """

    training_set: TrainingSet = "default"
    teachers: tuple[str, ...] = Field(
        (DEFAULT_CROSS_ENCODER,),
        min_length=1,
        description="Teachers, comma separated: cross-encoders (Hugging Face id, local folder or package:NAME/folder) "
        "or run:RUN_ID for the scores of a run.",
    )
    average: Literal["mean", "scaled"] = Field(
        "mean",
        description="How the scores of several teachers are averaged. scaled: first give the scores of each teacher "
        "the mean and the standard deviation of the first teacher.",
    )
    max_length: PairLength = None
    token_budget: TokenBudget = None
    rows_per_task: PairsPerTask = None
    chunk_minutes: ChunkMinutes = 5.0
    chunk_rows: int | None = Field(None, ge=1, description="Commit after so many pairs, instead of by --chunk-minutes.")
    force: bool = Field(False, description="Write the scored pairs again even if they are current.")

    @field_validator("teachers", mode="before")
    @classmethod
    def _is_list(cls, given: Any) -> Any:
        return tuple(filter(None, (part.strip() for part in given.split(",")))) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _are_different(self) -> ScorePairs:
        if len(set(self.teachers)) < len(self.teachers):
            twice = next(name for name in self.teachers if self.teachers.count(name) > 1)
            found = f"--teachers contains the teacher {twice!r} twice"
            raise OptionsError(found, "each teacher once", "Name the teacher once.")
        if RUN_TEACHER in self.teachers:
            found = "--teachers contains 'run:' without the id of a run"
            raise OptionsError(found, "'run:RUN_ID'", "Add the id of a run.")
        return self


class Distillation(Options):
    """The recipe of a training. The defaults are those of the published card, except for its precision."""

    loss: Literal["margin-mse", "kl-divergence", "ranking"] = Field(
        "margin-mse",
        description="margin-mse: learn the teachers' margins. kl-divergence: learn the distribution of their scores. "
        "ranking: without a teacher, rank the positive above its negatives and the other documents of the batch.",
    )
    query_regularizer: float = Field(
        0.2, ge=0, allow_inf_nan=False, description="Weight of the FLOPS regulariser of queries."
    )
    document_regularizer: float = Field(
        0.12,
        ge=0,
        allow_inf_nan=False,
        description="Weight of the FLOPS regulariser of documents. A good value depends on the batch size.",
    )
    regularizer_schedule: Literal["quadratic", "linear"] = Field(
        "quadratic", description="How both weights of the regularisers grow from 0."
    )
    regularizer_warmup: float = Field(
        1 / 3, gt=0, le=1, description="Share of all steps in which both weights of the regularisers grow."
    )
    temperature: float = Field(
        2.0, gt=0, allow_inf_nan=False, description="kl-divergence: temperature of both distributions."
    )
    margin_floor: float | None = Field(
        None, allow_inf_nan=False, description="margin-mse: raise teacher margins below this value to it."
    )
    negatives: int | None = Field(
        None,
        ge=1,
        description="Use the first so many negatives of each pair, and leave out pairs with fewer (default: the "
        "number of the longest list).",
    )
    batch_size: int = Field(
        64, ge=1, description="Pairs in one optimizer step, over all processes and all passes of --accumulate."
    )
    accumulate: int = Field(1, ge=1, description="Forward passes in one optimizer step. More passes need less memory.")
    epochs: float = Field(4.0, gt=0, allow_inf_nan=False, description="Passes over the pairs.")
    max_steps: int | None = Field(None, ge=1, description="Number of steps, instead of --epochs.")
    learning_rate: float = Field(4e-5, gt=0, allow_inf_nan=False, description="Highest learning rate.")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="Schedule of the learning rate after the warm-up."
    )
    warmup: float = Field(0.025, ge=0, lt=1, description="Share of all steps in which the learning rate grows.")
    weight_decay: float = Field(0.0, ge=0, allow_inf_nan=False, description="Weight decay of AdamW.")
    precision: Literal["auto", "float32", "fp16", "bf16"] = Field(
        "auto",
        description="Precision of the matrix products. auto: fp16 if every process has a CUDA device, else float32.",
    )
    max_length: int | None = Field(
        None,
        ge=SHORTEST_TEXT,
        description="Most tokens read of each text, special tokens included, also by the trained model (default: the "
        "limit of the start model).",
    )
    evaluate_steps: int | None = Field(
        None,
        ge=1,
        description="Steps between two checkpoints; each checkpoint is evaluated on dev (default: an epoch).",
    )
    best: str = Field(
        "ndcg@10", min_length=1, description="Measure, computed on the dev queries, that selects the best checkpoint."
    )
    accept_worse: bool = Field(
        False, description="Write the model even if it scores lower than the start model on the dev queries, by --best."
    )
    log_steps: int = Field(10, ge=1, description="Steps between two lines of the log.")
    seed: int = Field(42, ge=0, description="Seed of the order of the pairs, of dropout and of new weights.")

    @field_validator("best")
    @classmethod
    def _is_known(cls, name: str) -> str:
        from spladelake.measures import CARD_MEASURES  # see config.base

        if name not in CARD_MEASURES:
            raise OptionError(listed(CARD_MEASURES))
        return name


class TrainModel(JobOptions, Distillation):
    """Train a model on the pairs of a training set.

    The job runs the trainer of sentence-transformers under TorchDistributor. It writes a folder in the layout of
    sentence-transformers, with a model card. A killed job resumes from its last checkpoint. The job ends with exit
    code 3 if the loss is not a number, if most vectors of the trained model are empty, or if the trained model scores
    lower than the start model on the dev queries. It then writes no model, and the checkpoints stay.
    """

    training_set: TrainingSet = "default"
    model: str = Field(
        DEFAULT_MODEL, description="Start model: a SPLADE model, or a masked-language model with its head."
    )
    output: str = Field(
        min_length=1,
        description="Folder of the trained model. The job keeps its work in progress beside it, in FOLDER.work.",
    )
    processes: int = Field(1, ge=1, description="Processes that train together, one for each GPU.")
    where: Literal["driver", "executors"] = Field(
        "driver",
        description="Run the processes on the driver's machine, or as Spark tasks. On a cluster, --output must be on "
        "storage that all machines share.",
    )
    gpu: Literal["auto", "yes", "no"] = Field("auto", description="Train on GPUs. auto: if Spark offers GPUs.")
    dev_queries: int = Field(2_000, ge=1, description="Most dev queries used to measure a checkpoint.")
    dev_documents: int = Field(
        50_000,
        ge=1,
        description="Size of the collection that dev queries search: the judged documents, the top documents of the "
        "mined run, and others drawn by a hash.",
    )
    force: bool = Field(False, description="Train from the start, even if checkpoints or a trained model exist.")

    @model_validator(mode="after")
    def _divides(self) -> TrainModel:
        parts = self.processes * self.accumulate
        if self.batch_size % parts:
            given = f"--processes is {self.processes} and --accumulate is {self.accumulate}"
            wanted = f"a multiple of {parts}, the product of --processes and --accumulate"
            larger = (self.batch_size // parts + 1) * parts
            fix = f"Set --batch-size to {listed(str(size) for size in (larger - parts, larger) if size)}."
            raise OptionsError(f"--batch-size is {self.batch_size}, while {given}", wanted, fix)
        return self
