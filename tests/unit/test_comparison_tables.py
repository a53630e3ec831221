"""What a person sees of a comparison, at the widths of a phone's terminal, a log and a wide screen."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from spladelake.display.comparison import comparison_tables

RUNS = ["bm25", "splade-tiny", "fusion of both [rrf]"]
MEASURES = ["ndcg@10", "recall@1000", "rr@10"]
VALUES = {
    ("bm25", "ndcg@10"): 0.4586, ("bm25", "recall@1000"): 0.7512, ("bm25", "rr@10"): 0.6821,
    ("splade-tiny", "ndcg@10"): 0.6403, ("splade-tiny", "recall@1000"): 0.7936, ("splade-tiny", "rr@10"): 0.8294,
    (RUNS[2], "ndcg@10"): 0.6279, (RUNS[2], "recall@1000"): 0.8347, (RUNS[2], "rr@10"): 0.8105,
}  # fmt: skip


def compared() -> dict[str, Any]:
    """A result of compare_runs in which splade-tiny and the fusion beat bm25 by ndcg@10, and nothing else is sure."""
    systems = [
        {
            "collection": "dl", "run_id": run, "measure": measure, "value": VALUES[run, measure],
            "published": 0.4795 if run == "bm25" and measure == "ndcg@10" else None, "queries": 97,
        }
        for run in RUNS for measure in MEASURES
    ]  # fmt: skip
    pairs = [
        {
            "collection": "dl", "run_a": "bm25", "run_b": run, "measure": measure,
            "difference": VALUES[run, measure] - VALUES["bm25", measure],
            "randomisation_p_holm": 0.001 if measure == "ndcg@10" else 0.2, "wins": 61, "ties": 5, "losses": 31,
        }
        for run in RUNS[1:] for measure in MEASURES
    ]  # fmt: skip
    costs = [
        {
            "collection": "dl", "run_id": run, "query_active_dims": 22.6, "corpus_active_dims": 174.9, "flops": 2.31,
            "table_bytes": 53_400_000, "encode_seconds": 1234.5,
        }
        for run in RUNS
    ]  # fmt: skip
    return {"systems": systems, "pairs": pairs, "costs": costs, "baseline": "bm25", "significance": 0.05}


def printed(width: int) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False)
    for table in comparison_tables(compared(), width=width):
        console.print(table)
    return out.getvalue()


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120, 160, 400])
def test_no_number_of_a_comparison_is_cut_at_any_width(width: int) -> None:
    text = printed(width)
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= width
    words = text.replace("│", " ").split()
    for value in VALUES.values():
        assert f"{value:.4f}" in words
    assert "+/=/- bm25" in text
    assert {"0.4795", "61/5/31", "22.6", "174.9", "2.31", "53.4", "1,234.50"} <= set(words)


def test_a_wide_terminal_shows_one_table_and_a_narrow_one_says_which_part_it_shows() -> None:
    wide, narrow = printed(200), printed(60)
    assert wide.count("dl: 97 queries") == 1
    assert "(1 of" not in wide
    parts = narrow.count("dl: 97 queries")
    assert parts > 1
    assert f"(1 of {parts})" in narrow
    assert f"({parts} of {parts})" in narrow
    assert narrow.count("splade-tiny") >= parts


def test_letters_stand_only_beside_means_that_beat_another_by_more_than_chance() -> None:
    rows = [line.replace("│", "|").split("|") for line in printed(200).splitlines() if "│" in line]
    cells = {row[2].strip(): [cell.strip() for cell in row[3:]] for row in rows}
    assert cells["bm25"][0] == "0.4586"
    assert cells["splade-tiny"][0] == "0.6403 a"
    assert cells["splade-tiny"][2] == "0.7936"
    assert cells["fusion of both [rrf]"][0] == "0.6279 a"


def test_the_name_of_a_run_stays_in_one_piece_where_a_column_fits_beside_it() -> None:
    for width in (80, 104, 120, 131, 160):
        for line in printed(width).splitlines():
            if "fusion of" in line:
                assert "fusion of both [rrf]" in line, width
