"""The schemas of all tables of a lake, by name."""

from __future__ import annotations

from spladelake.spark.tables import comparison_schemas, schemas, training_schemas
from spladelake.spark.tables.schema import TableSchema

SCHEMAS: dict[str, TableSchema] = {
    found.name: found
    for module in (schemas, training_schemas, comparison_schemas)
    for found in vars(module).values()
    if isinstance(found, TableSchema)
}
