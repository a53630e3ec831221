"""The five figures of the README, from the records."""

from __future__ import annotations

from support.made_pages.records import digits, gb, record, table

BEGIN = "<!-- figures: made by python tests/support/made_pages/make.py -->\n"
END = "<!-- end of figures -->\n"


def rows() -> list[tuple[str, str, str]]:
    """What was measured, the figure, and what to compare it with."""
    encoder, full, kernel = record("encode_splade-tiny"), record("retrieve_full"), record("retrieve_kernel")
    update, storage = record("update"), record("storage")
    largest = full["8841823"]
    plain = storage["bytes_per_posting"]["Spark's defaults"]
    changed = storage["changes"]["6 bits"]["ndcg_cut_10"]
    exact = next(name for name, peer in kernel["peers"].items() if peer["ratio"] == kernel["ratio_best_exact_peer"])
    return [
        (
            f"encode passages, splade-tiny, {encoder['threads']} cores",
            f"{digits(encoder['ours_docs_s'])} docs/s, {gb(encoder['peak_rss_mb'])}",
            f"sentence-transformers {digits(encoder['st_docs_s'])} docs/s, {gb(encoder['st_peak_rss_mb'])}",
        ),
        (
            f"`retrieve_run`: 8,841,823 documents × {full['queries']:,} queries, k = {full['k']:,}",
            f"{digits(largest['from_vectors_s'])} s, {gb(largest['peak_rss_mb'])}",
            f"from the index {digits(largest['from_index_s'])} s",
        ),
        (
            f"rank {kernel['docs']:,} documents, one query, one thread, k = {kernel['k']}",
            f"{digits(kernel['ours_ms_per_query'])} ms",
            f"the fastest exact library here ({exact}) {digits(kernel['peers'][exact]['ms_per_query'])} ms",
        ),
        (
            f"encode again after {update['update_rows']} of {update['documents']:,} documents changed",
            f"{digits(update['update_s'])} s",
            f"all documents {digits(update['full_s'])} s",
        ),
        (
            f"a posting after `compact_vectors --mantissa-bits 6`, {storage['documents']:,} documents",
            f"{storage['bytes_per_posting']['6 bits']:.2f} bytes",
            f"before {plain:.2f}; graded nDCG@10 {changed['delta']:+.4f} (p = {changed['p']:.2f})",
        ),
    ]


def part() -> str:
    """The table between the two comments of the README, with them."""
    return BEGIN + "\n" + "\n".join(table("figure | spladelake | beside it", rows())) + "\n" + END
