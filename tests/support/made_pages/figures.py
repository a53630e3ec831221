"""The page `figures`: every number of it is in a record of tests/bench/results."""

from __future__ import annotations

from collections.abc import Iterator

from spladelake.forecast import load_slopes
from support.made_pages.records import digits, gb, names, prose, record, sources, table

HEAD = """# Figures

Measured speeds, sizes and memory, each with its benchmark.

Every number comes from a record in `tests/bench/results`, which a benchmark wrote. A machine with two cores made each
record, but not always the same machine: compare numbers within one section only. The machines also did other work, so
every time is an upper bound. `../shared/data` stands for a folder with the collections.

The benchmarks `bench_pipeline.py`, `bench_train.py`, `bench_sql.py` and `bench_functions.py` keep no record, so this
page has no number of theirs.
"""
ENCODERS = {"splade-tiny": "splade-tiny", "mini": "mini (BERT 4 × 256)", "distilbert": "distilbert (6 × 768)"}
STORAGE = {
    "Spark's defaults": None,
    "lossless": "`compact_vectors`",
    "lossless, split files": "`compact_vectors --files split`",
    "6 bits": "`compact_vectors --mantissa-bits 6`",
    "6 bits, split files": "`compact_vectors --mantissa-bits 6 --files split`",
    "255 levels": "`compact_vectors --levels 255`",
    "target: alpha_mass 0.95, mantissa_bits 3": "`compact_vectors --alpha-mass 0.95 --mantissa-bits 3`",
}


def page() -> str:
    """The whole page in Markdown."""
    parts = (
        encoder, encode_job, update, bm25, retrieval, search, kernel, evaluation, storage, passages, small_jobs, start,
        forecast,
    )  # fmt: skip
    return HEAD + "\n" + "\n".join(line for part in parts for line in part())


def encoder() -> Iterator[str]:
    """Section of the encoder beside sentence-transformers."""
    found = {name: record(f"encode_{name}") for name in ENCODERS}
    yield "## The encoder alone"
    yield ""
    yield from prose(
        "Passages of MS MARCO, two cores. mini and distilbert are models of these shapes with random weights.",
    )
    yield from table("| " + " | ".join(ENCODERS.values()), (
        ["spladelake, docs/s", *(digits(r["ours_docs_s"]) for r in found.values())],
        ["sentence-transformers `encode_document`, docs/s", *(digits(r["st_docs_s"]) for r in found.values())],
        ["spladelake is faster by", *(f"{r['ratio_st']:.1f} ×" for r in found.values())],
        ["transformers, batches sorted by length, docs/s", *(digits(r["plain_docs_s"]) for r in found.values())],
        ["speed relative to the model's float32 matrix products at full rate",
         *(f"{r['fraction_of_limit']:.2f}" for r in found.values())],
        ["largest difference of a weight to sentence-transformers",
         *(f"{r['max_abs_diff']:.0e}" for r in found.values())],
        ["most memory, 64 texts of 512 tokens", *(gb(r["peak_rss_mb"]) for r in found.values())],
        ["the same of sentence-transformers", *(gb(r["st_peak_rss_mb"]) for r in found.values())],
        ["most memory of spladelake, 256 such texts", *(gb(r["peak_rss_mb_of_256_texts"]) for r in found.values())],
    ))  # fmt: skip
    yield from prose(
        "The encoder can pass the float32 rate because it rules out most terms in 8-bit numbers, under",
        "a proven bound.",
    )
    yield from sources(*(f"encode_{name}" for name in ENCODERS))


def encode_job() -> Iterator[str]:
    """Section of encode_texts from Delta to Delta."""
    r = record("encode_spark")
    yield "## encode_texts"
    yield ""
    yield from prose(
        f"From Delta to Delta in a warm session of `local[{r['cores']}]`, splade-tiny, {r['docs']:,} documents:",
        f"{digits(r['job_docs_s'])} docs/s, {r['ratio_bare']:.1%} of the bare encoder's",
        f"{digits(r['bare_docs_s'])} on the same texts.",
        f"`--dry-run` forecast the time with an error of {r['forecast_error']:.0%}.",
    )
    yield from table("documents | seconds", ((f"{int(n):,}", s) for n, s in r["seconds_by_size"].items()))
    yield from sources("encode_spark")


def update() -> Iterator[str]:
    """Section of the update after a few changed documents."""
    r = record("update")
    yield "## Encoding again after a change"
    yield ""
    yield from table(f"{r['documents']:,} documents | seconds", (
        ["all documents", r["full_s"]],
        [f"{r['update_rows']} changed documents", r["update_s"]],
        [f"{r['fixed_rows']} changed documents", r["fixed_s"]],
        ["nothing to encode", r["empty_update_s"]],
    ))  # fmt: skip
    yield from prose(
        "Delta's MERGE, a good part of an update, rewrites every file that holds a changed row.",
        "Deletion vectors would",
        "avoid that, but readers of protocol version 1 cannot read them.",
    )
    yield from sources("update")


def bm25() -> Iterator[str]:
    """Section of BM25 beside bm25s."""
    r = record("bm25")
    yield "## BM25"
    yield ""
    yield from prose(
        "`encode_texts --model bm25` from table to table, beside bm25s, which tokenises and indexes the same words.",
    )
    sizes = [name for name in r if name.isdigit()]
    yield from table("documents | encode_texts, s | bm25s, s", (
        [f"{int(n):,}", f"{r[n]['job']['seconds']:.1f}", f"{r[n]['bm25s_s']:.1f}"] for n in sizes
    ))  # fmt: skip
    yield from sources("bm25")


def retrieval() -> Iterator[str]:
    """Section of retrieve_run at the size of MS MARCO."""
    r, slope, plain = record("retrieve_full"), record("retrieve_slope"), record("retrieve_plain")
    sizes = [name for name in r if name.isdigit()]
    yield "## Retrieval at the size of MS MARCO"
    yield ""
    yield from prose(
        f"{r['queries']:,} queries, k = {r['k']:,}, `local[{r['cores']}]`. `tests/bench/make_vectors.py`",
        "makes the vectors",
        "from real ones, with 175 terms a document and 22 terms a query.",
    )
    yield from table("documents | " + " | ".join(f"{int(n):,}" for n in sizes), (
        ["`retrieve_run` from `vectors`, s", *(digits(r[n]["from_vectors_s"]) for n in sizes)],
        ["`index_vectors`, s", *(digits(r[n]["index_s"]) for n in sizes)],
        ["size of the index", *(gb(r[n]["index_mb"]) for n in sizes)],
        ["`retrieve_run` from the index, s", *(digits(r[n]["from_index_s"]) for n in sizes)],
        ["most memory of all processes, from `vectors`", *(gb(r[n]["peak_rss_mb"]) for n in sizes)],
        ["most memory of all processes, from the index", *(gb(r[n]["index_peak_rss_mb"]) for n in sizes)],
        ["products of two weights", *(f"{r[n]['products']:,}" for n in sizes)],
        ["rows written", *(f"{r[n]['rows']:,}" for n in sizes)],
    ))  # fmt: skip
    more = " and ".join(map(digits, slope["from_vectors_s_a_million_more"]))
    yield from prose(
        f"Time is linear: on another day, a million documents more took {more} s between three sizes.",
        "Without the sample",
        f"of documents, the same rows took {digits(plain['2000000']['plain_s'])} s instead of",
        f"{digits(plain['2000000']['from_vectors_s'])} s for 2,000,000 documents, and",
        f"{digits(plain['500000']['plain_s'])} s instead of",
        f"{digits(plain['500000']['from_vectors_s'])} s for 500,000.",
    )
    sql = r["sql"]
    yield from prose(
        f"The SQL strategy on {sql['docs']:,} documents and {sql['queries']} queries takes",
        f"{digits(sql['sql_s'])} s as a whole job,",
        f"the blocks {digits(sql['blocks_s'])} s.",
    )
    yield from sources("retrieve_full", "retrieve_slope", "retrieve_plain")


def search() -> Iterator[str]:
    """Section of single questions, with and without an index."""
    r = record("search")
    sizes = [name for name in r if name.isdigit()]
    yield "## One question"
    yield ""
    yield from prose(
        f"Exact search, k = {r['k']}, one question at a time. The documents are made from real vectors. The first",
        "rows are",
        "questions in one process, as `spladelake search` asks them; the others are statements in SQL, in `local[2]`.",
    )
    rows = [["size of the index", *(f"{r[n]['index_bytes'] / 1e6:,.0f} MB" for n in sizes)]]
    for kind, said in (("search", "a question"), ("similar", "the vector of a document")):
        of = [r[n]["in_process"][kind] for n in sizes]
        rows += [
            [f"{said} of {of[0]['terms']:.0f} terms, s", *(digits(one["warm_median_s"]) for one in of)],
            ["share of the index that is read", *(f"{100 * one['bytes_share_mean']:.1f} %" for one in of)],
        ]
    for name, key in (("", "sql"), (", without an index", "sql_without_index")):
        for call in ("search", "similar"):
            found = [digits(r[n][key][call]["warm_median_s"]) if key in r[n] else "" for n in sizes]
            rows.append([f"`{call}()` in SQL{name}, s", *found])
    yield from table("documents | " + " | ".join(f"{int(n):,}" for n in sizes), rows)
    yield from sources("search")


def kernel() -> Iterator[str]:
    """Section of the ranking alone beside other libraries."""
    r, slow, small = record("retrieve_kernel"), record("retrieve_kernel_slow"), record("retrieve_sql")
    yield "## The ranking alone"
    yield ""
    yield from prose(
        f"{r['docs']:,} documents, {r['queries']} queries, k = {r['k']}, one thread. recall: share of",
        "the exact top k found.",
    )
    yield from table("library | ms a query | relative | recall | build, s", (
        ["spladelake", digits(r["ours_ms_per_query"]), "1", "1.0000", digits(r["build_s"])],
        *([name, digits(p["ms_per_query"]), f"{p['ratio']:.1f} ×", f"{p['recall_at_k']:.4f}", digits(p["build_s"])]
          for name, p in r["peers"].items()),
    ))  # fmt: skip
    yield from prose(
        "bmp's index holds weights of 8 bits. Seismic is approximate, here with all terms of a query",
        "and a heap factor of",
        "0.9. DuckDB runs on fewer documents; its time is relative to the kernel's on the same documents.",
    )
    yield from prose("On a machine with slower cores, over the same documents:")
    yield from table("library | ms a query | relative", (
        ["spladelake", digits(slow["ours_ms_per_query"]), "1"],
        *([name, digits(p["ms_per_query"]), f"{p['ratio']:.1f} ×"]
          for name, p in slow["peers"].items() if name != "sql"),
    ))  # fmt: skip
    yield from prose(
        f"With k = 10 the kernel takes {digits(record('retrieve_kernel_k10')['ours_ms_per_query'])} ms a",
        f"query. On {small['docs']:,}",
        f"documents it takes {digits(small['ours_ms_per_query'])} ms, DuckDB's join",
        f"{digits(small['peers']['duckdb']['ms_per_query'])} ms,",
        f"the SQL strategy on one core {digits(small['peers']['sql']['ms_per_query'])} ms.",
    )
    seismic = record("retrieve_seismic")
    yield from prose("Faster settings of Seismic over one index (terms of the query that are used, heap factor):")
    yield from table("library | ms a query | recall", (
        ["spladelake", digits(seismic["ours_ms_per_query"]), "1.0000"],
        *([name, digits(p["ms_per_query"]), f"{p['recall_at_k']:.4f}"]
          for name, p in seismic["peers"].items() if name.startswith("seismic")),
    ))  # fmt: skip
    yield from sources(
        "retrieve_kernel", "retrieve_kernel_slow", "retrieve_kernel_k10", "retrieve_sql", "retrieve_seismic"
    )


def evaluation() -> Iterator[str]:
    """Section of evaluate_run beside ir_measures."""
    r = record("evaluate")
    yield "## Evaluation"
    yield ""
    yield from prose(
        f"{r['queries']:,} queries × {r['k']} results, {r['measures']} measures of both conventions:",
        f"{r['seconds']} s in a",
        f"warm session, {r['first_s']} s the first time, {gb(r['peak_rss_mb'])} at most. ir_measures",
        "computes its measures in",
        f"{r['ir_measures_s']} s, after {r['ir_measures_fill_s']} s to fill its dictionaries. The",
        "largest difference of a",
        f"measure is {r['largest_difference']:.0e}.",
    )
    yield from sources("evaluate")


def storage() -> Iterator[str]:
    """Section of the bytes of a posting."""
    r = record("storage")
    yield "## Size of vectors"
    yield ""
    yield from prose(
        f"{r['documents']:,} passages with {r['postings']:,} postings, ids and hashes included. nDCG@10",
        "is the graded one; p is",
        "that of a paired randomisation test.",
    )
    yield from table("files | bytes a posting | change of nDCG@10 | p", (
        [how or name, f"{r['bytes_per_posting'][name]:.2f}", *change(r["changes"].get(name))]
        for name, how in STORAGE.items()
    ))  # fmt: skip
    others = {name: size for name, size in r["bytes_per_posting"].items() if name not in STORAGE}
    yield from prose("Other engines, of the same vectors; recall@10 is the share of our top 10 that they find:")
    yield from table("files | bytes a posting | recall@10", (
        [name, f"{size:.2f}", f"{r['recall@10'][name]:.3f}" if name in r["recall@10"] else ""]
        for name, size in others.items()
    ))  # fmt: skip
    yield from sources("storage")


def passages() -> Iterator[str]:
    """Section of passages beside documents that are cut at the end of the window; empty until there is a record."""
    if "passages" not in names():
        return
    r = record("passages")
    cut, rates, size = r["ndcg@10"]["cut"], r["encode_tokens_per_second"], r["bytes_per_posting"]
    yield "## Passages"
    yield ""
    yield from prose(
        f"{r['documents']:,} long documents, which are documents of cranfield joined, as {r['passages']:,} passages of",
        "128 tokens, one every 64 tokens. Cut at the end of the model's window, the documents have an nDCG@10 of",
        f"{cut['mean']:.3f}. A needle is a sentence beyond the window; p is that of a paired randomisation test.",
    )
    yield from table("aggregate | nDCG@10 | change | p | needles at rank 1 | retrieve_run, s", (
        [f"`{name}`", f"{found['mean']:.3f}", f"{found['difference']:+.3f}", f"{found['randomisation_p']:.2g}",
         f"{r['needles_at_rank_1'][name]} of {r['needles']}", r["retrieve_seconds"][name]]
        for name, found in r["ndcg@10"].items() if name != "cut"
    ))  # fmt: skip
    yield from prose(
        f"From the cut documents {r['needles_at_rank_1']['cut']} needles are at rank 1. Of the relevant documents that",
        f"`max` lists among the first ten, {r['answers_in_the_best_passage']:.0%} name a passage of the answer.",
        f"As documents of their own, the same texts are ranked in {r['retrieve_seconds']['same_texts']} s and encoded",
        f"at {digits(rates['same_texts'])} tokens/s, instead of {digits(rates['passages'])} as passages.",
        f"A posting takes {size['same_texts']:.2f} bytes, of a passage {size['passages']:.2f}.",
    )
    yield from sources("passages")


def change(changes: dict[str, dict[str, float]] | None) -> tuple[str, str]:
    """The change of graded nDCG@10 and its p."""
    if changes is None:
        return "", ""
    found = changes["ndcg_cut_10"]
    return f"{found['delta']:+.4f}" if found["delta"] else "0", f"{found['p']:.2f}"


def small_jobs() -> Iterator[str]:
    """Section of what jobs cost beyond their rows."""
    r = record("small")
    yield "## Small jobs"
    yield ""
    yield from prose("Seconds of each job in a warm session. The first column is the fixed cost of a job.")
    warm = r["warm"]
    yield from table("job | 8 documents, 2 queries | 420 documents, 21 queries | 1,400 documents, 225 queries", (
        [name, *(f"{warm[size][name]['seconds']:.1f}" for size in ("tiny", "slice", "whole"))] for name in warm["tiny"]
    ))  # fmt: skip
    yield from prose(
        "As commands of their own after `spladelake prepare`, on the lake of 420 documents, from the",
        "prompt to the end:",
    )
    yield from table("command | seconds", ([f"`{name}`", f"{s:.1f}"] for name, s in r["commands"].items()))
    yield from sources("small")


def start() -> Iterator[str]:
    """Section of what a start costs."""
    r = record("start")
    yield "## Starting"
    yield ""
    yield from table(f"best of {r['rounds']} | seconds | seconds after `spladelake prepare`", (
        ["`spladelake --help`", r["help_s"], ""],
        ["a local session that has counted a row", r["session_s"], r["session_prepared_s"]],
        ["a local session that has read a Delta table", r["session_and_table_s"], r["session_and_table_prepared_s"]],
        ["`spladelake prepare`, once", r["prepare_s"], ""],
    ))  # fmt: skip
    yield from sources("start")


def forecast() -> Iterator[str]:
    """Section of the errors of `spladelake forecast`."""
    slopes = load_slopes()
    lines = {
        "`encode_texts`": slopes.encode.seconds,
        "`index_vectors`": slopes.index_s,
        **{f"`retrieve_run` from {name}": line for name, line in slopes.retrieve.seconds.items()},
    }
    yield "## Errors of the forecast"
    yield ""
    yield from prose(
        "`spladelake forecast` draws lines through these records. The table has the error of such a",
        "line at a measured size",
        "that it did not use: a size between the measured sizes, and the largest size from the two smaller ones.",
    )
    yield from table("forecast of | between the measured sizes | beyond them", (
        [name, *(f"{100 * (error or 0):+.0f} %" for error in (line.between, line.beyond))]
        for name, line in lines.items()
    ))  # fmt: skip
    yield from sources("encode_spark", "retrieve_spark", "volumes")
