"""`spladelake prepare`: download the Delta jars and make the class archive, before the first session."""

from __future__ import annotations

import json

import click


@click.command("prepare")
@click.option("--debug", is_flag=True, help="Show stack traces.")
def prepare(debug: bool) -> None:
    """Download the Delta jars and make an archive of Spark's classes.

    The jars take 10 MB, the archive 200 MB. With the archive, local sessions start in about half the time. Without this
    command, the first command that starts a session makes the archive in the background when it ends;
    SPLADELAKE_PREPARE=off prevents that. Run this command in the build of a container image too. Its files are in
    $XDG_CACHE_HOME/spladelake or ~/.cache/spladelake, and can be removed at any time.

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
    click.echo(
        f"{made.path}: {size / 1e6:.0f} MB, {'already there' if made.was_there else f'made in {made.seconds:.0f} s'}",
        err=True,
    )
    status = "skipped" if made.was_there else "written"
    click.echo(
        json.dumps(
            {"job": "prepare", "exit_code": 0, "status": status, "jars": jars, "archive": str(made.path), "bytes": size}
        )
    )
