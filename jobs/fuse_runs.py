"""Fuse several runs into one.

Reads runs.
Writes runs.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import FUSE_RUNS

if __name__ == "__main__":
    launch(FUSE_RUNS)
