"""Choose the inputs of a folder that become documents, queries and judgements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spladelake.errors import DataError
from spladelake.files.formats import split_files, suffix_of
from spladelake.names import some
from spladelake.survey.findings import Finding, finding_of, kind_of
from spladelake.survey.inputs import Input, find_inputs, kind_by_name, named_input
from spladelake.survey.samples import Sample, read_sample

KINDS = ("documents", "queries", "judgements")
_COLUMN_OPTIONS = {
    "document_id": ("documents", "doc_id"),
    "document_title": ("documents", "title"),
    "document_text": ("documents", "text"),
    "query_id": ("queries", "query_id"),
    "query_text": ("queries", "text"),
}
# The option of ingest_texts that names a column, by table and column.
OPTION_OF = {place: option for option, place in _COLUMN_OPTIONS.items()}


@dataclass(frozen=True)
class IngestPlan:
    """The chosen inputs.

    - findings: by table.
    - unused: locations of inputs that are not used.
    - folder, split: the folder and its split of judgements, if ingest_texts can read the folder as BEIR; else None.
    """

    findings: dict[str, Finding]
    unused: list[str] = field(default_factory=list)
    folder: str | None = None
    split: str | None = None


def plan(place: str, given: Mapping[str, str]) -> IngestPlan:
    """Choose the inputs at a place.

    - place: a file or folder.
    - given: options of ingest_texts by name. If they name files, these are the inputs instead.

    Raises DataError or UsageError if the documents cannot be found.
    """
    columns: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    for option, (kind, column) in _COLUMN_OPTIONS.items():
        if option in given:
            columns[kind][column] = given[option]
    samples, unused = _chosen(place, given, columns)
    found = {kind: finding_of(samples[kind], kind, columns[kind]) for kind in KINDS if kind in samples}
    folder, split = _beir(Path(place), found) if not any(kind in given for kind in KINDS) else (None, None)
    return IngestPlan(found, unused, folder, split)


def _chosen(
    place: str, given: Mapping[str, str], columns: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, Sample], list[str]]:
    named = [kind for kind in KINDS if kind in given]
    if named:
        formats = {kind: given.get(f"{kind}_format", "auto") for kind in named}
        inputs = {kind: named_input(given[kind], formats[kind], kind=kind) for kind in named}
        return {kind: read_sample(source, kind, named=columns) for kind, source in inputs.items()}, []
    samples, others = _samples(find_inputs(place), columns)
    by_kind: dict[str | None, list[Sample]] = {}
    for sample in samples:
        by_kind.setdefault(kind_of(sample) if len(samples) > 1 else "documents", []).append(sample)
    for several in by_kind.values():
        several.sort(key=_preference)
    if "documents" not in by_kind:
        unknown = sorted(by_kind.pop(None, []), key=lambda sample: -_size(sample))
        if not unknown:
            there = ", ".join(sample.source.location for sample in samples)
            found = f"none of the files looks like a file of documents (files: {there})"
            raise DataError(place, found, "wanted a file of documents", "Name the documents with --documents.")
        by_kind["documents"], by_kind[None] = unknown[:1], unknown[1:]
    chosen = {kind: by_kind[kind][0] for kind in KINDS if kind in by_kind}
    _check_alone(place, chosen["documents"], [*by_kind["documents"][1:], *by_kind.get(None, [])])
    used = {sample.source.location for sample in chosen.values()}
    return chosen, [s.source.location for s in samples if s.source.location not in used] + others


def _check_alone(place: str, chosen: Sample, others: list[Sample]) -> None:
    """Raise DataError if other files have the columns of the documents: a part of the documents would be left out."""
    form = chosen.source.format, set(chosen.columns)
    alike = [other.source.location for other in others if form[1] and (other.source.format, set(other.columns)) == form]
    if alike:
        names = sorted(Path(location).name for location in (chosen.source.location, *alike))
        found = f"several files have the same columns ({some(names)})"
        fix = "Put the files of the documents into a folder of their own, and set --documents to this folder."
        raise DataError(place, found, "wanted one input of documents", fix)


def _samples(inputs: list[Input], columns: Mapping[str, Mapping[str, str]]) -> tuple[list[Sample], list[str]]:
    """Return the samples of inputs, and the locations of JSON files beside them that hold no records."""
    samples, others, refusals = [], [], []
    for source in inputs:
        try:
            samples.append(read_sample(source, named=columns))
        except DataError as refusal:
            # Tools write their settings beside data, such as dataset_info.json. A file of data must not be left out.
            if suffix_of(source.location) != ".json" or kind_by_name(source.location) is not None:
                raise
            others.append(source.location)
            refusals.append(refusal)
    if not samples:
        raise refusals[0]
    return samples, others


def _preference(sample: Sample) -> tuple[bool, int, str]:
    """Return the sort key of inputs of one kind: the test split first, then the shortest name."""
    name = Path(sample.source.location).name
    return "test" not in name, len(name), name


def _size(sample: Sample) -> int:
    return sum(file.stat().st_size for file in sample.source.files)


def _beir(folder: Path, found: dict[str, Finding]) -> tuple[str | None, str | None]:
    """Return (folder, split) if ingest_texts can read the folder with --source, else (None, None)."""
    defaults = {"documents": ("corpus", "doc_id"), "queries": ("queries", "query_id")}
    for kind, (stem, key) in defaults.items():
        path = Path(found[kind].location) if kind in found else Path()
        if path.parent != folder or not path.name.startswith(f"{stem}.jsonl"):
            return None, None
        if (found[kind].columns[key], found[kind].columns["text"]) != ("_id", "text"):
            return None, None
    judgements = found.get("judgements")
    if judgements is None:
        return str(folder), None
    path = Path(judgements.location)
    if path.parent != folder / "qrels":
        return None, None
    splits = split_files(sorted(file.name for file in path.parent.iterdir()))
    split = next((split for split, name in splits.items() if name == path.name), None)
    return (None, None) if split is None else (str(folder), split)
