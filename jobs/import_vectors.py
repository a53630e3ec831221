"""Read vectors of other engines into a lake.

Reads vectors/NAME/vocabulary, vectors/NAME/documents.
Writes vectors/NAME/documents, vectors/NAME/queries, vectors/NAME/vocabulary.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import IMPORT_VECTORS

if __name__ == "__main__":
    launch(IMPORT_VECTORS)
