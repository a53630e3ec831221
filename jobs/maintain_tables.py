"""Compact, check and clean every table of a lake.

Reads every table.
Writes every table.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import MAINTAIN_TABLES

if __name__ == "__main__":
    launch(MAINTAIN_TABLES)
