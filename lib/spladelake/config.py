"""Options of every job, defined once: the command line, the pipeline file and the checks all read these models."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from spladelake.errors import UsageError
from spladelake.measures import parse_measure

DEFAULT_MODEL = "rasyosef/splade-mini"

FileFormat = Literal["auto", "jsonl", "tsv", "csv", "parquet", "delta", "qrels"]
Side = Literal["documents", "queries", "both"]

MAX_REJECTED_DEFAULT = 0.01


class Options(BaseModel):
    """Common to all option models: immutable, and an unknown key is an error."""

    # yaml reads `split: 2019` or a Spark setting of 8 as numbers where text is meant.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


Lake = Annotated[
    str, Field(min_length=1, description="Folder of the collection's tables, or schema:NAME for a catalog.")
]


class IngestTexts(Options):
    """Read documents, queries and judgements into Delta tables; rows that cannot be used go to `quarantine`."""

    lake: Lake
    source: str | None = Field(
        None, description="A BEIR folder (corpus.jsonl, queries.jsonl, qrels/), or ir_datasets:ID."
    )
    split: str = Field("test", description="Which qrels/SPLIT.tsv of a BEIR folder.")
    documents: str | None = Field(None, description="File, folder or Delta table of documents.")
    documents_format: FileFormat = Field("auto", description="Format of --documents; auto goes by the name.")
    queries: str | None = Field(None, description="File, folder or Delta table of queries.")
    queries_format: FileFormat = Field("auto", description="Format of --queries.")
    judgements: str | None = Field(None, description="Judgements: BEIR tsv, TREC qrels, csv, parquet or Delta.")
    judgements_format: FileFormat = Field("auto", description="Format of --judgements.")
    document_id: str | None = Field(
        None, description="Column or key of the document id (jsonl: _id; else doc_id, _id, id …)."
    )
    document_title: str | None = Field(None, description="Column or key of the title.")
    document_text: str | None = Field(None, description="Column or key of the text.")
    query_id: str | None = Field(None, description="Column or key of the query id.")
    query_text: str | None = Field(None, description="Column or key of the query's text.")
    max_rejected: float = Field(
        MAX_REJECTED_DEFAULT,
        ge=0,
        le=1,
        description="Share of rows that may be malformed; above it the job fails (exit 3) after writing quarantine.",
    )
    force: bool = Field(False, description="Do the work even if the tables are current.")

    @model_validator(mode="after")
    def _names_a_source(self) -> IngestTexts:
        if not any((self.source, self.documents, self.queries, self.judgements)):
            raise ValueError("nothing to read: give --source, or --documents, --queries or --judgements")
        if self.source and any((self.documents, self.queries, self.judgements)):
            raise ValueError("--source already names all three; leave out --documents, --queries and --judgements")
        for kind, columns in (("documents", ("id", "title", "text")), ("queries", ("id", "text"))):
            named = [f"{kind.replace('queries', 'query').removesuffix('s')}_{column}" for column in columns]
            given = [name for name in named if getattr(self, name) is not None]
            if given and getattr(self, kind) is None:
                raise ValueError(f"{given[0]} names a column of --{kind}, which is not given")
        return self


class EncodeTexts(Options):
    """Encode documents and queries into sparse vectors: one model a Python worker, one Delta table a side."""

    lake: Lake
    model: str = Field(
        DEFAULT_MODEL,
        description="Hugging Face id (optionally id@revision), local folder, package:NAME/folder, or splade-tiny.",
    )
    model_sha256: str | None = Field(None, description="Refuse the model unless its weights file has this sha256.")
    side: Side = Field("both", description="Which table to encode.")
    max_length: int | None = Field(None, ge=3, description="Tokens read of each text (default: the model's own).")
    max_active_dims: int | None = Field(None, ge=1, description="Keep only so many of the heaviest terms.")
    minimum_weight: float = Field(0.0, ge=0, description="Drop terms below this weight.")
    split_special_tokens: bool = Field(False, description='Read a literal "[SEP]" in a text as plain text.')
    vectors: str | None = Field(None, min_length=1, description="Name of the vectors' folder (default: the model's).")
    rows_per_task: int | None = Field(None, ge=1, description="Texts in one Spark task (default: by corpus and slots).")
    token_budget: int | None = Field(None, ge=16, description="Padded tokens in one forward pass.")
    force: bool = Field(False, description="Encode again even if the vectors are current.")


class RetrieveRun(Options):
    """Rank documents for every query by exact dot product: explode both sides, join on the term, sum, keep k."""

    lake: Lake
    model: str = Field(DEFAULT_MODEL, description="Model whose vectors are joined, as given to encode_texts.")
    vectors: str | None = Field(None, min_length=1, description="Name of the vectors' folder (default: the model's).")
    k: int = Field(100, ge=1, description="Documents kept for each query.")
    run_id: str | None = Field(None, min_length=1, description="Name of the run (default: that of the vectors).")
    force: bool = Field(False, description="Retrieve again even if the run is current.")


class EvaluateRun(Options):
    """Measure a run against the judgements, by sentence-transformers' and trec_eval's definitions."""

    lake: Lake
    run_id: str | None = Field(None, min_length=1, description="Run to measure (default: that of the vectors).")
    model: str = Field(DEFAULT_MODEL, description="Model of the run: its vectors give active dims and the default run.")
    vectors: str | None = Field(None, min_length=1, description="Name of the vectors' folder (default: the model's).")
    measures: tuple[str, ...] = Field(
        (), description="Measures, comma separated (default: those of the published card and graded nDCG)."
    )
    relevance_level: int = Field(1, ge=1, description="Smallest grade that counts as relevant in binary measures.")
    force: bool = Field(False, description="Evaluate again even if the measures are current.")

    @field_validator("measures")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            try:
                parse_measure(name)
            except UsageError as error:
                raise ValueError(str(error)) from None
        return names


STEPS: dict[str, type[Options]] = {
    "ingest_texts": IngestTexts,
    "encode_texts": EncodeTexts,
    "retrieve_run": RetrieveRun,
    "evaluate_run": EvaluateRun,
}

Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], values: dict[str, Any], *, place: str) -> Model:
    """An option model from plain values. Raises UsageError naming the key, what was found and what was wanted."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # An unknown key first: it is often the misspelling of one that is then missing.
        first = min(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UsageError(f"{place}: {key}", "there is no such option", _known(key, model), "Correct it.") from None
        if first["type"] == "missing":
            raise UsageError(f"{place}: {key}", "it is missing", "the job needs it", f"Give {key}.") from None
        if not key:
            reason = first["msg"].removeprefix("Value error, ")
            raise UsageError(place, reason, "see --help for what goes together", "Correct it.") from None
        found = f"found {first['input']!r}"
        raise UsageError(f"{place}: {key}", found, f"wanted: {first['msg'].lower()}", "Correct it.") from None


def _known(key: str, model: type[BaseModel]) -> str:
    names = list(model.model_fields)
    close = difflib.get_close_matches(key.rsplit(".", 1)[-1], names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}"


class Pipeline(Options):
    """A pipeline file: the steps to run in order, each with its options; `lake` and `model` are given once."""

    lake: Lake
    model: str = DEFAULT_MODEL
    run_id: str | None = None
    spark: dict[str, str] = Field(default_factory=dict)
    steps: dict[str, dict[str, Any] | None]

    def options(self, *, place: str) -> list[tuple[str, Options]]:
        """Every step's checked options, in order; raises UsageError for the first that is wrong."""
        if not self.steps:
            raise UsageError(f"{place}: steps", "it is empty", f"wanted some of {', '.join(STEPS)}", "Name a step.")
        steps = []
        for name, given in self.steps.items():
            if name not in STEPS:
                close = difflib.get_close_matches(name, STEPS, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(STEPS)}"
                raise UsageError(f"{place}: steps.{name}", "there is no such step", hint, "Correct it.")
            shared = {"lake": self.lake, "model": self.model, "run_id": self.run_id}
            known = STEPS[name].model_fields
            values = {key: value for key, value in shared.items() if key in known and value is not None}
            steps.append((name, checked(STEPS[name], {**values, **(given or {})}, place=f"{place}: steps.{name}")))
        return steps


def load_pipeline(path: str, *, overrides: dict[str, str] | None = None) -> Pipeline:
    """Read a pipeline file (yaml or toml). `${NAME}` and `${NAME:-default}` are taken from the environment.

    overrides: dotted keys such as `steps.retrieve_run.k`, with values written as yaml.
    Raises UsageError for a file that is missing, does not parse, or says something unknown.
    """
    file = Path(path)
    if not file.is_file():
        raise UsageError(path, "there is no such file", "wanted a pipeline file", "See conf/ for examples.")
    try:
        values = _parse(file)
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(path, f"it does not parse ({reason})", "wanted yaml or toml", "Correct the file.") from error
    if not isinstance(values, dict):
        raise UsageError(
            path, f"it holds a {type(values).__name__}", "wanted keys and values", "See conf/ for examples."
        )
    values = _expand(values, path)
    for dotted, text in (overrides or {}).items():
        try:
            value = text if dotted == "lake" else yaml.safe_load(text)
        except yaml.YAMLError:
            raise UsageError(f"--set {dotted}={text}", "the value is not yaml", "wanted a value", "Quote it.") from None
        _set(values, dotted.split("."), value, path)
    return checked(Pipeline, values, place=path)


def _parse(file: Path) -> Any:
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".toml":
        import tomllib

        return tomllib.loads(text)
    return yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader


class _UniqueKeys(yaml.SafeLoader):
    """yaml that refuses a key given twice: of two steps with one name the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _expand(value: Any, place: str) -> Any:
    if isinstance(value, dict):
        return {key: _expand(item, place) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, place) for item in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        if name in os.environ:
            return os.environ[name]
        if default is None:
            raise UsageError(place, f"${{{name}}} is not set", "the file uses it", f"Set it: export {name}=…")
        return default

    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", replace, value)


def _set(values: dict[str, Any], keys: list[str], value: Any, place: str) -> None:
    for key in keys[:-1]:
        if values.get(key) is None:
            values[key] = {}
        values = values[key]
        if not isinstance(values, dict):
            raise UsageError(place, f"{key} holds no keys", "--set names a key below it", "Correct the option.")
    values[keys[-1]] = value
