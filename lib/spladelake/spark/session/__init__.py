"""The Spark session: how it starts, the settings it runs under, its progress, and failures explained."""
