"""The stored form of blocks: bits in columns of a table, and an exact search that reads only a question's own terms."""
