"""Two ways to ask a table's log: the classes of Delta, and public interfaces alone."""
