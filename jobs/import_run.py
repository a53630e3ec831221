"""Read runs of another system into `runs`.

Reads documents, queries.
Writes runs.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import IMPORT_RUN

if __name__ == "__main__":
    launch(IMPORT_RUN)
