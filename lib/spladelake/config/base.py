"""What all option models share, and the check that turns plain values into one."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from spladelake.errors import UsageError
from spladelake.names import suggestion

DEFAULT_MODEL = "rasyosef/splade-mini"


class Options(BaseModel):
    """Common to all option models: immutable, and an unknown key is an error."""

    # yaml reads `split: 2019` or a Spark setting of 8 as numbers where text is meant.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


Lake = Annotated[
    str, Field(min_length=1, description="Folder of the collection's tables, or schema:NAME for a catalog.")
]


def _read_date(given: Any) -> Any:
    # A scheduler's day. pydantic by itself would also take seconds since 1970.
    if isinstance(given, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", given):
        raise ValueError("a day as YYYY-MM-DD, such as 2026-11-24")
    if not isinstance(given, str | date | None) or isinstance(given, datetime):
        raise ValueError("a day as YYYY-MM-DD, such as 2026-11-24")
    return given


RunDate = Annotated[date | None, BeforeValidator(_read_date)]


class JobOptions(Options):
    """Common to all jobs: what a scheduler calls a run of it.

    Names that are given are taken as they are; only those that a job would choose by itself get the day.
    """

    lake: Lake
    run_id: str | None = Field(
        None, min_length=1, description="Name of this run in the run log (default: the job's and the day's)."
    )
    run_date: RunDate = Field(
        None, description="Day that the run is for, YYYY-MM-DD: names of runs that are not given end in it."
    )

    def dated(self, name: str) -> str:
        """A name that nobody gave, with the day of the run where there is one."""
        return name if self.run_date is None else f"{name}-{self.run_date}"

    def settings(self, *left_out: str) -> dict[str, Any]:
        """The options that a result depends on, as plain values: neither lake nor force, nor what a run is called."""
        return self.model_dump(mode="json", exclude={"lake", "run_id", "run_date", "force", *left_out})


def _split(given: Any) -> Any:
    return tuple(filter(None, (part.strip() for part in given.split(",")))) if isinstance(given, str) else given


def _read_yaml(given: Any) -> Any:
    try:
        return yaml.safe_load(given) if isinstance(given, str) else given
    except yaml.YAMLError:
        raise ValueError("it is not yaml; wanted keys and values such as '{name: value}'") from None


def _known_measures(names: tuple[str, ...]) -> tuple[str, ...]:
    from spladelake.measures import expanded  # it brings numpy, for which no help page should wait

    try:
        return expanded(names)
    except UsageError as error:
        raise ValueError(str(error)) from None


# The command line gives text: lists with commas, mappings as yaml.
CommaSeparated = BeforeValidator(_split)
FromYaml = BeforeValidator(_read_yaml)
Names = Annotated[tuple[str, ...], CommaSeparated]
Measures = Annotated[tuple[str, ...], CommaSeparated, AfterValidator(_known_measures)]


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
            known = suggestion(key.rsplit(".", 1)[-1], model.model_fields)
            raise UsageError(f"{place}: {key}", "there is no such option", known, "Correct it.") from None
        if first["type"] == "missing":
            raise UsageError(f"{place}: {key}", "it is missing", "the job needs it", f"Give {key}.") from None
        if not key:
            reason = first["msg"].removeprefix("Value error, ")
            raise UsageError(place, reason, "see --help for what goes together", "Correct it.") from None
        found = f"found {first['input']!r}"
        raise UsageError(f"{place}: {key}", found, f"wanted: {first['msg'].lower()}", "Correct it.") from None
