"""Fuse several runs into one; options as `spladelake fuse_runs --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["fuse_runs", *sys.argv[1:]]))
