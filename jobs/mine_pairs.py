"""Mine training pairs from judgements and a run; options as `spladelake mine_pairs --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["mine_pairs", *sys.argv[1:]]))
