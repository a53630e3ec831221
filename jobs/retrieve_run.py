"""Rank documents for every query by exact dot product; options as `spladelake retrieve_run --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["retrieve_run", *sys.argv[1:]]))
