"""`spladelake package`: the zip of the code that spark-submit ships to a cluster."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

SUBMIT = (
    "spark-submit --properties-file conf/cluster.conf --py-files {file} --jars \"$(spladelake jars)\" "
    "jobs/encode_texts.py --lake s3a://bucket/lake"
)  # fmt: skip


@click.command("package")
@click.option("--output", default="spladelake.zip", show_default=True, metavar="FILE", help="Zip file to write.")
@click.option("--debug", is_flag=True, help="Show stack traces.")
def package(output: str, debug: bool) -> None:
    """Write the zip of spladelake for `spark-submit --py-files`.

    The command prints a spark-submit line that uses the zip. The same code gives the same bytes. The zip does not
    contain the dependencies: the nodes need an interpreter with these packages, from an image or from `--archives` (see
    `spladelake docs cluster`).

    \b
    Example:
      spladelake package --output dist/spladelake.zip
    """
    from spladelake.packaging import write_package

    made = write_package(Path(output))
    submit = SUBMIT.format(file=shlex.quote(output))
    click.echo(
        f"{output}: {made.files} files, {made.bytes / 1e6:.2f} MB, sha256 {made.sha256}\n\n  {submit}\n", err=True
    )
    click.echo(json.dumps({"job": "package", "exit_code": 0, "file": output, "sha256": made.sha256, "submit": submit}))
