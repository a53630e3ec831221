"""The help page of the command line: its commands in groups."""

from __future__ import annotations

import re

import click

# In the order of the help page.
GROUPS = ("start", "prepare data", "encode", "retrieve", "measure", "train", "exchange", "upkeep", "schedule")


class GroupedCommands(click.Group):
    """A click group whose help page lists its commands in named groups."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._parts: dict[str, list[str]] = {name: [] for name in GROUPS}

    def add_to(self, group: str, *commands: click.Command) -> None:
        """Add commands to a group of the help page."""
        for command in commands:
            self.add_command(command)
            self._parts[group].append(command.name or "")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands of each group with the whole first sentence of their help."""
        for group, names in self._parts.items():
            with formatter.section(group.capitalize()):
                formatter.write_dl([(name, _first_sentence(self.commands[name])) for name in names])


def _first_sentence(command: click.Command) -> str:
    paragraph = (command.help or "").split("\n\n", 1)[0]
    return re.split(r"(?<=\.)\s", " ".join(paragraph.split()), maxsplit=1)[0]
