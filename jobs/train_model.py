"""Train a model on mined pairs; options as `spladelake train_model --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["train_model", *sys.argv[1:]]))
