"""Commands for people, beside the jobs: each a click command in a module of its own."""
