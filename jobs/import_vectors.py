"""Read vectors of other engines into a lake; options as `spladelake import_vectors --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["import_vectors", *sys.argv[1:]]))
