"""The refusal of Spark Connect by the jobs. The functions of `spladelake.functions` run on it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from pyspark.sql import SparkSession
from pyspark.sql.utils import is_remote

from spladelake.errors import UsageError

VARIABLE, SETTING = "SPARK_REMOTE", "spark.remote"


def refuse_connect(settings: Mapping[str, str]) -> None:
    """Raise UsageError if the session would be one of Spark Connect. Nothing is sent to the server.

    - settings: Spark configuration of the caller.
    """
    if os.environ.get(VARIABLE):
        raise _refusal(VARIABLE, f"the variable names the server {_server(os.environ[VARIABLE])}", f"Unset {VARIABLE}")
    if settings.get(SETTING):
        raise _refusal(SETTING, f"the setting names the server {_server(settings[SETTING])}", f"Leave out {SETTING}")
    if is_remote() or _is_active():
        raise _refusal(
            "this Spark session", "the session runs on Spark Connect", "Run the job in a classic Spark session"
        )


def _refusal(place: str, found: str, fix: str) -> UsageError:
    wanted = "wanted a session with its own JVM, because the jobs do not run on Spark Connect"
    return UsageError(place, found, wanted, f"{fix}, or use spladelake.functions, which runs on Spark Connect.")


def _server(address: str) -> str:
    """Return an address without its parameters, among which may be a token."""
    return re.split("[;?]", address.split("@")[-1])[0].rstrip("/")


def _is_active() -> bool:
    session = SparkSession.getActiveSession()
    return session is not None and "connect" in type(session).__module__
