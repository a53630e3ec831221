"""Score mined pairs with teachers.

Reads documents, queries, runs, training/SET/pairs, training/SET/teacher_scores.
Writes training/SET/teacher_scores, training/SET/scored_pairs.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import SCORE_PAIRS

if __name__ == "__main__":
    launch(SCORE_PAIRS)
