"""A driver that appends to a Delta table on S3 under the lock of the table, as the jobs do.

python -m support.s3_race ENDPOINT NAME TIMES [DIES_AT]: prints the id of each row after its commit, then all ids in the
table; dies while it holds the lock.
"""

from __future__ import annotations

import os
import signal
import sys

from spladelake.spark.session import store_lease
from spladelake.spark.session.start import spark_session
from spladelake.spark.tables.create import ensure_table
from spladelake.spark.tables.driver_rows import frame_of
from spladelake.spark.tables.locks import exclusive, retrying
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import CHANGED
from spladelake.spark.tables.write import save
from support import s3

# Long enough for a slow machine's pauses, so that nobody loses a lock while it lives.
LEASE_SECONDS = 20.0


def main(endpoint: str, name: str, times: str, dies_at: str = "0") -> None:
    store_lease.LEASE_SECONDS = LEASE_SECONDS
    session = spark_session("race", settings={**s3.settings(endpoint), "spark.master": "local[1]"}, quick=True)
    table = TableRef(path=f"{s3.BUCKET}/lake/table")
    ensure_table(session, table, CHANGED)
    for number in range(1, int(times) + 1):
        row = {"id": f"{name}{number}", "version": number}
        writer = frame_of(session, [row], CHANGED.struct).write.format("delta").mode("append")
        with exclusive(str(table)):
            retrying(lambda writer=writer: save(writer, table), place=str(table))
            print(row["id"], flush=True)
            if number == int(dies_at):
                os.kill(os.getpid(), signal.SIGKILL)
    print("all " + " ".join(row["id"] for row in table.read(session).collect()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
