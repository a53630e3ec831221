"""A client of Spark Connect that runs commands of spladelake at a server which refuses what serverless compute refuses.

python -m support.connect_commands < request.json

The request has `sql` (statements to run first), `commands` (lists of arguments) and `plans` (whether the jobs treat the
tables as large). Prints the exit code and the result of each command as JSON.
"""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import redirect_stdout
from typing import Any, NoReturn

from pyspark.errors import AnalysisException, UnsupportedOperationException
from pyspark.sql import SparkSession
from pyspark.sql.connect.conf import RuntimeConf
from pyspark.sql.connect.dataframe import DataFrame

from spladelake.cli import main
from spladelake.errors import ConflictError
from spladelake.spark.evaluate import compare, driver
from spladelake.spark.session.store_lease import lease

# The settings that serverless compute of Databricks lets a session change.
ALLOWED = {
    "spark.sql.ansi.enabled", "spark.sql.files.maxPartitionBytes", "spark.sql.legacy.timeParserPolicy",
    "spark.sql.session.timeZone", "spark.sql.shuffle.partitions",
}  # fmt: skip


def refuse() -> None:
    """Refuse to keep rows and to change other settings, with the errors of that platform."""
    change = RuntimeConf.set

    def set_allowed(self: RuntimeConf, key: str, value: Any) -> None:
        if key not in ALLOWED:
            raise AnalysisException(f"[CONFIG_NOT_AVAILABLE] Configuration {key} is not available. SQLSTATE: 42K0I")
        change(self, key, value)

    def refused(*given: Any, **named: Any) -> NoReturn:
        raise UnsupportedOperationException("[NOT_SUPPORTED_WITH_SERVERLESS] PERSIST TABLE is not supported")

    RuntimeConf.set = set_allowed  # type: ignore[method-assign]
    DataFrame.persist = DataFrame.cache = refused  # type: ignore[assignment,method-assign]


def ended(arguments: list[str]) -> dict[str, Any]:
    """Exit code and result of a command."""
    out = io.StringIO()
    with redirect_stdout(out):
        code = main(arguments)
    return {"code": code, **json.loads(out.getvalue().splitlines()[-1])}


def lock_on_s3() -> str:
    """The refusal of a lock that a client cannot take."""
    try:
        with lease("s3a://bucket/lake/runs", "commit", lambda: None):
            return "taken"
    except ConflictError as error:
        return str(error)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    spark = SparkSession.builder.remote(os.environ["SPARK_REMOTE"]).getOrCreate()
    for statement in request["sql"]:
        spark.sql(statement)
    refuse()
    if request["plans"]:
        driver.MOST_BYTES = compare.DRIVER_BYTES = -1
    return {"commands": [ended(command) for command in request["commands"]], "lock": lock_on_s3()}


if __name__ == "__main__":
    print(json.dumps(answer(json.load(sys.stdin))))
