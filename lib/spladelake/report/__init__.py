"""The HTML report: its data, plots and page. `spark.evaluate.report` reads the data from a lake."""
