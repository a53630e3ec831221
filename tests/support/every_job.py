"""Every job once with its options, in an order in which each finds the tables that it needs."""

from __future__ import annotations

TINY = ("--model", "splade-tiny")
# The teacher has random weights: what it teaches may measure below the start model.
TRAIN = (*TINY, "--batch-size", "4", "--max-steps", "2", "--max-length", "32", "--accept-worse")

# {folder} is the test's: it holds the collection `drawn` and the cross-encoder `teacher`.
EVERY_JOB: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ingest_texts", ("--source", "{folder}/drawn")),
    ("encode_texts", TINY),
    ("index_vectors", TINY),
    ("retrieve_run", (*TINY, "--k", "20", "--strategy", "blocks", "--run-id", "splade-tiny")),
    ("compact_vectors", (*TINY, "--mantissa-bits", "6", "--into", "small", "--measures", "ndcg@10")),
    ("rerank_run", ("--run", "splade-tiny", "--cross-encoder", "{folder}/teacher", "--run-id", "reranked")),
    ("fuse_runs", ("--runs", "splade-tiny,reranked", "--run-id", "fused")),
    ("evaluate_run", (*TINY, "--run-id", "splade-tiny")),
    ("evaluate_run", (*TINY, "--run-id", "fused")),
    ("compare_runs", ("--run-ids", "splade-tiny,fused", "--measures", "ndcg_cut_10")),
    ("export_run", ("--run-id", "splade-tiny", "--output", "{folder}/tiny.trec")),
    ("import_run", ("--run", "{folder}/tiny.trec", "--run-id", "theirs")),
    ("export_measures", ("--run-id", "splade-tiny", "--output", "{folder}/tiny.csv")),
    ("export_vectors", (*TINY, "--output", "{folder}/out", "--output-format", "anserini")),
    ("import_vectors", ("--input", "{folder}/out", "--input-format", "anserini", "--vectors", "theirs")),
    ("mine_pairs", ("--run", "splade-tiny", "--dev-share", "0.2", "--test-share", "0.2")),
    ("score_pairs", ("--teachers", "{folder}/teacher")),
    ("train_model", (*TRAIN, "--output", "{folder}/new")),
    ("maintain_tables", ()),
    ("verify_tables", ()),
)
