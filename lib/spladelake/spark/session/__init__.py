"""The Spark session: its start, its settings, its progress, and explanations of its failures."""
