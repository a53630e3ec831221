"""`spladelake package`: the code as spark-submit ships it to a cluster."""

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
@click.option("--output", default="spladelake.zip", show_default=True, metavar="FILE", help="Where the zip goes.")
@click.option("--debug", is_flag=True, help="Show stack traces.")
def package(output: str, debug: bool) -> None:
    """Write the zip of spladelake for spark-submit --py-files, and print a line that uses it.

    The same code gives the same bytes. Dependencies are not in it: the nodes need an interpreter that has them, from an
    image, or from an archive of an environment with --archives (see "On a cluster" in the README).

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
