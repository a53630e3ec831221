"""Whether a statement or a condition only reads, by the plan that Spark makes of it and not by its words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from py4j.java_gateway import is_instance_of
from pyspark.sql import DataFrame, SparkSession


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What a query may be parsed into. A statement with any other node is refused, also one that a later Spark knows.
_QUERIES = _words(
    """
    Aggregate AsOfJoin Distinct Except Expand Filter Generate GlobalLimit Intersect Join LateralJoin LocalLimit
    LocalRelation NearestByJoin Offset OneRowRelation PipeOperator Pivot Project Range RebalancePartitions
    RelationChanges RelationTimeTravel Repartition RepartitionByExpression Sample Sort SubqueryAlias TimeTravel
    Union Unpivot UnresolvedHaving UnresolvedHint UnresolvedInlineTable UnresolvedQualify UnresolvedRelation
    UnresolvedSubqueryColumnAliases UnresolvedTVFAliases UnresolvedTableValuedFunction UnresolvedWith
    WithWindowDefinition
    """
)
_SHOWN = _words(
    """
    DescribeColumn DescribeDeltaDetailCommand DescribeDeltaHistory DescribeFunction DescribeNamespace
    DescribeProcedureCommand DescribeQueryCommand DescribeRelation DescribeRelationJsonCommand DescribeTablePartition
    ExplainCommand ListArchivesCommand ListFilesCommand ListJarsCommand ShowCatalogsCommand ShowCollationsCommand
    ShowColumns ShowCreateTable ShowCurrentNamespaceCommand ShowFunctions ShowNamespacesCommand ShowPartitions
    ShowProceduresCommand ShowTablePartition ShowTableProperties ShowTables ShowTablesExtended ShowViews
    """
)
# What changes the session alone, and ends with it; of views and functions only the temporary ones, see `_lasts`.
_OF_THE_SESSION = _words(
    """
    CacheTable CacheTableAsSelect ClearCacheCommand CreateSQLFunctionCommand CreateTempViewUsing CreateVariable
    CreateViewCommand DefaultValueExpression DropFunctionCommand DropVariable DropView RefreshResource RefreshTable
    ResetCommand SetCatalogAndNamespace SetCatalogCommand SetCommand SetPathCommand SetVariable UncacheTable
    """
)
# What a statement names: a table, a view, a column, a function, a place in a catalog.
_NAMES = _words(
    """
    CurrentNamespace UnresolvedFieldName UnresolvedFunctionName UnresolvedIdentifier UnresolvedNamespace
    UnresolvedPartitionSpec UnresolvedProcedure UnresolvedTable UnresolvedTableOrView UnresolvedView
    """
)
_ALLOWED = _QUERIES | _SHOWN | _OF_THE_SESSION | _NAMES
# Formats of files. The others connect to a place that their options name, and may be told what to run there.
_FILE_FORMATS = frozenset({"avro", "binaryfile", "csv", "delta", "json", "orc", "parquet", "text", "xml"})
_SAID = {
    "CompoundBody": "it is a script of several statements (BEGIN … END)",
    "CreateFunctionCommand": "it loads code (CREATE FUNCTION … AS)",
    "ScriptTransformation": "it runs a program (TRANSFORM)",
    "UnresolvedExecuteImmediate": "it runs a text as a statement (EXECUTE IMMEDIATE)",
}
_COMMAND = "org.apache.spark.sql.catalyst.plans.logical.Command"


def refusal(session: SparkSession, statement: str) -> str | None:
    """Say what a statement of SQL would do besides reading; None if it only reads or changes the session alone.

    Nothing of the statement runs. Raises PySparkException for a statement that Spark does not understand.
    """
    state = session._jsparkSession.sessionState()
    parsed = state.sqlParser().parsePlan(statement)
    for node in _nodes(parsed):
        if (reason := _refused(node)) is not None:
            return reason
    assert session._jvm is not None
    skip = session._jvm.org.apache.spark.sql.execution.CommandExecutionMode.SKIP()
    analyzed = state.executePlan(parsed, skip).analyzed()
    if _name(parsed) == "DropView" and _name(analyzed) != "DropTempViewCommand":
        return "it changes the catalog (DropView)"
    return _refused_inside(session, analyzed)


def refusal_of_rows(rows: DataFrame) -> str | None:
    """Say what reading these rows would do besides; None if it only reads."""
    return _refused_inside(rows.sparkSession, rows._jdf.queryExecution().analyzed())


def _refused(node: Any) -> str | None:
    """What a node of a parsed statement would do."""
    name = _name(node)
    if name not in _ALLOWED:
        return _SAID.get(name, f"it may change more than this session ({name})")
    if _lasts(node, name):
        return f"it changes the catalog ({name})"
    if name == "CreateTempViewUsing" and node.provider().lower() not in _FILE_FORMATS:
        return f"it connects to a source of the format {node.provider()}"
    return None


def _lasts(node: Any, name: str) -> bool:
    """Whether other sessions see what a command makes or drops."""
    if name in ("CreateSQLFunctionCommand", "DropFunctionCommand"):
        return not node.isTemp()
    if name == "CreateViewCommand":
        return not node.viewType().toString().startswith("LocalTempView")
    return name == "CreateTempViewUsing" and bool(getattr(node, "global")())


def _refused_inside(session: SparkSession, plan: Any) -> str | None:
    """What an analysed plan would do: the views and functions that it uses stand in it with all they do."""
    gateway = session.sparkContext._gateway
    for depth, node in enumerate(_nodes(plan)):
        name = _name(node)
        if name in _SAID or (depth and is_instance_of(gateway, node, _COMMAND)):
            return _SAID.get(name, f"it may change more than this session ({name})")
        # A call of Java is never deterministic, so few expressions have to be looked at.
        if not node.deterministic() and any(_name(e) == "CallMethodViaReflection" for e in _expressions(node)):
            return "it calls code of Java (reflect)"
    return None


def _nodes(plan: Any) -> Iterator[Any]:
    """A plan and all plans below and inside it: subqueries, common tables, the statement that is to be explained."""
    yield plan
    name = _name(plan)
    inside = [*_each(plan.children()), *_each(plan.subqueries())]
    if name in ("UnresolvedWith", "CreateViewCommand", "CacheTableAsSelect"):
        inside += _each(plan.innerChildren())
    elif name == "ExplainCommand":
        inside.append(plan.logicalPlan())
    elif name == "DescribeQueryCommand":
        inside.append(plan.plan())
    for each in inside:
        yield from _nodes(each)


def _expressions(node: Any) -> Iterator[Any]:
    """All expressions of a node; plans inside them are nodes of their own."""
    waiting = list(_each(node.expressions()))
    while waiting:
        expression = waiting.pop()
        yield expression
        waiting += _each(expression.children())


def _each(sequence: Any) -> Iterator[Any]:
    """The elements of a sequence of Scala."""
    iterator = sequence.iterator()
    while iterator.hasNext():
        yield iterator.next()


def _name(node: Any) -> str:
    """The class of a node, without its package."""
    return str(node.getClass().getSimpleName()).rstrip("$")
