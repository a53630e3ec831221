"""Write a run or the judgements as files of other tools.

Reads runs, judgements.
Writes files.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import EXPORT_RUN

if __name__ == "__main__":
    launch(EXPORT_RUN)
