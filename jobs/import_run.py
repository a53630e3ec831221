"""Read rankings that another system made into `runs`; options as `spladelake import_run --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["import_run", *sys.argv[1:]]))
