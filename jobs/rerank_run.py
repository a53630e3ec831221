"""Score the top documents of a run with a cross-encoder.

Reads documents, queries, runs.
Writes runs.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import RERANK_RUN

if __name__ == "__main__":
    launch(RERANK_RUN)
