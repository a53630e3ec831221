"""Write the vectors of a model again in less space.

Reads vectors/NAME/documents, vectors/NAME/queries, vectors/NAME/vocabulary, judgements.
Writes vectors/NAME/documents, vectors/NAME/queries, vectors/NAME/vocabulary, compactions.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import COMPACT_VECTORS

if __name__ == "__main__":
    launch(COMPACT_VECTORS)
