"""`spladelake prepare`: what the first run fetches, and what makes every later one start sooner."""

from __future__ import annotations

import json

import click


@click.command("prepare")
@click.option("--debug", is_flag=True, help="Show stack traces.")
def prepare(debug: bool) -> None:
    """Fetch the Delta jars (10 MB) and make Java's archive of Spark's classes (200 MB) in the cache folder, once.

    Local sessions start from the archive in about half the time. Without this command, the first one that starts a
    session makes it in the background when it ends; SPLADELAKE_PREPARE=off prevents that. For the images of containers
    too: what it makes is under $XDG_CACHE_HOME/spladelake, or ~/.cache/spladelake, and can be removed at any time.

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
    assert made is not None, "it waits for others"
    size = made.path.stat().st_size
    click.echo(
        f"{made.path}: {size / 1e6:.0f} MB, {'it was there' if made.was_there else f'made in {made.seconds:.0f} s'}",
        err=True,
    )
    status = "skipped" if made.was_there else "written"
    click.echo(
        json.dumps(
            {"job": "prepare", "exit_code": 0, "status": status, "jars": jars, "archive": str(made.path), "bytes": size}
        )
    )
