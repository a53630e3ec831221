"""Write the measures of a run as a file of another tool.

Reads measures, queries.
Writes files.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import EXPORT_MEASURES

if __name__ == "__main__":
    launch(EXPORT_MEASURES)
