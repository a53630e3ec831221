"""Write vectors as the files of other engines; options as `spladelake export_vectors --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["export_vectors", *sys.argv[1:]]))
