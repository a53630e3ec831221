"""Delta tables: where they are, their schemas, and how rows are written, read, locked and logged."""
