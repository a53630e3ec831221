"""Score the top of a run anew with a cross-encoder; options as `spladelake rerank_run --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["rerank_run", *sys.argv[1:]]))
