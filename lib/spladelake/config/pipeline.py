"""The pipeline file: named steps in order, each with its options."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from pydantic import Field

from spladelake.config.base import DEFAULT_MODEL, JobOptions, Lake, Options, RunDate, checked
from spladelake.config.jobs import JOBS
from spladelake.config.steps import EXAMPLES, Step, labels, set_option, set_value, step_list
from spladelake.config.yaml_text import RepeatedYamlKeyError, YamlError, parse_yaml
from spladelake.errors import UsageError
from spladelake.names import listed, suggestion

# A file's value in words of YAML, if it is no map.
_KINDS = {
    list: "a list",
    str: "a single text",
    int: "a single number",
    float: "a single number",
    bool: "a single boolean",
}


class Pipeline(Options):
    """A pipeline file: the steps to run in order, each with its options. `lake` and `model` hold for all steps."""

    lake: Lake
    model: str = DEFAULT_MODEL
    run_id: str | None = None
    run_date: RunDate = None
    spark: dict[str, str] = Field(default_factory=dict)
    steps: list[Step]

    def options(self, *, place: str) -> list[tuple[str, JobOptions]]:
        """Return the checked options of every step, in order. Raises UsageError for the first wrong option."""
        if not self.steps:
            raise UsageError(
                f"{place}: steps",
                "the list of steps is empty",
                f"wanted one or more of {listed(JOBS, 'and')}",
                "Add a step, such as ingest_texts.",
            )
        steps = []
        for label, (name, given) in zip(self.labels, self.steps, strict=True):
            if name not in JOBS:
                hint = suggestion(name, JOBS)
                raise UsageError(f"{place}: steps.{name}", "there is no such step", hint, "Correct the name.")
            shared = {"lake": self.lake, "model": self.model, "run_id": self.run_id, "run_date": self.run_date}
            known = JOBS[name].options.model_fields
            values = {key: value for key, value in shared.items() if key in known and value is not None}
            steps.append((name, checked(JOBS[name].options, {**values, **given}, place=f"{place}: steps.{label}")))
        return steps

    @property
    def labels(self) -> list[str]:
        """Return the label of each step: its name, or name[1], name[2] … if it runs more than once."""
        return labels([name for name, _ in self.steps])


def load_pipeline(path: str, *, overrides: dict[str, str] | None = None) -> Pipeline:
    """Read a pipeline file (YAML or TOML). The environment gives the values of `${NAME}` and `${NAME:-default}`.

    - overrides: values written as YAML, by dotted keys such as `steps.retrieve_run.k`. Without a number a key sets the
      option of every step of that name; `steps.encode_texts[2].model` sets it for the second of these steps only.

    Raises UsageError if the file is missing, does not parse, or has an unknown key.
    """
    file = Path(path)
    if not file.is_file():
        found = "this is a folder" if file.is_dir() else "there is no such file"
        raise UsageError(path, found, "wanted a pipeline file", f"Correct the path. {EXAMPLES}")
    try:
        values = _parse(file)
    except RepeatedYamlKeyError as error:
        fix = f"{error.fix}. To run a step twice, write the steps as a list."
        raise UsageError(path, error.reason, "wanted each key once", fix) from error
    except UnicodeDecodeError as error:
        raise UsageError(path, "the file is not UTF-8", "wanted text in UTF-8", "Save the file as UTF-8.") from error
    except YamlError as error:
        found = f"the file does not parse ({error.reason})"
        raise UsageError(path, found, "wanted valid YAML", f"{error.fix}.") from error
    except ValueError as error:
        found = f"the file does not parse ({' '.join(str(error).split())})"
        raise UsageError(path, found, "wanted valid TOML", "Correct the TOML.") from error
    if not isinstance(values, dict):
        found = "the file is empty" if values is None else f"the file is {_KINDS.get(type(values), 'a single value')}"
        raise UsageError(path, found, "wanted keys with values, such as lake and steps", EXAMPLES)
    values = _expand(values, path)
    if "steps" in values:
        values["steps"] = step_list(values["steps"] or [], place=path)
    for dotted, text in (overrides or {}).items():
        _override(values, dotted, text)
    return checked(Pipeline, values, place=path)


def _override(values: dict[str, Any], dotted: str, text: str) -> None:
    """Set a value of a file. Raises UsageError if the text is not YAML, or if there is no place for its value."""
    try:
        value = text if dotted in ("lake", "run_id") else parse_yaml(text)
    except YamlError as error:
        found = f"the value is not valid YAML ({error.reason})"
        fix = f"{error.fix}. YAML quotes stand inside the quotes of the shell: --set 'KEY=\"VALUE\"'."
        raise UsageError(f"--set {dotted}={text}", found, "wanted one YAML value", fix) from None
    first, *rest = dotted.split(".")
    if first != "steps" or not rest or "steps" not in values:
        set_value(values, [first, *rest], value)
    elif len(rest) > 1:
        set_option(values["steps"], rest[0], rest[1:], value)
    else:
        fix = f"Add the name of an option: --set {dotted}.OPTION=VALUE."
        raise UsageError(f"--set {dotted}", "the key names no option of the step", "wanted steps.STEP.OPTION", fix)


def _parse(file: Path) -> Any:
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".toml":
        import tomllib

        return tomllib.loads(text)
    return parse_yaml(text)


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
            found, fix = f"the environment variable ${{{name}}} is not set", f"Set the variable: export {name}=…"
            raise UsageError(place, found, "wanted a value, because the file uses the variable", fix)
        return default

    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", replace, value)
