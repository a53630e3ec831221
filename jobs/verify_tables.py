"""Check that the tables of a lake are consistent.

Reads every table.
Writes nothing.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import VERIFY_TABLES

if __name__ == "__main__":
    launch(VERIFY_TABLES)
