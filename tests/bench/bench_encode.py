"""Documents per second of the encoder beside what a user would take instead, and beside the machine's own limit.

    python tests/bench/bench_encode.py --collection DIR [--docs N] [--model M] [--threads N]

All are timed on the same texts in one process, taking turns, best of three rounds: this encoder, sentence-transformers'
encode_document (batches of 32), plain transformers in length-sorted batches of 32, and a square float32 matrix product,
whose rate divided by the model's floating-point operations per token is the limit of computing everything in float32.
Peak memory is measured in processes of their own, on texts of 512 tokens. The last line is JSON.

transformers is imported late here, so that the memory of a process that does without its models can be measured.

--model: splade-tiny, mini (BERT 4×256) or distilbert (6×768), the last two with random weights made here, or any name
that SpladeEncoder.load takes. The random models' output bias is lowered so that some 175 terms of a text stay active.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spladelake.encoder import SpladeEncoder, resolve_checkpoint

ROUNDS = 3
BATCH = 32
SQUARE = 2048  # side of the matrices of the limit: large enough that nothing but the product counts
ACTIVE_TERMS = 175
RSS_TEXTS = 64  # texts of 512 tokens for the memory figures; flatness is shown at four times as many
DEFAULT_DOCS = {"splade-tiny": 1500, "mini": 600, "distilbert": 200}


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collection", type=Path, required=True, help="folder with corpus.jsonl")
    parser.add_argument("--docs", type=int, help="texts to encode (1,500, for the larger random models fewer)")
    parser.add_argument("--model", default="splade-tiny")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--peak-of", choices=["ours", "theirs"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    docs = options.docs or DEFAULT_DOCS.get(options.model, 1500)
    texts = read_texts(options.collection, docs)
    if options.peak_of:
        print(peak_rss(options.peak_of, options.model, texts, options.threads))
        return
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = model_folder(options.model, texts[:BATCH], Path(scratch))
        figures = measure(folder, texts, options.threads)
        command = [sys.executable, __file__, "--collection", options.collection, "--model", folder]
        command += ["--threads", str(options.threads)]
        for key, who in (("peak_rss_mb", "ours"), ("st_peak_rss_mb", "theirs")):
            figures[key] = peak_of(command, who, RSS_TEXTS)
        print(f"peak RSS of {4 * RSS_TEXTS} texts of 512 tokens: {peak_of(command, 'ours', 4 * RSS_TEXTS)} MB")
    print(json.dumps({"model": options.model, "docs": docs, "threads": options.threads} | figures))


def measure(folder: str, texts: list[str], threads: int) -> dict[str, float]:
    """All rates and the largest difference of a weight."""
    from sentence_transformers import SparseEncoder
    from transformers.utils import logging

    logging.disable_progress_bar()

    ours = SpladeEncoder.load(folder, threads=threads, device="cpu")
    theirs = SparseEncoder(ours.checkpoint.folder, device="cpu")
    plain = PlainTransformers(ours.checkpoint.folder)
    matrix = torch.randn(SQUARE, SQUARE)
    contenders: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours.encode(texts),
        "st": lambda: theirs.encode_document(texts, batch_size=BATCH),
        "plain": lambda: plain.encode(texts),
        "product": lambda: matrix @ matrix,
    }
    seconds = dict.fromkeys(contenders, float("inf"))
    results: dict[str, Any] = {}
    ours.encode(texts[:BATCH])
    for _ in range(ROUNDS):
        for name, run in contenders.items():
            began = time.perf_counter()
            results[name] = run()
            seconds[name] = min(seconds[name], time.perf_counter() - began)
    encoded = results["ours"]
    rates = {name: len(texts) / seconds[name] for name in ("ours", "st", "plain")}
    flops = flops_per_token(plain.model.config, encoded.tokens, ours.checkpoint.vocabulary_size)
    limit = 2 * SQUARE**3 / seconds["product"]
    tokens_per_s = encoded.stats.tokens / seconds["ours"]
    print(f"{ours.method}; {flops / 1e6:.1f} MFLOP a token, {limit / 1e9:.0f} GFLOP/s of a plain product")
    print(f"{encoded.vectors.active_dims.mean():.0f} terms a text, padding waste {encoded.stats.padding_waste:.3f}")
    return {
        "ours_docs_s": round(rates["ours"], 1),
        "st_docs_s": round(rates["st"], 1),
        "plain_docs_s": round(rates["plain"], 1),
        "ratio_st": round(rates["ours"] / rates["st"], 2),
        "fraction_of_limit": round(tokens_per_s * flops / limit, 3),
        "max_abs_diff": largest_difference(encoded.vectors, results["st"]),
        "tokens_per_s": round(tokens_per_s),
        "tokenise_docs_s": round(len(texts) / encoded.stats.tokenise_seconds),
    }


class PlainTransformers:
    """What one writes with transformers alone: sorted by length, batches of 32, SPLADE pooling of all logits."""

    def __init__(self, folder: str) -> None:
        from transformers import AutoModelForMaskedLM, AutoTokenizer

        self.model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(folder)

    @torch.inference_mode()
    def encode(self, texts: list[str]) -> list[torch.Tensor]:
        """A sparse tensor for each batch, longest texts first."""
        ordered = sorted(texts, key=len, reverse=True)
        out = []
        for start in range(0, len(ordered), BATCH):
            batch = self._tokenizer(
                ordered[start : start + BATCH], padding=True, truncation=True, max_length=512, return_tensors="pt"
            )
            kept = {key: batch[key] for key in ("input_ids", "attention_mask")}
            logits = self.model(**kept).logits.masked_fill_(kept["attention_mask"].unsqueeze(-1) == 0, 0)
            out.append(logits.amax(dim=1).relu_().log1p_().to_sparse())
        return out


def flops_per_token(config: Any, lengths: np.ndarray, vocabulary: int) -> float:
    """Multiplications and additions of all matrix products for one token of these texts, in float32."""
    width = config.dim if config.model_type == "distilbert" else config.hidden_size
    inner = config.hidden_dim if config.model_type == "distilbert" else config.intermediate_size
    layers = config.n_layers if config.model_type == "distilbert" else config.num_hidden_layers
    others = float((lengths.astype(np.float64) ** 2).sum() / lengths.sum())  # tokens that a token attends to
    layer = 2 * (4 * width**2 + 2 * width * inner) + 4 * others * width
    return layers * layer + 2 * width**2 + 2 * width * vocabulary


def largest_difference(vectors: Any, theirs: torch.Tensor) -> float:
    """Largest difference of any weight of any text."""
    largest = 0.0
    for row in range(len(vectors)):
        dense = theirs[row].to_dense().numpy().copy()
        indices, values = vectors.row(row)
        dense[indices] -= values
        largest = max(largest, float(np.abs(dense).max()))
    return largest


def model_folder(model: str, texts: list[str], scratch: Path) -> str:
    """Folder or name of the model, made first when it is one of the random ones."""
    if model not in ("mini", "distilbert"):
        return model
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, DistilBertConfig, DistilBertForMaskedLM

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(resolve_checkpoint("splade-tiny").folder)
    if model == "mini":
        shape = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
        network: Any = BertForMaskedLM(BertConfig(**shape)).eval()
        bias = network.cls.predictions.bias
    else:
        network = DistilBertForMaskedLM(DistilBertConfig()).eval()
        bias = network.vocab_projector.bias
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        logits = network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        largest = logits.masked_fill(batch["attention_mask"].unsqueeze(-1) == 0, float("-inf")).amax(dim=1).flatten()
        bias -= largest.kthvalue(int(largest.numel() * (1 - ACTIVE_TERMS / network.config.vocab_size))).values
    network.save_pretrained(scratch)
    tokenizer.save_pretrained(scratch)
    return str(scratch)


def peak_of(command: list[Any], who: str, docs: int) -> float:
    """Peak memory of a process that encodes that many texts of 512 tokens, in MB."""
    full = [str(part) for part in [*command, "--docs", docs, "--peak-of", who]]
    done = subprocess.run(full, capture_output=True, text=True, check=True, env=os.environ | {"TQDM_DISABLE": "1"})
    return float(done.stdout.split()[-1])


def peak_rss(who: str, model: str, texts: list[str], threads: int) -> float:
    """Peak memory of this process after encoding as many texts of 512 tokens, in MB (10**6 bytes)."""
    long = [" ".join(texts[(i + j) % len(texts)] for j in range(16)) for i in range(len(texts))]
    if who == "ours":
        encoded = SpladeEncoder.load(model, threads=threads, device="cpu").encode(long)
        assert (encoded.tokens == 512).all()
    else:
        from sentence_transformers import SparseEncoder

        torch.set_num_threads(threads)
        SparseEncoder(resolve_checkpoint(model).folder, device="cpu").encode_document(long, batch_size=BATCH)
    # Not getrusage: that of a child process begins with the memory of the parent it was forked from.
    status = Path("/proc/self/status").read_text()
    return round(int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6, 1)


def read_texts(collection: Path, count: int) -> list[str]:
    """The first texts of a collection."""
    with (collection / "corpus.jsonl").open(encoding="utf-8", newline="\n") as lines:
        return [json.loads(line)["text"] for _, line in zip(range(count), lines, strict=False)]


if __name__ == "__main__":
    main()
