"""`spladelake search`: search a lake for one text and print the best documents."""

from __future__ import annotations

import json
from typing import Any

import click

from spladelake.commands.options import lake_option, query_model_option
from spladelake.commands.settings import spark_settings
from spladelake.config.runs import MOST_K


@click.command("search")
@click.argument("text")
@lake_option
@click.option("--model", default=None, metavar="TEXT", help="Model of the vectors. It also encodes TEXT.")
@query_model_option
@click.option("--vectors", default=None, metavar="TEXT", help="Name of the vectors (default: the model's short name).")
@click.option(
    "-k", "--k", type=click.IntRange(1, MOST_K), default=10, show_default=True, help="Number of documents to show."
)
@click.option("--where", default=None, metavar="TEXT", help="SQL condition on columns of the table documents.")
@click.option(
    "--terms",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="Number of matched terms to show for each document.",
)
def search_lake(
    text: str,
    lake: str,
    model: str | None,
    query_model: str | None,
    vectors: str | None,
    k: int,
    where: str | None,
    terms: int,
    **session_options: Any,
) -> None:
    """Encode one query and print the best documents.

    TEXT is the query. The output has the score and the matched terms of each document.

    \b
    Example:
      spladelake search "how do I copy a directory tree" --lake demo-lake --model splade-tiny -k 5
    """
    from spladelake.config import DEFAULT_MODEL
    from spladelake.display.results import console, hits_table
    from spladelake.spark.retrieve.search import search_folder

    names: dict[str, Any] = {
        "lake": lake, "model": model or DEFAULT_MODEL, "query_model": query_model, "vectors": vectors
    }  # fmt: skip
    hits = search_folder(text, **names, k=k, terms=terms) if where is None else None
    if hits is None:
        hits = _searched_by_spark(text, names, k, where, terms, session_options)
    console().print(hits_table(text, hits))
    click.echo(json.dumps({"job": "search", "exit_code": 0, "query": text, "hits": hits}))


def _searched_by_spark(
    text: str, names: dict[str, Any], k: int, where: str | None, terms: int, session_options: dict[str, Any]
) -> list[dict[str, Any]]:
    from spladelake.spark.retrieve.search import encoded_beside, search_documents
    from spladelake.spark.session.quick_settings import is_small_lake
    from spladelake.spark.session.start import spark_session
    from spladelake.spark.session.stores import check_stores

    encoded = encoded_beside(text, **names)
    settings = spark_settings(session_options["properties_file"], session_options["spark_conf"])
    session = spark_session("spladelake search", settings=settings, quick=is_small_lake(names["lake"]))
    check_stores(session, {"lake": names["lake"]})
    return search_documents(session, text, **names, k=k, where=where, terms=terms, encoded=encoded)
