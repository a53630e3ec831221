"""Compare measured runs, with tests of their differences.

Reads measures, runs, run_log.
Writes comparisons/systems, comparisons/costs, comparisons/pairs, comparisons/queries.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import COMPARE_RUNS

if __name__ == "__main__":
    launch(COMPARE_RUNS)
