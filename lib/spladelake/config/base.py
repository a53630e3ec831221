"""The options that all jobs share, and the check that turns plain values into an option model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from spladelake.config.refusals import OptionError, OptionsError, option_error
from spladelake.config.yaml_text import YamlError, parse_yaml
from spladelake.errors import UsageError
from spladelake.names import suggestion

DEFAULT_MODEL = "rasyosef/splade-mini"


class Options(BaseModel):
    """The base of all option models. They are immutable, and an unknown key is an error."""

    # yaml reads `split: 2019`, or a Spark setting of 8, as a number although the option is text. A help page checks
    # nothing, so it need not wait until the checks of all jobs are built.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, defer_build=True)

    # Our name of an option by another name that users may type for it.
    synonyms: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _under_our_names(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        for other, ours in cls.synonyms.items():
            if other in given and ours in given:
                second = f"--{other.replace('_', '-')}"
                found = f"{second} and --{ours.replace('_', '-')} are two names of one option"
                raise OptionsError(found, "one of them", f"Leave out {second}.")
        return {cls.synonyms.get(name, name): value for name, value in given.items()}

    @classmethod
    def other_names(cls, option: str) -> list[str]:
        """Return the other names that users may type for an option."""
        return [other for other, ours in cls.synonyms.items() if ours == option]


Lake = Annotated[
    str, Field(min_length=1, description="Folder of the lake, or schema:NAME for a schema of the catalog.")
]

# Options that several jobs have.
VectorsName = Annotated[
    str | None, Field(min_length=1, description="Name of the vectors (default: the model's short name).")
]
TokenBudget = Annotated[int | None, Field(ge=16, description="Most tokens in one forward pass, padding included.")]
ChunkMinutes = Annotated[
    float, Field(gt=0, description="Commit about every so many minutes. A killed run loses at most this much work.")
]


def _read_date(given: Any) -> Any:
    # A scheduler's day. pydantic by itself would also take seconds since 1970.
    if isinstance(given, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", given):
        try:
            return date.fromisoformat(given)
        except ValueError:
            found = f"there is no day {given}"
            raise OptionError("a day of the calendar, such as 2026-11-24", "Correct the day.", found=found) from None
    if not isinstance(given, date | None) or isinstance(given, datetime):
        raise OptionError("a day as YYYY-MM-DD, such as 2026-11-24")
    return given


RunDate = Annotated[date | None, BeforeValidator(_read_date)]


class JobOptions(Options):
    """The options of every job: its lake, and the name and day that a scheduler gives to an execution of the job.

    The job uses a name from the user unchanged. It appends the day to a default name.
    """

    lake: Lake
    run_id: str | None = Field(
        None,
        min_length=1,
        description="Name of this execution of the job in the run log (default: job and day).",
    )
    run_date: RunDate = Field(None, description="Logical date (YYYY-MM-DD). Default run names end in it.")

    def dated(self, name: str) -> str:
        """Return a name that the job chose itself, with the logical date appended if there is one."""
        return name if self.run_date is None else f"{name}-{self.run_date}"

    def settings(self, *left_out: str) -> dict[str, Any]:
        """Return the options that decide a result, as plain values: not the lake, force or the names of the run."""
        return self.model_dump(mode="json", exclude={"lake", "run_id", "ranking", "run_date", "force", *left_out})


class RankingOptions(JobOptions):
    """The options of a job that writes or reads one ranking, which it finds by its name."""

    run_id: str | None = Field(
        None,
        min_length=1,
        description="Name of this execution of the job in the run log (default: the name of the ranking). Without "
        "--ranking it also names the ranking, as before there was --ranking.",
    )
    ranking: str | None = Field(None, min_length=1, description="Name of the ranking.")

    @property
    def ranking_name(self) -> str | None:
        """The name of the ranking that the user gave."""
        return self.ranking or self.run_id


def _split(given: Any) -> Any:
    return tuple(filter(None, (part.strip() for part in given.split(",")))) if isinstance(given, str) else given


def _read_yaml(given: Any) -> Any:
    try:
        return parse_yaml(given) if isinstance(given, str) else given
    except YamlError as error:
        found = f"the value {given!r} is not valid YAML ({error.reason})"
        raise OptionError("keys and values, such as '{name: value}'", f"{error.fix}.", found=found) from None


def _known_measures(names: tuple[str, ...]) -> tuple[str, ...]:
    from spladelake.measures import expanded  # imports numpy, which would slow down help pages

    try:
        return expanded(names)
    except UsageError as error:
        raise OptionError(error.wanted.removeprefix("wanted "), error.fix, found=error.found) from None


# The command line passes text: lists with commas, mappings as yaml.
CommaSeparated = BeforeValidator(_split)
FromYaml = BeforeValidator(_read_yaml)
Names = Annotated[tuple[str, ...], CommaSeparated]
Measures = Annotated[tuple[str, ...], CommaSeparated, AfterValidator(_known_measures)]


Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], values: dict[str, Any], *, place: str) -> Model:
    """Return an option model from plain values.

    Raises UsageError, which names the key, the given value and the values that the option takes.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # Report an unknown key first: it is often the misspelling of a key that is then missing.
        first = min(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = suggestion(key.rsplit(".", 1)[-1], model.model_fields)
            raise UsageError(
                f"{place}: {key}", "there is no such option", known, "Correct or remove the option."
            ) from None
        if first["type"] == "missing":
            raise UsageError(
                f"{place}: {key}", "the required option is missing", "wanted a value", f"Give a value for {key}."
            ) from None
        if not key:
            cause = first["ctx"]["error"]
            raise UsageError(place, cause.found, f"wanted {cause.wanted}", cause.fix) from None
        raise option_error(f"{place}: {key}", first) from None
