"""Checks of the options of encode_texts that do not go together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spladelake.config.refusals import OptionsError

# Endings of files that ingest_texts reads. A name with such an ending is hardly the name of a table.
_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json", ".tsv", ".csv", ".txt", ".gz", ".bz2", ".zst", ".parquet"})


def check_tables(options: Any) -> None:
    """Raise OptionsError if an option names no table, or belongs to a table that is not given or not encoded."""
    for kind, option in (("document", "--documents"), ("query", "--queries")):
        location = getattr(options, option[2:])
        if location is not None and not location.startswith("table:"):
            fix = f"Write {option} table:{location}."
            if Path(location).suffix in _SUFFIXES:
                fix = f"Read the file into the lake with ingest_texts, and leave out {option} here."
            raise OptionsError(f"{option} is {location!r}", "table:NAME or table:/FOLDER", fix)
        for name in (f"{kind}_id", f"{kind}_text"):
            if getattr(options, name) is not None and location is None:
                given = f"--{name.replace('_', '-')}"
                found, fix = f"{given} is given without {option}", f"Add {option}, or leave out {given}."
                raise OptionsError(found, f"{option} together with {given}", fix)
    of_others = {"queries": ("documents", "where"), "documents": ("queries",)}.get(options.side, ())
    if other := next((name for name in of_others if getattr(options, name)), None):
        of_side = "queries" if options.side == "documents" else "documents"
        found, wanted = f"--{other} is given with --side {options.side}", f"--side {of_side} or --side both"
        raise OptionsError(found, f"--{other} only with {wanted}", f"Change --side, or leave out --{other}.")


def check_changes(options: Any) -> None:
    """Raise OptionsError if an option belongs to another way to find changed texts."""
    for name, changes in (("since_version", "feed"), ("checkpoint", "stream")):
        if getattr(options, name) is not None and options.changes != changes:
            given, use = f"--{name.replace('_', '-')}", f"--changes {changes}"
            found, fix = f"{given} is given, but --changes is {options.changes}", f"Use {use}, or leave out {given}."
            raise OptionsError(found, f"{given} only with {use}", fix)
    if options.checkpoint is not None and options.side == "both":
        one = "--side documents or --side queries"
        found, fix = "--checkpoint is given, but --side is both", f"Use {one}, or leave out --checkpoint."
        raise OptionsError(found, f"--checkpoint only with {one}", fix)


def check_passages(options: Any) -> None:
    """Raise OptionsError if the options of passages do not go together."""
    given = {
        name: getattr(options, name) for name in ("passage_by", "passage_tokens", "passage_stride", "passage_title")
    }
    first = next((f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None), None)
    if first is None:
        return
    if options.side == "queries":
        found = f"{first} is given with --side queries"
        wanted = f"{first} only with documents, because the job does not split queries"
        raise OptionsError(found, wanted, f"Leave out {first}.")
    if options.passages is None:
        wanted = f"--passage-tokens or --passage-by together with {first}"
        raise OptionsError(f"{first} is given alone", wanted, "Add --passage-tokens 256.")
    stride, tokens = options.passage_stride, options.passages.tokens
    if stride is not None and options.passages.by != "tokens":
        found = f"--passage-stride is given with --passage-by {options.passages.by}"
        wanted = f"--passage-stride only with --passage-by tokens, because whole {options.passages.by}s do not overlap"
        raise OptionsError(found, wanted, "Leave out --passage-stride.")
    if stride is not None and stride > tokens:
        found = f"--passage-stride is {stride} and --passage-tokens {tokens}"
        wanted = "a stride no larger than --passage-tokens, because a larger one skips the text between two passages"
        raise OptionsError(found, wanted, f"Set --passage-stride to {tokens} or less.")
