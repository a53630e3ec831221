"""Encode documents and queries into sparse vectors; options as `spladelake encode_texts --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["encode_texts", *sys.argv[1:]]))
