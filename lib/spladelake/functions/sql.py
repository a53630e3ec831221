"""The functions in SQL: sparse_encode, sparse_encode_query, sparse_dot and sparse_decode over any column."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pyspark.sql import SparkSession

from spladelake.config import DEFAULT_MODEL
from spladelake.errors import UsageError
from spladelake.functions.vectors import text_checkpoint
from spladelake.spark.encode.column import KINDS, encode_udf
from spladelake.spark.encode.encoder_cache import WorkerSpec
from spladelake.spark.retrieve.vector_functions import decode_udf, dot_udf
from spladelake.spark.sql.definitions import function_statement
from spladelake.spark.sql.install import ANSI

_WHY = {
    "encode": "the function runs the model in Python, and a catalog keeps functions whose body is SQL",
    "decode": "the function needs the vocabulary of the model, and a catalog keeps functions whose body is SQL",
}


@dataclass(frozen=True)
class Registered:
    """The SQL functions that `register` defined.

    - temporary: names in the session.
    - permanent: names in the catalog.
    - not_permanent: for each other name, why it cannot be permanent.
    """

    temporary: tuple[str, ...]
    permanent: tuple[str, ...] = ()
    not_permanent: dict[str, str] = field(default_factory=dict)


def register(
    session: SparkSession, *, model: str = DEFAULT_MODEL, name: str = "sparse", permanent: bool = False
) -> Registered:
    """Define SQL functions in the session, and return their names.

        sl.register(spark, model="splade-tiny")
        spark.sql("SELECT sparse_decode(sparse_encode(text), 5) FROM documents")

    - sparse_encode(text), sparse_encode_query(text): the vector of a document or of a query.
    - sparse_dot(vector, vector): the exact dot product; sparse_dot(indices, values, indices, values) does the same.
    - sparse_decode(vector, k): the k heaviest terms by name; sparse_decode(indices, values, k) does the same.

    - session: the session.
    - model: the model that encodes, and that names the terms.
    - name: first part of the functions' names, so that a session can have several models.
    - permanent: writes those functions that a catalog can keep to the current schema: sparse_dot over arrays.

    Raises UsageError for an unusable model or name.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_]\w*", name):
        wanted = "wanted letters, digits and underscores, and no digit at the beginning"
        raise UsageError("register, name", f"the value is {name!r}", wanted, "Give a name such as sparse.")
    checkpoint = text_checkpoint(model)
    specs = [WorkerSpec(checkpoint.for_kind(kind), None) for kind in KINDS]
    functions = {
        f"{name}_encode": encode_udf(specs[0], "document"),
        f"{name}_encode_query": encode_udf(specs[1], "query"),
        f"{name}_dot": dot_udf(),
        f"{name}_decode": decode_udf(checkpoint),
    }
    for function, body in functions.items():
        session.udf.register(function, body)
    if not permanent:
        return Registered(tuple(functions))
    _define(session, function_statement("sparse_dot", f"{name}_dot"))
    why = {
        f"{name}_encode": _WHY["encode"],
        f"{name}_encode_query": _WHY["encode"],
        f"{name}_decode": _WHY["decode"],
    }
    return Registered(tuple(functions), (f"{name}_dot",), why)


def _define(session: SparkSession, statement: str) -> None:
    """Run a statement under the settings that the function keeps: an overflow is an error."""
    before = {key: session.conf.get(key) for key in ANSI}
    try:
        for key, value in ANSI.items():
            session.conf.set(key, value)
        session.sql(statement)
    finally:
        for key, old in before.items():
            if old is not None:
                session.conf.set(key, old)
