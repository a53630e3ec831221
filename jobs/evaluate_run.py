"""Measure a run against the judgements; options as `spladelake evaluate_run --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate_run", *sys.argv[1:]]))
