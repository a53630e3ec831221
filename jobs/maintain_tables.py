"""Compact, check and clean every table of a lake; options as `spladelake maintain_tables --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["maintain_tables", *sys.argv[1:]]))
