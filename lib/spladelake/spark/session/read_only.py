"""Check that a SQL statement or condition only reads, from the plan that Spark builds and not from its words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from py4j.java_gateway import is_instance_of
from pyspark.sql import DataFrame, SparkSession


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Nodes of a parsed query. Any other node makes a statement refused, nodes of later Spark versions included.
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
# Commands that change only the session and end with it. `_lasts` excludes views and functions that outlive it.
_OF_THE_SESSION = _words(
    """
    CacheTable CacheTableAsSelect ClearCacheCommand CreateSQLFunctionCommand CreateTempViewUsing CreateVariable
    CreateViewCommand DefaultValueExpression DropFunctionCommand DropVariable DropView RefreshResource RefreshTable
    ResetCommand SetCatalogAndNamespace SetCatalogCommand SetCommand SetPathCommand SetVariable UncacheTable
    """
)
# Names in a statement: of a table, a view, a column, a function, a place in a catalog.
_NAMES = _words(
    """
    CurrentNamespace UnresolvedFieldName UnresolvedFunctionName UnresolvedIdentifier UnresolvedNamespace
    UnresolvedPartitionSpec UnresolvedProcedure UnresolvedTable UnresolvedTableOrView UnresolvedView
    """
)
_ALLOWED = _QUERIES | _SHOWN | _OF_THE_SESSION | _NAMES
# File formats. Other formats connect to a server that their options name, and can run commands there.
_FILE_FORMATS = frozenset({"avro", "binaryfile", "csv", "delta", "json", "orc", "parquet", "text", "xml"})
_SAID = {
    "CompoundBody": "is a script of several statements (BEGIN … END)",
    "CreateFunctionCommand": "loads code (CREATE FUNCTION … AS)",
    "ScriptTransformation": "runs a program (TRANSFORM)",
    "UnresolvedExecuteImmediate": "runs a string as a statement (EXECUTE IMMEDIATE)",
}
_OTHER = "may change something outside this session"
_COMMAND = "org.apache.spark.sql.catalyst.plans.logical.Command"


def refusal(session: SparkSession, statement: str) -> str | None:
    """Return why a SQL statement is refused; None if it only reads, or changes only the session.

    Nothing of the statement runs. Raises PySparkException if Spark cannot parse or analyse the statement.
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
        return "changes the catalog (DropView)"
    return _refused_inside(session, analyzed)


def refusal_of_rows(rows: DataFrame) -> str | None:
    """Return why reading these rows is refused; None if it does nothing but read."""
    return _refused_inside(rows.sparkSession, rows._jdf.queryExecution().analyzed())


def _refused(node: Any) -> str | None:
    """Return why a node of a parsed statement is refused, or None."""
    name = _name(node)
    if name not in _ALLOWED:
        return _SAID.get(name, f"{_OTHER} ({name})")
    if _lasts(node, name):
        return f"changes the catalog ({name})"
    if name == "CreateTempViewUsing" and node.provider().lower() not in _FILE_FORMATS:
        return f"connects to another system (format {node.provider()})"
    return None


def _lasts(node: Any, name: str) -> bool:
    """Return whether a command makes or drops something that other sessions see."""
    if name in ("CreateSQLFunctionCommand", "DropFunctionCommand"):
        return not node.isTemp()
    if name == "CreateViewCommand":
        return not node.viewType().toString().startswith("LocalTempView")
    return name == "CreateTempViewUsing" and bool(getattr(node, "global")())


def _refused_inside(session: SparkSession, plan: Any) -> str | None:
    """Return why an analysed plan is refused, or None. Its views and functions are expanded and checked too."""
    gateway = session.sparkContext._gateway
    for depth, node in enumerate(_nodes(plan)):
        name = _name(node)
        if name in _SAID or (depth and is_instance_of(gateway, node, _COMMAND)):
            return _SAID.get(name, f"{_OTHER} ({name})")
        # A call into Java is never deterministic, so only such nodes need a look at their expressions.
        if not node.deterministic() and any(_name(e) == "CallMethodViaReflection" for e in _expressions(node)):
            return "calls Java code (reflect)"
    return None


def _nodes(plan: Any) -> Iterator[Any]:
    """Yield a plan and all plans below and inside it: subqueries, common table expressions, explained statements."""
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
    """Yield all expressions of a node. Plans inside them are nodes of their own."""
    waiting = list(_each(node.expressions()))
    while waiting:
        expression = waiting.pop()
        yield expression
        waiting += _each(expression.children())


def _each(sequence: Any) -> Iterator[Any]:
    """Yield the elements of a Scala sequence."""
    iterator = sequence.iterator()
    while iterator.hasNext():
        yield iterator.next()


def _name(node: Any) -> str:
    """Return the class name of a node, without its package."""
    return str(node.getClass().getSimpleName()).rstrip("$")
