"""The schemas of all tables of a lake, by name.

Vectors of passages and the runs made of them stand under the name of the others, whose columns and conditions they have
too.
"""

from __future__ import annotations

from spladelake.spark.tables import comparison_schemas, schemas, training_schemas
from spladelake.spark.tables.schema import TableSchema

SCHEMAS: dict[str, TableSchema] = {
    found.name: found
    for module in (schemas, training_schemas, comparison_schemas)
    for found in reversed(vars(module).values())  # of two with one name, the first stays
    if isinstance(found, TableSchema)
}
