"""`spladelake prepare`: download the Delta jars and make the class archive, before the first session."""

from __future__ import annotations

import json

import click


@click.command("prepare")
@click.option("--debug", is_flag=True, help="Show stack traces.")
def prepare(debug: bool) -> None:
    """Download the Delta jars, and archive Spark's classes so that sessions start faster.

    The jars take 10 MB, the archive 200 MB. With the archive, local sessions start in about half the time. If you do
    not run this command, the first command with a session makes the archive in the background when it ends;
    SPLADELAKE_PREPARE=off prevents that. Also run this command when you build a container image. It writes to
    $XDG_CACHE_HOME/spladelake or ~/.cache/spladelake. You can remove these files at any time.

    \b
    Example:
      spladelake prepare
    """
    from spladelake.spark.session.class_archive import make_archive
    from spladelake.spark.session.jars import delta_jars
    from spladelake.spark.session.start import java_version

    java, _ = java_version()
    jars = [str(jar) for jar in delta_jars()]
    made = make_archive(java)
    assert made is not None, "make_archive waits for other processes"
    size = made.path.stat().st_size
    how = "the archive exists already" if made.was_there else f"made in {made.seconds:.0f} s"
    click.echo(f"{made.path}: {size / 1e6:.0f} MB, {how}", err=True)
    status = "skipped" if made.was_there else "written"
    click.echo(
        json.dumps(
            {"job": "prepare", "exit_code": 0, "status": status, "jars": jars, "archive": str(made.path), "bytes": size}
        )
    )
