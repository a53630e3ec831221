"""The tables in SQL: views, functions and table functions over one collection, for any Spark session.

from spladelake.spark.sql import install
install(session, lake="my-lake", model="splade-tiny")
session.sql("SELECT * FROM search('how is bread made', 5)")
"""

from spladelake.spark.sql.definitions import Definition, LakeTables, definitions
from spladelake.spark.sql.install import Installed, install, script

__all__ = ["Definition", "Installed", "LakeTables", "definitions", "install", "script"]
