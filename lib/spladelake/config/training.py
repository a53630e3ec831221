"""Options of the jobs that lead from runs back to a model: mining, teacher scores, distillation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from spladelake.config.base import DEFAULT_MODEL, JobOptions, Options
from spladelake.config.rerank import DEFAULT_CROSS_ENCODER

# How a teacher is named that is a run of the lake: its scores are taken instead of a model's.
RUN_TEACHER = "run:"

TrainingSet = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the training set: its tables' folder."),
]


class MinePairs(JobOptions):
    """Mine training pairs from judgements and a run: each judged positive with hard negatives, as ids.

    The judged queries are first put into the parts train, dev and test, by a hash of their text; only those of train
    become pairs. dev chooses the best checkpoint, test is for what is reported (evaluate_run --part).
    """

    run: str = Field(min_length=1, description="Run that the negatives are taken from: of BM25, SPLADE, a fusion.")
    training_set: TrainingSet = "default"
    negatives: int = Field(2, ge=1, le=100, description="Negatives of each positive, at most.")
    choose: Literal["top", "random"] = Field(
        "top", description="Which of the documents that qualify: the best ranked, or drawn by --seed."
    )
    min_rank: int = Field(1, ge=1, description="Best rank that a negative may have.")
    max_rank: int = Field(100, ge=1, description="Worst rank that a negative may have.")
    min_score: float | None = Field(None, allow_inf_nan=False, description="Lowest score that a negative may have.")
    max_score: float | None = Field(None, allow_inf_nan=False, description="Highest score that a negative may have.")
    margin: float | None = Field(
        None, allow_inf_nan=False, description="A negative scores at least so much less than the positive in the run."
    )
    relative_margin: float | None = Field(
        None, ge=0, lt=1, description="A negative scores at most (1 - this) times the positive's score in the run."
    )
    near_duplicate: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Leave out documents whose words are those of a positive, or of a negative before it, to this "
        "degree (Jaccard index of the sets of words).",
    )
    relevance_level: int = Field(1, ge=1, description="Smallest grade that makes a document a positive.")
    positives: int | None = Field(None, ge=1, description="Positives of each query, the highest grades (default: all).")
    dev_share: float = Field(0.1, ge=0, lt=1, description="Share of the judged queries that goes to dev.")
    test_share: float = Field(0.1, ge=0, lt=1, description="Share of the judged queries that goes to test.")
    seed: int = Field(42, ge=0, description="Seed of the parts and of --choose random.")
    force: bool = Field(False, description="Mine again even if the pairs are current.")

    @model_validator(mode="after")
    def _goes_together(self) -> MinePairs:
        if self.min_rank > self.max_rank:
            raise ValueError(f"--min-rank {self.min_rank} is above --max-rank {self.max_rank}")
        if self.min_score is not None and self.max_score is not None and self.min_score > self.max_score:
            raise ValueError(f"--min-score {self.min_score} is above --max-score {self.max_score}")
        if self.dev_share + self.test_share >= 1:
            raise ValueError("--dev-share and --test-share leave no query to train on")
        return self


class ScorePairs(JobOptions):
    """Score mined pairs with one or more teachers, each distinct pair once, and write margins beside the scores.

    A teacher is a cross-encoder, or run:RUN_ID for the scores that a run of the lake gives. A killed job goes on
    where it stopped.
    """

    training_set: TrainingSet = "default"
    teachers: tuple[str, ...] = Field(
        (DEFAULT_CROSS_ENCODER,),
        min_length=1,
        description="Cross-encoders (Hugging Face id, local folder, package:NAME/…) or run:RUN_ID, comma separated.",
    )
    average: Literal["mean", "scaled"] = Field(
        "mean",
        description="How several teachers become one score: their mean; or scaled, which first gives the scores of "
        "each the mean and deviation of the first teacher's.",
    )
    max_length: int | None = Field(None, ge=8, description="Tokens read of a pair (default: the model's own).")
    token_budget: int | None = Field(None, ge=16, description="Padded tokens in one forward pass.")
    rows_per_task: int | None = Field(None, ge=1, description="Pairs in one Spark task (default: by pairs and slots).")
    chunk_minutes: float = Field(
        5.0, gt=0, description="Minutes of work in one commit: what a killed run loses at most."
    )
    chunk_rows: int | None = Field(None, ge=1, description="Pairs in one commit, instead of --chunk-minutes.")
    force: bool = Field(False, description="Write the scored pairs again even if they are current.")

    @field_validator("teachers", mode="before")
    @classmethod
    def _is_list(cls, given: Any) -> Any:
        return tuple(filter(None, (part.strip() for part in given.split(",")))) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _are_different(self) -> ScorePairs:
        if len(set(self.teachers)) < len(self.teachers):
            raise ValueError("--teachers names one twice")
        if RUN_TEACHER in self.teachers:
            raise ValueError("run: names no run; wanted run:RUN_ID")
        return self


class Distillation(Options):
    """How a model is trained. The defaults are the recipe of the published card, its precision apart."""

    loss: Literal["margin-mse", "kl-divergence", "ranking"] = Field(
        "margin-mse",
        description="margin-mse: the teachers' margins; kl-divergence: the distribution of their scores; ranking: no "
        "teacher, the positive above the negatives and all other documents of the batch.",
    )
    query_regularizer: float = Field(0.2, ge=0, allow_inf_nan=False, description="Weight of FLOPS of the queries.")
    document_regularizer: float = Field(
        0.12, ge=0, allow_inf_nan=False, description="Weight of FLOPS of the documents; it depends on the batch size."
    )
    regularizer_schedule: Literal["quadratic", "linear"] = Field(
        "quadratic", description="How both weights grow from 0."
    )
    regularizer_warmup: float = Field(
        1 / 3, gt=0, le=1, description="Share of all steps after which both weights are in full force."
    )
    temperature: float = Field(2.0, gt=0, allow_inf_nan=False, description="kl-divergence: softens both distributions.")
    margin_floor: float | None = Field(
        None, allow_inf_nan=False, description="margin-mse: raise smaller margins of the teachers to this."
    )
    negatives: int | None = Field(
        None, ge=1, description="Negatives of each pair, the first ones (default: as many as the longest list)."
    )
    batch_size: int = Field(64, ge=1, description="Pairs of one step, over all processes and --accumulate.")
    accumulate: int = Field(1, ge=1, description="Forward passes that a step's batch is cut into, to save memory.")
    epochs: float = Field(4.0, gt=0, allow_inf_nan=False, description="Passes over the pairs.")
    max_steps: int | None = Field(None, ge=1, description="Steps, instead of --epochs.")
    learning_rate: float = Field(4e-5, gt=0, allow_inf_nan=False, description="Highest learning rate.")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="Learning rate after the warm-up.")
    warmup: float = Field(0.025, ge=0, lt=1, description="Share of all steps in which the learning rate grows.")
    weight_decay: float = Field(0.0, ge=0, allow_inf_nan=False, description="Of AdamW.")
    precision: Literal["auto", "float32", "fp16", "bf16"] = Field(
        "auto", description="Of the products: auto is fp16 where every process has a CUDA device, else float32."
    )
    max_length: int | None = Field(
        None, ge=8, description="Tokens read of a text, also by the trained model (default: the start model's)."
    )
    evaluate_steps: int | None = Field(
        None, ge=1, description="Steps from one checkpoint and evaluation to the next (default: an epoch)."
    )
    best: str = Field("ndcg@10", min_length=1, description="Measure on dev that chooses the checkpoint.")
    log_steps: int = Field(10, ge=1, description="Steps from one line of the log to the next.")
    seed: int = Field(42, ge=0, description="Of the order of the pairs, dropout and new weights.")

    @field_validator("best")
    @classmethod
    def _is_known(cls, name: str) -> str:
        from spladelake.measures import CARD_MEASURES  # see config.base

        if name not in CARD_MEASURES:
            raise ValueError(f"one of {', '.join(CARD_MEASURES)}")
        return name


class TrainModel(JobOptions, Distillation):
    """Train a model on the pairs of a training set, with sentence-transformers' trainer under TorchDistributor.

    The folder it writes is in sentence-transformers' layout, with a model card. A killed job goes on from its last
    checkpoint. Loss that is not a number ends it with exit code 3; the last good checkpoint stays.
    """

    training_set: TrainingSet = "default"
    model: str = Field(
        DEFAULT_MODEL, description="Model to start from: a SPLADE model, or a BERT with its head for masked tokens."
    )
    output: str = Field(min_length=1, description="Folder of the trained model; work in progress is in FOLDER.work.")
    processes: int = Field(1, ge=1, description="Processes that train together, one a GPU.")
    where: Literal["driver", "executors"] = Field(
        "driver",
        description="Whether they run beside the driver or as Spark tasks. A cluster's machines must share --output.",
    )
    gpu: Literal["auto", "yes", "no"] = Field("auto", description="Train on GPUs: auto where Spark has some to give.")
    dev_queries: int = Field(2_000, ge=1, description="Queries of dev that a checkpoint is measured on, at most.")
    dev_documents: int = Field(
        50_000,
        ge=1,
        description="Documents they are searched in: the judged ones, the best of the mined run, and others by hash.",
    )
    force: bool = Field(False, description="Train anew, leaving out checkpoints and the model that are there.")

    @model_validator(mode="after")
    def _divides(self) -> TrainModel:
        parts = self.processes * self.accumulate
        if self.batch_size % parts:
            raise ValueError(
                f"--batch-size {self.batch_size} is no multiple of --processes {self.processes} times "
                f"--accumulate {self.accumulate}"
            )
        return self
