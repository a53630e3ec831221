"""Read documents, queries and judgements into Delta tables.

Reads files, or tables outside the lake.
Writes documents, queries, judgements, quarantine.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import INGEST_TEXTS

if __name__ == "__main__":
    launch(INGEST_TEXTS)
