"""Write document vectors as blocks ready to score; options as `spladelake index_vectors --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["index_vectors", *sys.argv[1:]]))
