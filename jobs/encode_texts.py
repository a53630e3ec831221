"""Encode documents and queries into sparse vectors.

Reads documents, queries, vectors/NAME/documents.
Writes vectors/NAME/documents, vectors/NAME/queries, vectors/NAME/vocabulary, quarantine.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import ENCODE_TEXTS

if __name__ == "__main__":
    launch(ENCODE_TEXTS)
