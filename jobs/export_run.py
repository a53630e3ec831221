"""Write a run or the judgements as files of other tools; options as `spladelake export_run --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["export_run", *sys.argv[1:]]))
