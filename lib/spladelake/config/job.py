"""The description of a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spladelake.config.base import JobOptions
from spladelake.results import Result

# Help pages list the groups in this order.
Group = Literal["prepare data", "encode", "retrieve", "measure", "train", "exchange", "upkeep"]


# Means any table of the lake in `reads` and `writes`.
EVERY_TABLE = "*"


@dataclass(frozen=True)
class Job:
    """One job of the system.

    - options: the model of its options; the docstring of the model is the job's help.
    - function: the place of its code, `module:function`. It takes the session and the options, and returns the result.
    - result: the type of the result, a TypedDict.
    - group: the part of the help page that lists it.
    - reads, writes: tables of the lake that it may read and write, as paths below the lake. NAME stands for a name of
      vectors, SET for a training set. All jobs also write `run_log`.
    - examples: command lines for the help page.
    - lake_only: whether it reads nothing but the tables of its lake.
    - on_connect: whether it also runs on Spark Connect.
    - not_on_connect: its options that cannot be given there.
    """

    name: str
    options: type[JobOptions]
    function: str
    result: type[Result]
    group: Group
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    examples: tuple[str, ...]
    lake_only: bool = False
    on_connect: bool = False
    not_on_connect: tuple[str, ...] = ()
