"""A test collection that needs no download: the docstrings of Python's standard library.

It tests known-item search. A document is the body of a docstring, a query is the first sentence of a docstring, and the
relevant document is the body of the same docstring.
"""

from __future__ import annotations

import ast
import json
import re
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spladelake.errors import DataError
from spladelake.files.rows import DocumentRow, JudgementRow, QueryRow

LEAST_BODY_WORDS = 20  # a shorter body has too little text to search
LEAST_QUERY_WORDS = 3

# Tests are not documentation, lib2to3's fixers repeat one text, and the last two are not the standard library.
SKIPPED_FOLDERS = frozenset({"test", "tests", "idle_test", "lib2to3", "site-packages", "dist-packages"})

# The answers are shutil.copytree, functools.lru_cache and timeit.Timer, which Python 3.11 and later have.
DEMO_QUESTIONS: tuple[str, ...] = (
    "how do I copy a whole directory tree",
    "how can I cache the results of a function",
    "how can I measure how long a piece of code takes to run",
)

# Syntax instead of a sentence: `get(k[, d]) -> value`, `b(reak) [line]`, `[CFWS] 1*attrtext`, `word = atom / string`.
_SYNTAX = re.compile(r"[\w.]+\(|[\[(*]|.*(->|=>| = )")

_Defined = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class CollectionSummary:
    """Counts of the docstrings by their use.

    docstrings = short + unsuitable + quoted + repeated_bodies + documents, and
    queries = documents + repeated_bodies - shared_queries.
    """

    files: int
    unparsed_files: int  # unreadable, or not Python of this version
    docstrings: int
    short: int  # the body has fewer than LEAST_BODY_WORDS words
    unsuitable: int  # the first sentence cannot be a query, or UTF-8 cannot hold the text
    quoted: int  # the body repeats the first sentence, which would give the answer away
    repeated_bodies: int  # the body equals an earlier document, which gets the query too
    shared_queries: int  # the first sentence equals an earlier query, which gets one more relevant document


@dataclass(frozen=True)
class DemoCollection:
    """The rows of a test collection, in an order that depends only on the source files."""

    documents: tuple[DocumentRow, ...]
    queries: tuple[QueryRow, ...]
    judgements: tuple[JudgementRow, ...]
    summary: CollectionSummary


def stdlib_collection(root: Path | None = None) -> DemoCollection:
    """Return the collection of the docstrings under `root`, by default the standard library of the running Python.

    - doc_id: qualified name such as csv.Sniffer.sniff; the second definition of a name ends in #2.
    - query_id: "q:" and the qualified name.
    - title: empty.

    Files are parsed, never imported. Raises DataError if there is no document.
    """
    root = root or Path(sysconfig.get_path("stdlib"))
    fates: Counter[str] = Counter()
    used: Counter[str] = Counter()
    kept: list[tuple[str, str, str]] = []
    for module, path in sorted(_modules(root)):
        tree = _parsed(path)
        fates["files" if tree else "unparsed_files"] += 1
        for name, docstring in _docstrings(tree, module) if tree else ():
            used[name] += 1
            parted = _parted(docstring)
            fates[parted if isinstance(parted, str) else "kept"] += 1
            if not isinstance(parted, str):
                kept.append((name if used[name] == 1 else f"{name}#{used[name]}", *parted))
    if not kept:
        fix = "Install the source files of Python's standard library, or name their folder."
        raise DataError(
            str(root),
            "no Python file in the folder has a docstring",
            "wanted docstrings, because they are the documents of the demo",
            fix,
        )
    return _collected(kept, fates)


def write_beir(collection: DemoCollection, folder: Path) -> None:
    """Write a collection as a BEIR folder (corpus.jsonl, queries.jsonl, qrels/test.tsv); `folder` may exist."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    documents = ({"_id": doc_id, "title": title, "text": text} for doc_id, title, text in collection.documents)
    queries = ({"_id": query_id, "text": text} for query_id, text in collection.queries)
    judgements = (f"{query_id}\t{doc_id}\t{relevance}" for query_id, doc_id, relevance in collection.judgements)
    _write_lines(folder / "corpus.jsonl", (json.dumps(row, ensure_ascii=False) for row in documents))
    _write_lines(folder / "queries.jsonl", (json.dumps(row, ensure_ascii=False) for row in queries))
    _write_lines(folder / "qrels" / "test.tsv", ("query-id\tcorpus-id\tscore", *judgements))


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def _modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield dotted name and path of every module under `root` that belongs to the collection."""
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        # Files in a folder such as config-3.11-x86_64-linux-gnu are not modules: nobody can import them.
        if SKIPPED_FOLDERS.isdisjoint(parts[:-1]) and all(part.isidentifier() for part in parts):
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def _parsed(path: Path) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old files contain invalid escapes
        try:
            return ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError, RecursionError):
            return None


def _docstrings(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    """Yield qualified name and docstring of a module, its classes and functions, at any depth, in source order."""
    if isinstance(node, ast.Module | _Defined):
        docstring = ast.get_docstring(node)
        if docstring:
            yield name, docstring
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr):  # expressions hold no docstrings
            yield from _docstrings(child, f"{name}.{child.name}" if isinstance(child, _Defined) else name)


def _parted(docstring: str) -> tuple[str, str] | str:
    """Return first sentence and body of a docstring, or the field of CollectionSummary that counts it as unusable."""
    lines = [line.rstrip() for line in docstring.strip().split("\n")]
    first_blank = lines.index("") if "" in lines else len(lines)
    # The sentence is the first line, or two lines if it does not end there; a longer paragraph is not a summary.
    taken = 1 if lines[0].endswith((".", "!", "?")) else min(first_blank, 3)
    question, body = " ".join(" ".join(lines[:taken]).split()), "\n".join(lines[taken:]).strip()
    if len(body.split()) < LEAST_BODY_WORDS:
        return "short"
    heading = question.endswith(":")  # a heading introduces the body and is not its summary
    words = [word for word in question.split() if any(map(str.isalpha, word))]
    if taken > 2 or heading or len(words) < LEAST_QUERY_WORDS or _SYNTAX.match(question) or not _writable(docstring):
        return "unsuitable"
    return "quoted" if _compared(question) in _compared(body) else (question, body)


def _writable(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def _compared(text: str) -> str:
    """Normalise a text like an uncased encoder: fold case, join lines, and drop the mark at its end."""
    return " ".join(text.casefold().split()).rstrip(".!?")


def _collected(kept: list[tuple[str, str, str]], fates: Counter[str]) -> DemoCollection:
    """Return the collection of (name, first sentence, body) triples; equal bodies and equal sentences are merged."""
    documents: dict[str, DocumentRow] = {}
    queries: dict[str, QueryRow] = {}
    judgements: dict[JudgementRow, None] = {}
    for name, question, body in kept:
        document = documents.setdefault(_compared(body), (name, "", body))
        query = queries.setdefault(_compared(question), (f"q:{name}", question))
        judgements[query[0], document[0], 1] = None
    summary = CollectionSummary(
        files=fates["files"],
        unparsed_files=fates["unparsed_files"],
        docstrings=fates["short"] + fates["unsuitable"] + fates["quoted"] + fates["kept"],
        short=fates["short"],
        unsuitable=fates["unsuitable"],
        quoted=fates["quoted"],
        repeated_bodies=len(kept) - len(documents),
        shared_queries=len(kept) - len(queries),
    )
    return DemoCollection(tuple(documents.values()), tuple(queries.values()), tuple(judgements), summary)
