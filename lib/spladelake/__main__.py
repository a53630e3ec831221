"""`python -m spladelake` is the command `spladelake`."""

from spladelake.cli import run

run()
