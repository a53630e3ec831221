"""Sessions of Spark Connect: how a command gets one, which jobs run on it, and what is asked of it in another way.

A client of Spark Connect has no JVM. So the jobs reach Delta by SQL there, and files by Spark's readers and writers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.utils import is_remote

from spladelake.config import Options
from spladelake.config.job import Job
from spladelake.config.jobs import JOBS
from spladelake.errors import MachineError, UsageError
from spladelake.names import listed, shortened
from spladelake.spark.session.delta_classes import SETTINGS
from spladelake.spark_versions import OLDEST, release

VARIABLE, SETTING = "SPARK_REMOTE", "spark.remote"
# Seconds that a server may take to answer.
MOST_SECONDS = 15.0
_SCHEMA = "schema:"
_OURS = "this Spark session"
_NOUNS = {SETTING: "the setting", VARIABLE: "the variable", _OURS: "the session"}


def is_connect(session: SparkSession) -> bool:
    """Return whether a session is one of Spark Connect."""
    return "connect" in type(session).__module__


def running_session() -> SparkSession | None:
    """Return the session of this process; None if there is none. A session of Spark Connect is found in any thread."""
    session = SparkSession.getActiveSession()
    if session is None and is_remote():
        with suppress(PySparkException):
            return SparkSession.active()
    return session


def wants_connect(settings: Mapping[str, str]) -> bool:
    """Return whether a session with these settings would be one of Spark Connect."""
    return _asked(settings) is not None


def refuse_connect(settings: Mapping[str, str]) -> None:
    """Raise UsageError if the session would be one of Spark Connect. Nothing is sent to the server.

    - settings: Spark configuration of the caller.
    """
    if (asked := _asked(settings)) is not None:
        raise _refusal(asked, "this command")


def check_job(job: Job, options: Options, settings: Mapping[str, str]) -> None:
    """Raise UsageError if the session would be one of Spark Connect and the job cannot run on it.

    - options: the options of the job. Each of its lakes must be a schema: a client does not see the server's folders.
    - settings: Spark configuration of the caller.
    """
    asked = _asked(settings)
    if asked is None:
        return
    if not job.on_connect:
        raise _refusal(asked, job.name)
    for option in job.not_on_connect:
        parts = (options, *getattr(options, "also", {}).values())
        if any(getattr(part, option, None) is not None for part in parts):
            named = f"--{option.replace('_', '-')}"
            found = f"the option needs a session with its own JVM, but {asked.cause}"
            raise UsageError(named, found, f"wanted {job.name} without {named}", f"Leave out {named}, or {asked.fix}.")
    given = options.model_dump()
    for lake in (given.get("lake"), *(given.get("collections") or {}).values()):
        if lake is not None and not str(lake).startswith(_SCHEMA):
            raise UsageError(
                f"--lake {lake}",
                f"the lake is a folder, but {asked.cause}",
                f"wanted {_SCHEMA}NAME, because a client of Spark Connect does not see the server's folders",
                f"Set the lake to {_SCHEMA}NAME, a schema of the server's catalog.",
            )


@dataclass(frozen=True)
class _Asked:
    """The reason why a session is, or would be, one of Spark Connect.

    - place: the setting, variable or session that asks for it.
    - said: what it does; a clause without its subject.
    - fix: a clause.
    """

    place: str
    said: str
    fix: str

    @property
    def cause(self) -> str:
        """The place and what it does, for a message with another place."""
        return f"{self.place} {self.said}"


def _asked(settings: Mapping[str, str]) -> _Asked | None:
    """Return what asks for Spark Connect; None if nothing asks for it."""
    if settings.get(SETTING):
        return _Asked(SETTING, f"names the server {server_of(settings[SETTING])}", f"leave out {SETTING}")
    if os.environ.get(VARIABLE):
        return _Asked(VARIABLE, f"names the server {server_of(os.environ[VARIABLE])}", f"unset {VARIABLE}")
    if is_remote() or _is_active():
        return _Asked(_OURS, "runs on Spark Connect", "use classic compute")
    return None


def _refusal(asked: _Asked, what: str) -> UsageError:
    found = f"{_NOUNS[asked.place]} {asked.said}"
    fix = f"{asked.fix[0].upper()}{asked.fix[1:]}"
    able = listed((job.name for job in JOBS.values() if job.on_connect), "and")
    return UsageError(
        asked.place, found, f"wanted a session with its own JVM, because {what} does not run on Spark Connect",
        f"{fix}. These run on Spark Connect: {able}, and spladelake.functions.",
    )  # fmt: skip


def server_of(address: str) -> str:
    """Return an address without its parameters, among which may be a token."""
    return re.split("[;?]", address.split("@")[-1])[0].rstrip("/")


def _is_active() -> bool:
    session = SparkSession.getActiveSession()
    return session is not None and is_connect(session)


def connect_session(settings: Mapping[str, str]) -> SparkSession:
    """Return the running session of Spark Connect, or open one at the server that the caller names.

    Raises MachineError if a package is missing, or if the server does not answer or has no Delta Lake. Raises
    UsageError if the address is wrong.
    """
    session = running_session() if is_remote() else None
    if session is None:
        place = SETTING if settings.get(SETTING) else VARIABLE
        session = _opened(place, settings.get(SETTING) or os.environ.get(VARIABLE, ""))
    _check_server(session)
    return session


def _opened(place: str, address: str) -> SparkSession:
    server = server_of(address)
    wanted, fix = "wanted the address of a server, such as sc://HOST:15002", "Correct the address."
    if not address.startswith("sc://"):
        raise UsageError(place, f"the address is {server!r}", wanted, fix)
    try:
        import grpc
        from pyspark.sql.connect.client.core import DefaultChannelBuilder
    except ImportError as error:
        found = f"its client cannot be loaded ({shortened(str(error).splitlines()[0], 200)})"
        wanted, fix = "wanted the packages of pyspark's client", "Run pip install 'spladelake[connect]'."
        raise MachineError("Spark Connect", found, wanted, fix) from error
    try:
        channel = DefaultChannelBuilder(address).toChannel()
    except PySparkException as error:
        found = f"pyspark refuses the address {server!r} or one of its parameters"
        wanted = "wanted sc://HOST:PORT or sc://HOST:PORT/;KEY=VALUE;KEY=VALUE"
        fix = "Correct the address. In a value, write = as %3D."
        raise UsageError(place, found, wanted, fix) from error
    try:
        # pyspark itself would try again for minutes.
        grpc.channel_ready_future(channel).result(timeout=MOST_SECONDS)
    except grpc.FutureTimeoutError:
        found = f"the server did not answer within {MOST_SECONDS:.0f} s"
        fix = f"Start the server, or correct the address in {place}."
        raise MachineError(server, found, "wanted a server of Spark Connect", fix) from None
    finally:
        channel.close()
    return SparkSession.builder.remote(address).getOrCreate()


def _check_server(session: SparkSession) -> None:
    """Raise MachineError if the server's Spark is too old for the jobs, or if it has no Delta Lake."""
    place, version = "the server of Spark Connect", session.version
    if tuple(map(int, release(version).split("."))) < OLDEST:
        raise MachineError(place, f"its Spark is {version}", "wanted Spark 4", "Use a server of Spark 4.")
    try:
        # Delta refuses to read without a path. A server without Delta does not know the format.
        _ = session.read.format("delta").load().schema
    except PySparkException as error:
        if "DATA_SOURCE_NOT_FOUND" in str(error):
            fix = f"Start the server with Delta's jars, {listed((f'{k}={v}' for k, v in SETTINGS.items()), 'and')}."
            raise MachineError(place, "it has no Delta Lake classes", "wanted a server with Delta", fix) from error
