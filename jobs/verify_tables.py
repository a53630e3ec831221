"""Check that the tables of a lake agree; options as `spladelake verify_tables --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["verify_tables", *sys.argv[1:]]))
