"""Commands of the command line, one click command per module."""
