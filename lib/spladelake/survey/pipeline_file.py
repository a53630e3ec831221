"""Write the text of a pipeline file: the options for the inputs, with the findings as comments."""

from __future__ import annotations

import re
from typing import Any

import yaml

from spladelake.config.texts import MAX_REJECTED_DEFAULT
from spladelake.errors import UsageError
from spladelake.survey.findings import Finding
from spladelake.survey.passages import advice
from spladelake.survey.plan import OPTION_OF, IngestPlan

_COMMENT_AT = 52
_MOST_NAMES = 5


def pipeline_text(plan: IngestPlan, *, name: str, lake: str, model: str, formats: dict[str, str]) -> str:
    """Return the text of a file for `spladelake pipeline run`.

    - name: name of the inputs, for the first line.
    - formats: formats that the user gave, by table.
    """
    found = plan.findings
    lines = [f"# Written by `spladelake init` for {_shown(name)}, from these files:", "#"]
    for finding in found.values():
        lines += [f"#   {line}" for line in described(finding)]
    documents = found.get("documents")
    long = [] if documents is None else advice(documents.long, rows=documents.rows, model=model)
    lines += [f"#   long texts: {line}" for line in long]
    lines += [f"#   {line}" for line in unused(plan)]
    lines += [
        "#",
        "# The help of each step lists its options: spladelake ingest_texts --help. Unknown options are errors.",
    ]
    lines += _option("lake", lake, "folder of the tables; schema:NAME for a catalog", indent=0)
    lines += _option("model", model, "a Hugging Face id, a folder, splade-tiny (no network), or bm25", indent=0)
    lines += ["steps:", "  ingest_texts:", *_ingest(plan, formats)]
    lines += [
        *_note("max_rejected", MAX_REJECTED_DEFAULT, "largest share of records that may go to quarantine"),
        "  encode_texts:",
        *([] if "queries" in found else _option("side", "documents", "there are no queries")),
        *(_note("passage_tokens", 256, "split documents; each keeps its best passage") if long else []),
        *_note("max_length", 256, "most tokens read of each text (default: the model's own limit)"),
    ]
    if "queries" in found:
        lines += ["  retrieve_run:", *_option("k", 1000, "documents listed for each query")]
    if {"queries", "judgements"} <= found.keys():
        lines.append("  evaluate_run:")
        lines += _note("measures", "[ndcg@10, recall_1000]", "or card, trec_eval, all (default: card and ndcg_cut_10)")
    return "\n".join(lines) + "\n"


def unused(plan: IngestPlan) -> list[str]:
    """Return a line with the first unused files; no line if all files are used."""
    names = [_shown(name) for name in plan.unused]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return [f"not used: {', '.join(names[:_MOST_NAMES])}{more}"] if names else []


def described(finding: Finding) -> list[str]:
    """Return a description of an input in a few lines for a person."""
    sample = finding.sample
    about = "" if sample.is_exact else "about "
    first = f"{finding.kind}: {_shown(finding.location)}, {about}{finding.rows:,} records"
    lines = [first]
    if sample.columns:
        lines.append(f"  columns {', '.join(f'{_shown(c.name)} ({c.kind})' for c in sample.columns.values())}")
    if finding.read_as is not None:
        lines.append(f"  read as {_shown(finding.read_as)}")
    where = f"first {finding.sampled:,} records" if finding.sampled < finding.rows else "records"
    if finding.lengths:
        size = finding.lengths
        lines.append(
            f"  characters per text: median {size.median:,}, 95 % quantile {size.p95:,}, longest {size.longest:,}"
        )
    if finding.empty:
        lines.append(f"  {finding.empty:,} of the {where} have no text: they keep their row and get an empty vector")
    return lines + [f"  {fault}" for fault in faults(finding)]


def faults(finding: Finding) -> list[str]:
    """Return a sentence about records that would go to quarantine or stop the job; empty if there are none."""
    bad = finding.rejected + finding.repeated
    if not bad:
        return []
    where = f"first {finding.sampled:,}" if finding.sampled < finding.rows else f"{finding.sampled:,}"
    reasons = [f"{finding.rejected:,} cannot be used ({finding.reason})"] if finding.rejected else []
    reasons += [f"{finding.repeated:,} repeat an id"] if finding.repeated else []
    found = f"of the {where} records, {' and '.join(reasons)}"
    if bad > MAX_REJECTED_DEFAULT * finding.sampled:
        return [f"CORRECT THIS FIRST: {found}; ingest_texts fails above {MAX_REJECTED_DEFAULT:.0%} of such records"]
    return [f"{found}: these records will go to quarantine"]


def _ingest(plan: IngestPlan, formats: dict[str, str]) -> list[str]:
    if plan.folder is not None:
        split = _option("split", plan.split, "qrels/SPLIT.tsv") if plan.split is not None else []
        return [*_option("source", plan.folder, "a BEIR folder: corpus.jsonl, queries.jsonl, qrels/"), *split]
    lines = []
    for kind, finding in plan.findings.items():
        lines += _option(kind, finding.location, f"{finding.sample.source.format}")
        if kind in formats:
            lines += _option(f"{kind}_format", formats[kind], "")
        for column, name in finding.columns.items():
            if (kind, column) in OPTION_OF:
                values = finding.sample.columns.get(name)
                unique = ", each value once" if values and column.endswith("_id") and values.is_unique else ""
                lines += _option(OPTION_OF[kind, column], name, f"{values.kind}{unique}" if values else "")
    return lines


def _option(name: str, value: Any, comment: str, *, indent: int = 4) -> list[str]:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000).strip()
    line = f"{' ' * indent}{name}: {text.removesuffix('...').strip()}"
    if "${" in line:
        found = 'the name contains the characters "${"'
        fix = "Rename the file or column, or write a pipeline file by hand like conf/own-corpus.yaml."
        raise UsageError(
            str(value), found, "wanted a name without them, because they begin a variable in a pipeline file", fix
        )
    return [f"{line:<{_COMMENT_AT}}  # {comment}" if comment else line]


def _note(name: str, value: Any, comment: str) -> list[str]:
    """Return a commented line with an option that the user may set."""
    return [f"    # {name}: {value}".ljust(_COMMENT_AT) + f"  # {comment}"]


def _shown(text: str) -> str:
    """Return a name with every character replaced that cannot be in a comment of one line."""
    return re.sub(r"[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\U0010ffff]", "?", text)
