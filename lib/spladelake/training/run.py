"""One process of a training: sentence-transformers' trainer, with checks before, during and after it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SparseEncoder, SparseEncoderTrainer, SparseEncoderTrainingArguments
from sentence_transformers.base.sampler import BatchSamplers
from sentence_transformers.sparse_encoder.model_card import SparseEncoderModelCardData
from transformers import PrinterCallback, set_seed
from transformers.utils.logging import disable_progress_bar

from spladelake.encoder import SpladeEncoder
from spladelake.encoder.hub import ID as HUB_ID
from spladelake.encoder.layout import CheckpointLayout
from spladelake.encoder.refusals import told_as_refusal
from spladelake.errors import DataError, MachineError, SpladelakeError, UsageError
from spladelake.training.card import append_comparison, start_measures
from spladelake.training.checkpoints import MarkComplete, last_complete, step_of
from spladelake.training.data import TrainingData
from spladelake.training.evaluation import HeldOutEvaluator
from spladelake.training.head import probe, trial, use_fused_head
from spladelake.training.logs import TrainingLog
from spladelake.training.losses import LABELS, regularizer_schedule, splade_loss
from spladelake.training.memory import check_fit
from spladelake.training.start import check_start
from spladelake.training.verdict import collapsed_at, emptied, verdict
from spladelake.training.work import HELD_OUT, Outcome, TrainingWork, total_steps

# The trainer keeps this many checkpoints: if a kill interrupts the write of the newest, the one before it is left.
KEPT_CHECKPOINTS = 2
# Environment variables by which torchrun tells a process its group.
GROUP = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Distiller(SparseEncoderTrainer):
    """sentence-transformers' trainer. It stops at a loss that is not finite, before the loss changes the weights."""

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Compute the loss and gradients of one step. Raises DataError if the loss of any process is not finite."""
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch=num_items_in_batch)
        broken = (~torch.isfinite(loss.detach())).float()
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(broken, op=torch.distributed.ReduceOp.MAX)
        if broken.item():
            last = last_complete(Path(str(self.args.output_dir)), clean=False)
            kept = f" To continue from step {step_of(last)}, give --model {last} and another --output." if last else ""
            said = loss.item() if not torch.isfinite(loss) else "not a number in another process"
            raise DataError(
                f"step {self.state.global_step + 1}",
                f"the loss is {said}",
                "wanted a finite number",
                f"Train again with a lower --learning-rate or with --precision float32.{kept}",
            )
        return loss


def run_training(work: TrainingWork) -> Outcome:
    """Train from the newest checkpoint or from the start, and write the model into the work folder.

    A SpladelakeError is returned in the outcome, because a raised one would not reach the driver complete.
    """
    began = time.time()
    try:
        with _alone() if work.processes == 1 else nullcontext():
            return _train(work, began)
    except SpladelakeError as error:
        return Outcome(status="failed", error=_as_told(error))


def _as_told(error: SpladelakeError) -> dict[str, Any]:
    """Return an error in the form that `Outcome.error` has."""
    parts = {"place": error.place, "found": error.found, "wanted": error.wanted, "fix": error.fix}
    return {"kind": type(error).__name__, **parts}


@contextmanager
def _alone() -> Iterator[None]:
    """Hide a launcher's group of one process: with it transformers would copy gradients and drop the last batch."""
    hidden = {name: os.environ.pop(name) for name in GROUP if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _train(work: TrainingWork, began: float) -> Outcome:
    trainer, written = trainer_of(work)
    checkpoint = last_complete(work.checkpoints, clean=trainer.is_world_process_zero())
    if checkpoint is not None:
        trainer.args.eval_on_start = False  # The log already has this evaluation.
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    state = trainer.state
    best = int(state.best_global_step) if state.best_global_step else None
    outcome = Outcome(
        steps=state.global_step,
        resumed_from=step_of(checkpoint) if checkpoint else 0,
        best_step=best,
        first_step=written.first_step,
        collapsed_at=collapsed_at(state.log_history, after=best),
        start_measures=start_measures(state.log_history),
    )
    if trainer.is_world_process_zero():
        outcome = _finish(trainer, work, outcome)
    return replace(outcome, seconds=round(time.time() - began, 2))


def trainer_of(work: TrainingWork) -> tuple[Distiller, TrainingLog]:
    """Return the trainer, ready to start, and the callback that writes its log.

    Raises DataError, UsageError or MachineError if the data, the settings or the memory do not allow the training.
    """
    disable_progress_bar()  # type: ignore[no-untyped-call]
    settings, data = work.settings, TrainingData(work.data)
    labels = LABELS[settings.loss]
    negatives = data.check(labels=labels)
    total_steps(settings, data.count("pairs"), processes=work.processes)
    arguments = training_arguments(work, has_dev=data.has_dev)
    # Before the model: it draws the weights that the start model lacks.
    set_seed(settings.seed)
    model = start_model(work)
    arguments.router_mapping = kinds = column_kinds(negatives)
    arguments.prompts = {column: prompt for column, kind in kinds.items() if (prompt := model.prompts.get(kind))}
    fused = use_fused_head(model)
    check_fit(model, data, work, negatives, fused=fused)
    evaluator = HeldOutEvaluator(data.held_out(), name=HELD_OUT, best=settings.best) if data.has_dev else None
    loss = splade_loss(model, settings)
    written = TrainingLog(work.log, work.progress)
    trainer = Distiller(
        model=model,
        args=arguments,
        train_dataset=data.pairs(labels=labels is not None),
        loss=loss,
        evaluator=evaluator,
        callbacks=[regularizer_schedule(loss, settings), written, MarkComplete()],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer, written


def column_kinds(negatives: int) -> dict[str, str]:
    """Return the kind of the texts in each column of the pairs: it decides their prompt and length, as in encoding."""
    return {"query": "query", "positive": "document"} | {f"negative_{i + 1}": "document" for i in range(negatives)}


def _finish(trainer: Distiller, work: TrainingWork, outcome: Outcome) -> Outcome:
    """Write the model and its card. Return the outcome with the measures of the card and the verdict."""
    measures: dict[str, float] = {}
    evaluator = trainer.evaluator
    if isinstance(evaluator, HeldOutEvaluator):
        prefix = f"{HELD_OUT}_"
        found = evaluator(trainer.model, epoch=int(trainer.state.epoch or -1), steps=trainer.state.global_step)
        measures = {name.removeprefix(prefix).removeprefix("dot_"): value for name, value in found.items()}
    fresh = work.model.with_name("model.new")
    shutil.rmtree(fresh, ignore_errors=True)
    trainer.model.save_pretrained(str(fresh))
    append_comparison(fresh / "README.md", work, outcome.start_measures, measures)
    shutil.copy(work.log, fresh / work.log.name)
    shutil.rmtree(work.model, ignore_errors=True)
    fresh.rename(work.model)
    empty = emptied(SpladeEncoder.load(str(work.model), device=str(trainer.model.device)), TrainingData(work.data))
    step = outcome.best_step or outcome.steps
    status, error = verdict(work, empty, outcome.start_measures, measures, step=step)
    return replace(outcome, status=status, measures=measures, error=None if error is None else _as_told(error))


def start_model(work: TrainingWork) -> SparseEncoder:
    """Load the start model with sentence-transformers: a SparseEncoder or a plain masked language model.

    The weights are loaded as float32, because training steps are too small for 16-bit weights. --precision sets only
    the precision of the products. Raises UsageError if the model cannot be trained.
    """
    layout = check_start(Path(work.start), name=work.name, max_length=work.settings.max_length)
    with trial(work.name):
        # The trained model has the same layout, so the encoder must be able to read it.
        SpladeEncoder.load(work.start, device="cpu")
        model = _loaded(work, layout)
        probe(model)
    return model


def _loaded(work: TrainingWork, layout: CheckpointLayout) -> SparseEncoder:
    card = SparseEncoderModelCardData(
        train_datasets=[{"name": work.source}], local_files_only=True, generate_widget_examples=False
    )
    device = None if on_gpu(work) else "cpu"
    with told_as_refusal(Path(work.start), "model"):
        model = SparseEncoder(
            work.start,
            device=device,
            model_card_data=card,
            local_files_only=True,
            model_kwargs={"dtype": torch.float32},
        )
    _set_lengths(model, layout, work.settings.max_length)
    # sentence-transformers would name the local folder. Readers of the card know a hub model by its id.
    card.base_model = work.name if HUB_ID.fullmatch(work.name) and not Path(work.name).exists() else None
    return model


def _set_lengths(model: SparseEncoder, layout: CheckpointLayout, max_length: int | None) -> None:
    """Have the model read texts at the lengths of the layout, or all texts at max_length.

    A start model can have a length in several places, and a larger one than its number of positions.
    """
    transformer: Any = model[0]
    query, document = (max_length, max_length) if max_length else (layout.query_length, layout.document_length)
    model.max_seq_length = document
    transformer.query_length, transformer.document_length = None if query == document else query, None
    for arguments in transformer.processing_kwargs.values():
        arguments.pop("max_length", None)


def on_gpu(work: TrainingWork) -> bool:
    """Whether this process trains on a GPU. Raises MachineError if --gpu yes is given and there is none."""
    there = torch.cuda.is_available()
    if work.gpu == "yes" and not there:
        raise MachineError(
            "--gpu yes",
            "torch finds no CUDA device",
            "wanted a CUDA device",
            "Use --gpu auto, or install a CUDA driver.",
        )
    return there and work.gpu != "no"


def training_arguments(work: TrainingWork, *, has_dev: bool) -> SparseEncoderTrainingArguments:
    """Return the settings as arguments of sentence-transformers' trainer.

    - work: the training.
    - has_dev: whether there is a dev part to evaluate checkpoints on.

    Raises UsageError if half precision is set on a CPU.
    """
    settings, gpu = work.settings, on_gpu(work)
    if settings.precision in ("fp16", "bf16") and not gpu:
        raise UsageError(
            "--precision",
            f"the value is {settings.precision}, but the training runs on a CPU",
            "wanted auto or float32",
            "Use --precision auto or float32.",
        )
    every = {"steps": settings.evaluate_steps} if settings.evaluate_steps else {}
    when = "steps" if every else "epoch"
    return SparseEncoderTrainingArguments(
        output_dir=str(work.checkpoints),
        per_device_train_batch_size=work.rows_per_pass,
        gradient_accumulation_steps=settings.accumulate,
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule if settings.schedule != "constant" else "constant_with_warmup",
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        fp16=settings.precision == "fp16" or (settings.precision == "auto" and gpu),
        bf16=settings.precision == "bf16",
        use_cpu=not gpu,
        seed=settings.seed,
        data_seed=settings.seed,
        batch_sampler=BatchSamplers.NO_DUPLICATES if settings.loss == "ranking" else BatchSamplers.BATCH_SAMPLER,
        save_strategy=when,
        save_steps=every.get("steps", 500),
        save_total_limit=KEPT_CHECKPOINTS,
        eval_strategy=when if has_dev else "no",
        eval_steps=every.get("steps"),
        eval_on_start=has_dev,
        load_best_model_at_end=has_dev,
        metric_for_best_model=f"eval_{HELD_OUT}_dot_{settings.best}" if has_dev else None,
        greater_is_better=True if has_dev else None,
        logging_steps=settings.log_steps,
        report_to=[],
        disable_tqdm=True,
        ddp_find_unused_parameters=False,
    )
