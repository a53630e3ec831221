"""Write document vectors as blocks ready to score.

Reads vectors/NAME/documents.
Writes vectors/NAME/index.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import INDEX_VECTORS

if __name__ == "__main__":
    launch(INDEX_VECTORS)
