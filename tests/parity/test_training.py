"""Training does what sentence-transformers' own trainer does, survives a kill, and stops at numbers that are none."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from sentence_transformers import SparseEncoder, SparseEncoderTrainer, SparseEncoderTrainingArguments
from sentence_transformers.sparse_encoder import losses
from sentence_transformers.sparse_encoder.callbacks.splade_callbacks import SpladeRegularizerWeightSchedulerCallback
from sentence_transformers.sparse_encoder.evaluation import SparseInformationRetrievalEvaluator
from transformers import TrainerCallback, set_seed

from spladelake.encoder import SpladeEncoder, resolve_checkpoint
from spladelake.encoder.layout import read_layout
from spladelake.errors import DataError, MachineError, UsageError
from spladelake.training import TrainingData, train
from spladelake.training.evaluation import held_out_measures
from spladelake.training.head import use_fused_head
from spladelake.training.memory import check_fit, free_bytes
from spladelake.training.run import start_model, trainer_of
from support.collections import FRUIT, QUESTIONS
from support.families import bert
from support.training_data import DOCUMENTS, PAIRS, margins, small_work

TINY = resolve_checkpoint("splade-tiny").folder
SCORES = [scores for _, _, scores in PAIRS]


class Recorder(TrainerCallback):
    """Keeps loss and gradients of every step."""

    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []
        self.gradients: list[dict[str, torch.Tensor]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "loss" in logs:
            self.losses.append(dict(logs))


def by_sentence_transformers(folder: Path, loss_name: str) -> Recorder:
    """The script of its documentation, on the same texts as plain columns."""
    set_seed(42)
    model = SparseEncoder(TINY, device="cpu", local_files_only=True)
    model.max_seq_length = 24
    texts = list(QUESTIONS.values())
    columns: dict[str, list[Any]] = {
        "query": [texts[query] for query, _, _ in PAIRS],
        "positive": [DOCUMENTS[documents[0]] for _, documents, _ in PAIRS],
        "negative_1": [DOCUMENTS[documents[1]] for _, documents, _ in PAIRS],
        "negative_2": [DOCUMENTS[documents[2]] for _, documents, _ in PAIRS],
    }
    base: Any
    sampler = "batch_sampler"
    if loss_name == "margin-mse":
        base, columns["label"] = losses.SparseMarginMSELoss(model), [margins(scores) for scores in SCORES]
    elif loss_name == "kl-divergence":
        base, columns["label"] = losses.SparseDistillKLDivLoss(model, temperature=2.0), SCORES
    else:
        base, sampler = losses.SparseMultipleNegativesRankingLoss(model), "no_duplicates"
    loss = losses.SpladeLoss(model, base, document_regularizer_weight=0.12, query_regularizer_weight=0.2)
    arguments = SparseEncoderTrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=2, max_steps=4, learning_rate=1e-3,
        lr_scheduler_type="cosine", warmup_steps=0.025, seed=42, logging_steps=1, report_to=[], use_cpu=True,
        batch_sampler=sampler, save_strategy="no",
    )  # fmt: skip
    recorder = Recorder()
    SparseEncoderTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_dict(columns), loss=loss,
        callbacks=[SpladeRegularizerWeightSchedulerCallback(loss), recorder],
    ).train()  # fmt: skip
    return recorder


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "loss", ["margin-mse", pytest.param("kl-divergence", marks=SLOW), pytest.param("ranking", marks=SLOW)]
)
def test_steps_have_the_loss_and_gradients_of_sentence_transformers_own_script(tmp_path: Path, loss: str) -> None:
    labels = SCORES if loss == "kl-divergence" else None
    recorder = Recorder()
    trainer, _ = trainer_of(small_work(tmp_path / "ours", labels=labels, dev=False, loss=loss))
    trainer.add_callback(recorder)
    trainer.train()
    reference = by_sentence_transformers(tmp_path / "theirs", loss)
    assert len(recorder.losses) == len(reference.losses) == 4
    for found, wanted in zip(recorder.losses, reference.losses, strict=True):
        for name in ("loss", "base_loss", "query_regularizer_loss", "document_regularizer_loss", "learning_rate"):
            # The same sums on the same machine: equal but for the order in which threads add.
            assert found[name] == pytest.approx(wanted[name], rel=1e-4, abs=1e-6), name
    for ours, theirs in zip(recorder.gradients, reference.gradients, strict=True):
        assert ours.keys() == theirs.keys()
        for name, gradient in theirs.items():
            torch.testing.assert_close(ours[name], gradient, rtol=1e-3, atol=1e-4 * float(gradient.abs().max()) + 1e-9)


@pytest.mark.slow  # by default, test_training_starts trains smaller models, with the checks at the end of a training
def test_the_trained_folder_loads_everywhere_with_equal_vectors_and_its_card_shows_the_measures(tmp_path: Path) -> None:
    # A low rate: where a query has no term left, its documents of score 0 are listed by the reference only.
    work = small_work(tmp_path, evaluate_steps=2, learning_rate=1e-4)
    outcome = train(work)
    assert outcome.error is None
    assert outcome.steps == 4
    reference = SparseEncoder(str(work.model), device="cpu", local_files_only=True)
    encoder = SpladeEncoder.load(str(work.model))
    wanted = reference.encode_document(DOCUMENTS, convert_to_sparse_tensor=False).numpy()
    start = SpladeEncoder.load("splade-tiny").encode_documents(DOCUMENTS)
    found = np.zeros_like(wanted)
    vectors = encoder.encode_documents(DOCUMENTS)
    for row in range(len(vectors)):
        indices, values = vectors.row(row)
        found[row, indices] = values
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert start.values.tolist() != vectors.values.tolist(), "training changed the model"
    evaluator = SparseInformationRetrievalEvaluator(
        QUESTIONS, FRUIT, {"q1": {"apple"}, "q2": {"river"}, "q3": {"bread"}}, show_progress_bar=False, write_csv=False
    )
    theirs = evaluator(reference)
    for name, value in outcome.measures.items():
        assert value == pytest.approx(theirs[name if name in theirs else f"dot_{name}"], abs=1e-4), name
    card = (work.model / "README.md").read_text(encoding="utf-8")
    before = evaluator(SparseEncoder(TINY, device="cpu", local_files_only=True))
    for name in ("ndcg@10", "mrr@10", "recall@5"):
        assert f"| {name} | {before[f'dot_{name}']:.4f} | {theirs[f'dot_{name}']:.4f} |" in card
    assert "dot_map@100" in card, "the table of sentence-transformers' own cards"
    assert "splade-tiny" in card
    assert "learning_rate" in card
    with (work.model / "training_log.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows if row["loss"]] == ["1", "2", "3", "4"]
    # Quadratic over the first third of four steps, which is one: full force from the second step on.
    assert [float(row["document_regularizer_weight"]) for row in rows if row["loss"]] == [0.0, 0.12, 0.12, 0.12]
    assert [row["step"] for row in rows if row["eval_held-out_dot_ndcg@10"]] == ["0", "2", "4"]


def test_a_loss_that_is_no_number_ends_training_with_the_step_and_the_last_good_checkpoint(tmp_path: Path) -> None:
    labels = [margins(scores) for scores in SCORES]
    order = torch.randperm(len(PAIRS), generator=torch.Generator().manual_seed(42)).tolist()
    labels[order[-1]][0] = 1e30  # its square is more than float32 holds
    work = small_work(tmp_path, labels=labels, dev=False, max_steps=6, evaluate_steps=1)
    outcome = train(work)
    assert outcome.error is not None
    assert outcome.error["kind"] == "DataError"
    step = int(outcome.error["place"].removeprefix("step "))
    assert 1 < step <= 3, "the last pair of an epoch of three steps"
    last = work.checkpoints / f"checkpoint-{step - 1}"
    assert outcome.error["fix"].endswith(f"from step {step - 1}, give --model {last} and another --output.")
    assert not work.model.exists()
    kept = SparseEncoder(str(last), device="cpu", local_files_only=True)
    assert np.isfinite(kept.encode_document(DOCUMENTS, convert_to_sparse_tensor=False).numpy()).all()


@pytest.mark.parametrize(
    ("labels", "settings", "error", "says"),
    [
        ([[1.0, float("nan")], *[[1.0, 2.0]] * 5], {}, DataError, "a label is nan"),
        ([[1.0, 2.0, 3.0], *[[1.0, 2.0]] * 5], {}, DataError, "row 0: the pair has 3 labels; wanted 2 labels"),
        ([[1.5, 1.5]] * 6, {}, DataError, "all 12 labels are 1.5"),
        (None, {"batch_size": 8}, UsageError, "there are 6 pairs to train on"),
        (None, {"precision": "fp16"}, UsageError, "but the training runs on a CPU"),
    ],
)
def test_data_and_settings_that_cannot_be_trained_on_are_refused_before_the_first_step(
    tmp_path: Path, labels: Any, settings: dict[str, Any], error: type[Exception], says: str
) -> None:
    work = small_work(tmp_path, labels=labels, **settings)
    with pytest.raises(error, match=says):
        trainer_of(work)
    outcome = train(work)
    assert outcome.error is not None
    assert outcome.error["kind"] == error.__name__
    assert not work.checkpoints.exists()


def test_the_fused_head_has_the_vectors_and_gradients_of_plain_autograd_from_sparse_and_dense_starts() -> None:
    texts = [*DOCUMENTS, "", "a"]
    for shift in (0.0, 100.0):  # such a bias makes all terms active, as in a model that is no SPLADE model yet
        plain, fused = (SparseEncoder(TINY, device="cpu", local_files_only=True).train() for _ in range(2))
        for model in (plain, fused):
            for module in model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
            with torch.no_grad():
                model[0].model.get_output_embeddings().bias += shift
        assert use_fused_head(fused)
        target = torch.rand(len(texts), 30522, generator=torch.Generator().manual_seed(1))
        found = []
        for model in (plain, fused):
            weights = model(model.preprocess(texts))["sentence_embedding"]
            ((weights * target).sum() + weights.mean(0).square().sum()).backward()
            found.append((weights.detach(), {name: p.grad for name, p in model.named_parameters()}))
        (wanted, their_gradients), (weights, gradients) = found
        assert (wanted > 0).float().mean() > (0.9 if shift else 0.0)
        torch.testing.assert_close(weights, wanted, rtol=0, atol=1e-5)
        largest = max(float(g.abs().max()) for g in their_gradients.values() if g is not None)
        for name, gradient in their_gradients.items():
            if gradient is None:
                assert gradients[name] is None
                continue
            # Sums of up to a million products: relative to the largest of the tensor, or where all of it is rounding,
            # as of a bias that softmax cancels, to the largest of all.
            allowed = 2e-4 * float(gradient.abs().max()) + 1e-6 * largest
            torch.testing.assert_close(gradients[name], gradient, rtol=0, atol=allowed)


def test_a_batch_that_does_not_fit_into_memory_is_refused_with_what_would(tmp_path: Path) -> None:
    work = small_work(tmp_path, dev=False, batch_size=6)
    model = SparseEncoder(TINY, device="cpu", local_files_only=True)
    data, mib = TrainingData(work.data), 2**20
    check_fit(model, data, work, 2, fused=False, available=2**31)
    # The weights are 17 MB: gradients and moments take three times that.
    weights = 3 * sum(file.stat().st_size for file in Path(TINY).glob("*.safetensors"))
    # 6 pairs of 18 documents with at most 21 tokens and 6 queries: some 200 MB, of which a third fits.
    check_fit(model, data, work, 2, fused=True, available=weights + 80 * mib)
    said = r"--batch-size 6: .* pass over 6 pairs, each with 2 negatives, .* Use --accumulate [36],"
    with pytest.raises(MachineError, match=said):
        check_fit(model, data, work, 2, fused=False, available=weights + 80 * mib)
    with pytest.raises(MachineError, match="Use a machine or device with more memory"):
        check_fit(model, data, work, 2, fused=True, available=weights - mib)


def test_processes_on_one_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = free_bytes(torch.device("cpu"))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")  # as torchrun sets it
    shared = free_bytes(torch.device("cpu"))
    assert alone is not None
    assert shared == pytest.approx(alone / 4, rel=0.3)  # others take and free memory meanwhile


def test_measures_on_the_dev_part_are_those_of_sentence_transformers_evaluator(tmp_path: Path) -> None:
    work = small_work(tmp_path)
    found = held_out_measures(SpladeEncoder.load("splade-tiny"), TrainingData(work.data).held_out())
    relevant = {"q1": {"apple"}, "q2": {"river"}, "q3": {"bread"}}
    evaluator = SparseInformationRetrievalEvaluator(
        QUESTIONS, FRUIT, relevant, show_progress_bar=False, write_csv=False
    )
    wanted = evaluator(SparseEncoder(TINY, device="cpu", local_files_only=True))
    for name, value in found.items():
        assert value == pytest.approx(wanted[name if name in wanted else f"dot_{name}"], abs=1e-4), name


def test_texts_are_trained_with_the_prompts_and_lengths_that_they_are_encoded_with(tmp_path):
    plain = bert(tmp_path / "plain")
    start = SparseEncoder(str(plain), device="cpu", prompts={"query": "find: ", "document": "buyer of "})
    start[0].query_length = 9
    start.save_pretrained(str(tmp_path / "start"))
    work = replace(small_work(tmp_path / "work", dev=False, max_length=None), start=str(tmp_path / "start"))
    trainer, _ = trainer_of(work)
    batch = trainer.data_collator([trainer.train_dataset[0], trainer.train_dataset[1]])
    encoder = SpladeEncoder.load(str(tmp_path / "start"), device="cpu")
    texts = {"query": list(QUESTIONS.values())[:2], "positive": [DOCUMENTS[0], DOCUMENTS[3]]}
    for column, kind in (("query", "query"), ("positive", "document")):
        ids, _ = encoder._routes[kind].tokenise(texts[column])
        rows = zip(batch[f"{column}_input_ids"], batch[f"{column}_attention_mask"], strict=True)
        assert [row[mask.bool()].tolist() for row, mask in rows] == [found.tolist() for found in ids]
    assert batch["query_input_ids"].shape[1] == 9


@pytest.mark.parametrize(
    ("given", "max_length", "wanted"),
    [
        ({"query_length": 9}, None, (9, 48)),
        ({"query_length": 9, "document_length": 30}, None, (9, 30)),
        ({"query_length": 90, "document_length": 200}, None, (48, 48)),
        ({"processing_kwargs": {"text": {"max_length": 11}}, "query_length": 9}, None, (11, 11)),
        ({"processing_kwargs": {"common": {"max_length": 11}}, "document_length": 4}, 12, (12, 12)),
        ({"query_length": 5}, 12, (12, 12)),
    ],
)
def test_a_trained_model_reads_texts_at_its_start_model_s_lengths_unless_one_is_given(
    tmp_path, given, max_length, wanted
):
    start = SparseEncoder(str(bert(tmp_path / "plain")), device="cpu")  # 48 positions
    for name, value in given.items():
        setattr(start[0], name, value)
    start.save_pretrained(str(tmp_path / "start"))
    model = start_model(replace(small_work(tmp_path / "work", max_length=max_length), start=str(tmp_path / "start")))
    found = [model.preprocess(["a b c d e f " * 40], task=kind)["input_ids"].shape[1] for kind in ("query", "document")]
    assert tuple(found) == wanted
    model.save_pretrained(str(tmp_path / "trained"))
    layout = read_layout(tmp_path / "trained")
    assert (layout.query_length, layout.document_length) == wanted
