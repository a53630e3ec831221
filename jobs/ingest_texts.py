"""Read documents, queries and judgements into Delta tables; options as `spladelake ingest_texts --help` lists them."""

import sys

from spladelake.cli import main

if __name__ == "__main__":
    sys.exit(main(["ingest_texts", *sys.argv[1:]]))
