"""Steps per second of training beside sentence-transformers' own script, and the time from tables to the first step.

    python tests/bench/bench_train.py --data DIR [--steps N] [--batch-size N] [--model M]

DIR holds triples.jsonl: {"query", "pos", "neg", "pos_score", "neg_score", "source"}; the triples of its largest source
are the pairs, with one negative each. Both sides train in processes of their own, taking turns, on the same batches
with the same loss (margin-mse under SpladeLoss) and optimiser; the clock runs from the end of the third step to the end
of the last, so that neither loading nor warming up counts, and the better of two rounds is taken. Peak memory is that
of the whole process. The time to the first step is that of the job train_model from Delta tables, in a fresh session:
joining texts and pairs, writing shards, starting the processes and one step. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROUNDS = 2
WARM_STEPS = 3
RECIPE: dict[str, Any] = {"learning_rate": 4e-5, "max_length": 128, "log_steps": 100}

Triple = dict[str, Any]


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with triples.jsonl")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--model", default="splade-tiny")
    parser.add_argument("--side", choices=["ours", "theirs"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    triples = read_triples(options.data)
    if options.side:
        side = ours if options.side == "ours" else theirs
        print(json.dumps(side(triples, options)))
        return
    found: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        for name, results in found.items():
            command = [sys.executable, __file__, "--side", name, "--data", str(options.data), "--model", options.model]
            command += ["--steps", str(options.steps), "--batch-size", str(options.batch_size)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            results.append(json.loads(done.stdout.splitlines()[-1]))
            print(name, results[-1], flush=True)
    rates = {name: max(result["steps_per_second"] for result in results) for name, results in found.items()}
    figures = {
        "model": options.model, "pairs": len(triples), "batch_size": options.batch_size, **RECIPE,
        "steps_per_second": rates["ours"], "st_steps_per_second": rates["theirs"],
        "times_as_fast": round(rates["ours"] / rates["theirs"], 2),
        "peak_mb": found["ours"][0]["peak_mb"], "st_peak_mb": found["theirs"][0]["peak_mb"],
        **from_tables(triples, options),
    }  # fmt: skip
    print(json.dumps(figures))


def read_triples(folder: Path) -> list[Triple]:
    """The triples of the source that has most; the scores of others are on other scales."""
    lines = (folder / "triples.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    ((source, _),) = Counter(row["source"] for row in rows).most_common(1)
    return [row for row in rows if row["source"] == source]


class Clock:
    """Times of the ends of steps, as a trainer's callback."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def callback(self) -> Any:
        from transformers import TrainerCallback

        clock = self

        class Ends(TrainerCallback):
            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                clock.ends.append(time.perf_counter())

        return Ends()

    def figures(self) -> dict[str, float]:
        seconds = self.ends[-1] - self.ends[WARM_STEPS - 1]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        return {"steps_per_second": round((len(self.ends) - WARM_STEPS) / seconds, 3), "peak_mb": peak}


def ours(triples: list[Triple], options: argparse.Namespace) -> dict[str, float]:
    """Train from shards in the layout of `spladelake.training`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from spladelake.config.training import Distillation
    from spladelake.encoder import resolve_checkpoint
    from spladelake.training import TrainingWork
    from spladelake.training.run import trainer_of

    settings = Distillation(batch_size=options.batch_size, max_steps=options.steps, **RECIPE)
    with tempfile.TemporaryDirectory() as folder:
        work = TrainingWork(Path(folder), settings, start=resolve_checkpoint(options.model).folder)
        queries = list(dict.fromkeys(row["query"] for row in triples))
        documents = list(dict.fromkeys(row[side] for row in triples for side in ("pos", "neg")))
        number = {text: row for row, text in enumerate(documents)}
        tables = {
            "queries": {"row": list(range(len(queries))), "text": queries},
            "documents": {"row": list(range(len(documents))), "text": documents},
            "pairs": {
                "query": [queries.index(row["query"]) for row in triples],
                "documents": [[number[row["pos"]], number[row["neg"]]] for row in triples],
                "label": [[row["pos_score"] - row["neg_score"]] for row in triples],
            },
        }
        for name, columns in tables.items():
            (work.data / name).mkdir(parents=True)
            pq.write_table(pa.table(columns), work.data / name / "part-0.parquet")
        trainer, _ = trainer_of(work)
        trainer.args.save_strategy = "no"
        clock = Clock()
        trainer.add_callback(clock.callback())
        trainer.train()
    return clock.figures()


def theirs(triples: list[Triple], options: argparse.Namespace) -> dict[str, float]:
    """The script of sentence-transformers' documentation on the same texts."""
    from datasets import Dataset
    from sentence_transformers import SparseEncoder, SparseEncoderTrainer, SparseEncoderTrainingArguments
    from sentence_transformers.sparse_encoder.losses import SparseMarginMSELoss, SpladeLoss

    from spladelake.encoder import resolve_checkpoint

    model = SparseEncoder(resolve_checkpoint(options.model).folder, device="cpu", local_files_only=True)
    model.max_seq_length = RECIPE["max_length"]
    columns = {
        "query": [row["query"] for row in triples],
        "positive": [row["pos"] for row in triples],
        "negative": [row["neg"] for row in triples],
        "label": [row["pos_score"] - row["neg_score"] for row in triples],
    }
    loss = SpladeLoss(model, SparseMarginMSELoss(model), document_regularizer_weight=0.12, query_regularizer_weight=0.2)
    with tempfile.TemporaryDirectory() as folder:
        arguments = SparseEncoderTrainingArguments(
            output_dir=folder, per_device_train_batch_size=options.batch_size, max_steps=options.steps,
            learning_rate=RECIPE["learning_rate"], lr_scheduler_type="cosine", warmup_steps=0.025, seed=42,
            logging_steps=RECIPE["log_steps"], report_to=[], use_cpu=True, save_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        clock = Clock()
        SparseEncoderTrainer(
            model=model, args=arguments, train_dataset=Dataset.from_dict(columns), loss=loss,
            callbacks=[clock.callback()],
        ).train()  # fmt: skip
    return clock.figures()


def from_tables(triples: list[Triple], options: argparse.Namespace) -> dict[str, float]:
    """Seconds of the job train_model from its start to the end of the first step, on tables of the same data."""
    from spladelake.config.training import TrainModel
    from spladelake.spark.session.start import spark_session
    from spladelake.spark.tables.schemas import DOCUMENTS, QUERIES
    from spladelake.spark.tables.training_schemas import SCORED_PAIRS
    from spladelake.spark.train.job import train_model

    session = spark_session("bench_train")
    with tempfile.TemporaryDirectory() as folder:
        queries = {text: f"q{i}" for i, text in enumerate(dict.fromkeys(row["query"] for row in triples))}
        texts = dict.fromkeys(row[side] for row in triples for side in ("pos", "neg"))
        documents = {text: f"d{i}" for i, text in enumerate(texts)}
        pairs = [
            (
                queries[row["query"]], documents[row["pos"]], [documents[row["neg"]]], float(row["pos_score"]),
                [float(row["neg_score"])], [float(row["pos_score"] - row["neg_score"])],
            )
            for row in triples
        ]  # fmt: skip
        tables = {
            "documents": ([(i, None, text) for text, i in documents.items()], DOCUMENTS),
            "queries": ([(i, text) for text, i in queries.items()], QUERIES),
            "training/default/scored_pairs": (pairs, SCORED_PAIRS),
        }
        for name, (rows, schema) in tables.items():
            session.createDataFrame(rows, schema.struct).write.format("delta").save(f"{folder}/lake/{name}")
        result = train_model(
            session,
            TrainModel(
                lake=f"{folder}/lake", output=f"{folder}/model", model=options.model, max_steps=1,
                batch_size=options.batch_size, **RECIPE,
            ),
        )  # fmt: skip
    session.stop()
    return {"seconds_to_first_step": result["seconds_to_first_step"]}


if __name__ == "__main__":
    main()
