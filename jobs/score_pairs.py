"""Score mined pairs with teachers; options as `spladelake score_pairs --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["score_pairs", *sys.argv[1:]]))
