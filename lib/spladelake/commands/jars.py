"""`spladelake jars`: the Delta jars for spark-submit."""

from __future__ import annotations

import click


@click.command()
def jars() -> None:
    """Print the paths of the two Delta jars for `spark-submit --jars`.

    A comma separates the paths. The first use downloads the jars.
    """
    from spladelake.spark.session.jars import delta_jars

    click.echo(",".join(str(jar) for jar in delta_jars()))
