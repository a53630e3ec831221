"""Write the measures of a run as a file of another tool; options as `spladelake export_measures --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["export_measures", *sys.argv[1:]]))
