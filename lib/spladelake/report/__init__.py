"""The HTML report: what is shown, its plots and its page. Gathering the data from a lake is `spark.report`'s work."""
