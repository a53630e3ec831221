"""Rank documents for every query by exact dot product.

Reads vectors/NAME/documents, vectors/NAME/queries, vectors/NAME/index, documents, runs.
Writes runs.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import RETRIEVE_RUN

if __name__ == "__main__":
    launch(RETRIEVE_RUN)
