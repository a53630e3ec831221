"""Delta tables: their places and schemas, and how jobs read, write, lock and log them."""
