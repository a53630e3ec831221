"""Write the vectors of a model again in less space; options as `spladelake compact_vectors --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["compact_vectors", *sys.argv[1:]]))
