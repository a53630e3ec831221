"""Write vectors as the files of other engines.

Reads vectors/NAME/documents, vectors/NAME/queries, vectors/NAME/vocabulary.
Writes files.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import EXPORT_VECTORS

if __name__ == "__main__":
    launch(EXPORT_VECTORS)
