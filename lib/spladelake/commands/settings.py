"""Spark settings from the options of a command: a properties file and KEY=VALUE pairs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from spladelake.errors import UsageError


def spark_settings(properties_file: str | None, pairs: Sequence[str]) -> dict[str, str]:
    """Return the Spark settings of a file in the format of spark-defaults.conf and of KEY=VALUE pairs; pairs win.

    Raises UsageError if the file is missing or a pair is not spark.KEY=VALUE.
    """
    settings: dict[str, str] = {}
    if properties_file is not None:
        path = Path(properties_file)
        if not path.is_file():
            raise UsageError(
                properties_file, "there is no such file", "wanted a file of Spark settings", "Correct the path."
            )
        for line in path.read_text(encoding="utf-8").splitlines():
            # As in java.util.Properties, the separator is =, : or white space.
            words = re.split(r"\s*[=:\s]\s*", line.strip(), maxsplit=1)
            if words[0] and not words[0].startswith(("#", "!")):
                settings[words[0]] = words[1].strip() if len(words) > 1 else ""
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.startswith("spark."):
            raise UsageError(
                f"--conf {pair}",
                'the setting does not begin with "spark."' if equals else "the setting has no =",
                "wanted spark.KEY=VALUE",
                "Write the option as --conf spark.KEY=VALUE.",
            )
        settings[key] = value
    return settings
