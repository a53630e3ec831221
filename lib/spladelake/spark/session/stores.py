"""Whether object stores and other remote file systems answer, found out before a job begins.

Their clients retry for minutes before they give up. The check has a client of its own, with few tries and short waits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from contextlib import contextmanager
from threading import Thread
from typing import Any, TypeVar

from pyspark.sql import SparkSession

from spladelake.errors import MachineError, SpladelakeError
from spladelake.names import shortened
from spladelake.spark.session.java_errors import full_text

Found = TypeVar("Found")

WANTED = "wanted a store that this session can read and write"
# Seconds that a store may take to answer.
MOST_SECONDS = 15.0

# Settings of the check's client, for S3A, Azure, Google and HDFS.
_IMPATIENT = {
    "fs.s3a.attempts.maximum": "1",
    "fs.s3a.retry.limit": "1",
    "fs.s3a.retry.throttle.limit": "1",
    "fs.s3a.connection.establish.timeout": "5s",
    "fs.s3a.connection.timeout": "10s",
    "fs.s3a.connection.request.timeout": "10s",
    "fs.s3a.connection.acquisition.timeout": "10s",
    "fs.azure.io.retry.max.retries": "1",
    "fs.azure.http.connection.timeout": "5000",
    "fs.gs.http.max.retry": "1",
    "fs.gs.http.connect-timeout": "5s",
    "ipc.client.connect.max.retries": "1",
    "ipc.client.connect.max.retries.on.timeouts": "1",
    "ipc.client.connect.timeout": "5000",
    "ipc.client.connect.retry.interval": "200",
    "dfs.client.failover.max.attempts": "1",
    "dfs.client.retry.max.attempts": "1",
}
# Schemes that are no file system of Hadoop.
_NO_STORES = {"file", "http", "https", "hf"}

_ROLE = "Give Spark a role or keys that may read, list and write there"
# Packages of clients that Spark lacks, by the scheme.
_HADOOP = "of the same release as Spark's jar hadoop-client-api"
_CLIENTS = {
    "s3a": f"org.apache.hadoop:hadoop-aws, {_HADOOP} (see conf/s3.conf)",
    "abfs": f"org.apache.hadoop:hadoop-azure, {_HADOOP}",
    "abfss": f"org.apache.hadoop:hadoop-azure, {_HADOOP}",
    "gs": "com.google.cloud.bigdataoss:gcs-connector, of a release for Hadoop 3",
}
# Signs in the error of a client, with the finding and the fix; the first that matches counts.
_SIGNS = (
    (r"No FileSystem for scheme|ClassNotFoundException: Class (org.apache.hadoop.fs|com.google.cloud.hadoop)",
     "Spark has no client for this store", ""),
    (r"NoAuthWithAWS|NoAwsCredentials|Unable to load credentials|No AWS Credentials|Failed to load credentials"
     r"|default credentials|Failure to initialize configuration for storage account|Unable to load an access key",
     "there are no credentials for this store", _ROLE),
    (r"PermanentRedirect|status code:? 301|Status Code: 301|AWSRedirectException|AuthorizationHeaderMalformed"
     r"|IllegalLocationConstraint|must be addressed using the specified endpoint",
     "the bucket is in another region than Spark expects",
     "Set spark.hadoop.fs.s3a.endpoint.region to the region of the bucket"),
    (r"NoSuchBucket|UnknownStoreException|bucket does not exist|ContainerNotFound|FilesystemNotFound",
     "there is no such bucket or container", "Correct the name, or create the bucket or container first"),
    (r"AccessDenied|Forbidden|status code:? 40[13]|Status Code: 40[13]|InvalidAccessKeyId|SignatureDoesNotMatch"
     r"|AccessControlException|Permission denied",
     "the store refuses access", _ROLE),
    (r"UnknownHost|NoRouteToHost|ConnectException|Connection refused|Connect timed out|timed out|SocketTimeout"
     r"|ConnectTimeout|Unable to execute HTTP request|Failed on local exception|NetworkException",
     "the store cannot be reached", "Correct the endpoint or host name, or check the network and the proxy"),
)  # fmt: skip


def check_stores(session: SparkSession, options: Mapping[str, Any]) -> None:
    """Ask each remote store that a job's options name whether it answers. Nothing is written.

    - options: values by name; those that hold a path with a scheme count.

    Raises MachineError within MOST_SECONDS for a store that does not.
    """
    for place in _one_of_each_store(_paths(options.values())):
        check_store(session, place)


def check_store(session: SparkSession, place: str) -> None:
    """Ask one store for the status of a path, which need not exist. Raises MachineError if it does not answer."""

    def ask() -> None:
        with impatient_system(session, place) as (system, path):
            system.exists(path)

    in_time(place, ask)


def in_time(place: str, work: Callable[[], Found]) -> Found:
    """Return what work on a store returns.

    Raises MachineError if it fails or takes longer than MOST_SECONDS. The work's own errors of this package pass.
    """
    answer: Future[Found] = Future()

    def answered() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:
            answer.set_exception(error)

    # A thread that waits for a silent store must not keep the process alive.
    Thread(target=answered, daemon=True, name="check of a store").start()
    try:
        return answer.result(timeout=MOST_SECONDS)
    except TooLate:
        raise _error(place, f"the store did not answer within {MOST_SECONDS:.0f} s", _SIGNS[-1][2]) from None
    except SpladelakeError:
        raise
    except Exception as error:
        raise store_error(full_text(error), place) or _error(place, _first_line(error), "Check the path") from error


def store_error(text: str, place: str) -> MachineError | None:
    """Return the error for the text of a client's failure; None if the text is unknown.

    - place: the path, or a name of the store.
    """
    for signs, found, fix in _SIGNS:
        if re.search(signs, text):
            return _error(place, f"{found} ({_line_with(text, signs)})", fix or _client_fix(place))
    return None


def _client_fix(place: str) -> str:
    """Return the fix for a store without a client: the package for its scheme, if it is known."""
    scheme = place.partition(":")[0]
    package = _CLIENTS.get(scheme, f"a package with a Hadoop file system for {scheme}")
    return f"Add to spark.jars.packages: {package}"


def _error(place: str, found: str, fix: str) -> MachineError:
    return MachineError(place, found, WANTED, f"{fix}.")


@contextmanager
def impatient_system(session: SparkSession, place: str) -> Iterator[tuple[Any, Any]]:
    """Yield a client with few tries and short waits, as Hadoop's file system of a place, and the place's path."""
    jvm: Any = session._jvm
    settings = jvm.org.apache.hadoop.conf.Configuration(session._jsc.hadoopConfiguration())
    for key, value in _IMPATIENT.items():
        settings.set(key, value)
    path = jvm.org.apache.hadoop.fs.Path(place)
    system = jvm.org.apache.hadoop.fs.FileSystem.newInstance(path.toUri(), settings)
    try:
        yield system, path
    finally:
        system.close()


def _paths(values: Iterable[Any]) -> Iterator[str]:
    """Yield the remote paths among the values of options."""
    for value in values:
        if isinstance(value, Mapping):
            yield from _paths(value.values())
        elif isinstance(value, (list, tuple)):
            yield from _paths(value)
        elif isinstance(value, str) and is_remote(value):
            yield value


def is_remote(path: str) -> bool:
    """Return whether a path names a file system that is reached through the network."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", path)
    return scheme is not None and scheme[1].lower() not in _NO_STORES


def _one_of_each_store(paths: Iterable[str]) -> Iterator[str]:
    """Yield one path of each bucket or host, without a pattern."""
    found = {"/".join(path.split("/", 3)[:3]): path for path in paths}
    for store, path in found.items():
        yield store + "/" if re.search(r"[*?\[{]", path) else path


def _first_line(error: BaseException) -> str:
    java = getattr(error, "java_exception", None)
    return shortened((str(java.toString() if java is not None else error).strip().splitlines() or [""])[0])


def _line_with(text: str, signs: str) -> str:
    """Return the first line that has a sign, from the sign's exception on, cut to 200 characters."""
    line = next((line.strip() for line in text.splitlines() if re.search(signs, line)), "")
    return shortened(re.sub(r"^(?:An error occurred while calling [^.]*\.|: |Caused by: )+", "", line), 200)
