"""Compare measured runs, with tests of their differences; options as `spladelake compare_runs --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["compare_runs", *sys.argv[1:]]))
