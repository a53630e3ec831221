"""Mine training pairs from judgements and a run.

Reads documents, queries, judgements, runs.
Writes training/SET/parts, training/SET/pairs.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import MINE_PAIRS

if __name__ == "__main__":
    launch(MINE_PAIRS)
