"""YAML that a user wrote: a pipeline file, a value of --set, an option that takes a map."""

from __future__ import annotations

from typing import Any

import yaml

from spladelake.names import shortened

QUOTED = "Close each bracket and quote, and put quotes around text with special characters"


class YamlError(ValueError):
    """A text is not valid YAML.

    - reason: the fault, with the line if the text has several.
    - fix: an imperative clause.
    """

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason, self.fix = reason, fix


class _Scalar(yaml.YAMLError):
    """A single value has the form of a kind of value, such as a date, but no such value exists."""

    def __init__(self, node: yaml.ScalarNode) -> None:
        super().__init__(node.value)
        self.problem = f"{shortened(node.value, 40)!r} {_IMPOSSIBLE.get(node.tag, 'does not fit its tag')}"
        self.problem_mark = node.start_mark


_IMPOSSIBLE = {
    "tag:yaml.org,2002:timestamp": "is not a possible date",
    "tag:yaml.org,2002:int": "is not a possible number",
    "tag:yaml.org,2002:float": "is not a possible number",
}


class _UniqueKeys(yaml.SafeLoader):
    """A yaml loader that refuses repeated keys. Otherwise one of two steps with the same name would be lost."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, KeyError, AttributeError) as error:
            # yaml's words for 2026-02-30, or for !!bool x, are Python's own.
            if not isinstance(node, yaml.ScalarNode):
                raise
            raise _Scalar(node) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                raise RepeatedYamlKeyError(key.value, lines[key.value], line)
            lines[key.value] = line
        return super().construct_mapping(node, deep=deep)


class RepeatedYamlKeyError(YamlError):
    """A key occurs twice."""

    def __init__(self, key: str, first: int, again: int) -> None:
        lines = f"on the lines {first} and {again}" if first != again else f"on line {first}"
        super().__init__(f"the key {key!r} occurs twice, {lines}", "Remove one of them")


def parse_yaml(text: str) -> Any:
    """Return the value of a text in YAML. Raises YamlError if the text is not valid YAML or repeats a key."""
    try:
        return yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        fix = "Correct the value, or put quotes around it to make it text" if isinstance(error, _Scalar) else QUOTED
        raise YamlError(_reason(error, lines=len(text.splitlines())), fix) from error
    except RecursionError as error:
        raise YamlError("the brackets are nested too deeply", "Remove brackets") from error


def _reason(error: yaml.YAMLError, *, lines: int) -> str:
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    mark = getattr(error, "problem_mark", None)
    return problem if mark is None or lines <= 1 else f"line {mark.line + 1}, column {mark.column + 1}: {problem}"
