"""Input and output files: parsers of single lines, which Spark's workers run, and readers and writers of TREC files."""

from spladelake.files.jsonl import jsonl_document_parser, jsonl_query_parser
from spladelake.files.rows import DocumentRow, JudgementRow, LineParser, QueryRow, Rejected, RunRow
from spladelake.files.trec import read_judgements, read_run, trec_run_row, write_judgements, write_run
from spladelake.files.tsv import (
    beir_judgement,
    judgement_parser,
    trec_judgement,
    tsv_document_parser,
    tsv_query_parser,
)

__all__ = [
    "DocumentRow",
    "JudgementRow",
    "LineParser",
    "QueryRow",
    "Rejected",
    "RunRow",
    "beir_judgement",
    "jsonl_document_parser",
    "jsonl_query_parser",
    "judgement_parser",
    "read_judgements",
    "read_run",
    "trec_judgement",
    "trec_run_row",
    "tsv_document_parser",
    "tsv_query_parser",
    "write_judgements",
    "write_run",
]
