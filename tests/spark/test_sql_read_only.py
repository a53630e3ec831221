"""Exploration only reads: a statement or condition that would change a table, a file or the machine does not run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pyspark.sql import SparkSession

from spladelake.cli import cli, main
from spladelake.errors import UsageError
from spladelake.spark.retrieve.search import search_documents
from spladelake.spark.session.read_only import refusal
from spladelake.spark.session.settings import session_settings
from spladelake.spark.sql import install
from support.collections import QUESTIONS

# In plans that are wholly interpreted, as tests have them, Spark cannot list a catalog.
PLANS_OF_USERS = {"spark.sql.adaptive.enabled": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}


@pytest.fixture(scope="module")
def lake(spark: SparkSession, fruit_lake: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the fruit lake with its views and functions defined, and a table `marked` beside it."""
    folder = tmp_path_factory.mktemp("read_only") / "lake"
    shutil.copytree(fruit_lake, folder)
    with session_settings(spark, PLANS_OF_USERS):
        install(spark, lake=str(folder), model="splade-tiny")
        spark.sql("CREATE TABLE marked (a INT) USING parquet")
        spark.sql("CREATE OR REPLACE VIEW lasting AS SELECT 1 AS a")
        spark.sql("CREATE OR REPLACE TEMPORARY VIEW passing AS SELECT 1 AS a")
        runs_program = "SELECT TRANSFORM(1) USING 'touch {MARK}' AS (a)"
        spark.sql(f"CREATE OR REPLACE TEMPORARY FUNCTION program() RETURNS TABLE (a STRING) RETURN {runs_program}")
        spark.sql(
            "CREATE OR REPLACE TEMPORARY FUNCTION java() RETURNS STRING RETURN reflect('java.util.UUID', 'randomUUID')"
        )
        spark.sql("CREATE OR REPLACE TEMPORARY VIEW java_view AS SELECT java() AS a")
        yield folder
        spark.sql("DROP TABLE marked")
        spark.sql("DROP VIEW lasting")


REFUSED = """
DELETE FROM documents
delete/**/from documents WHERE doc_id = 'bread'
UPDATE documents SET text = ''
MERGE INTO documents USING queries ON doc_id = query_id WHEN MATCHED THEN DELETE
INSERT INTO documents SELECT * FROM documents
INSERT OVERWRITE documents SELECT * FROM documents
INSERT INTO documents REPLACE WHERE doc_id = 'bread' SELECT * FROM documents
WITH found AS (SELECT * FROM documents) INSERT INTO documents SELECT * FROM found
FROM documents INSERT INTO marked SELECT 1 INSERT INTO marked SELECT 2
INSERT OVERWRITE DIRECTORY '{MARK}' USING csv SELECT 1
EXPLAIN DELETE FROM documents
EXPLAIN EXTENDED INSERT INTO marked VALUES (1)
OPTIMIZE delta.`{LAKE}/documents`
VACUUM delta.`{LAKE}/documents`
VACUUM delta.`{LAKE}/documents` RETAIN 0 HOURS DRY RUN
RESTORE TABLE delta.`{LAKE}/documents` TO VERSION AS OF 0
REORG TABLE delta.`{LAKE}/documents` APPLY (PURGE)
CONVERT TO DELTA parquet.`{MARK}`
CREATE TABLE delta.`{MARK}` SHALLOW CLONE delta.`{LAKE}/documents`
CREATE TABLE delta.`{MARK}` USING delta AS SELECT 1 AS a
CREATE OR REPLACE TABLE delta.`{LAKE}/documents` (a INT) USING delta
ALTER TABLE delta.`{LAKE}/documents` SET TBLPROPERTIES ('a' = 'b')
ALTER TABLE marked ADD COLUMN b INT
COMMENT ON TABLE marked IS 'x'
ANALYZE TABLE marked COMPUTE STATISTICS
TRUNCATE TABLE marked
DROP TABLE marked
DROP TABLE delta.`{LAKE}/documents`
MSCK REPAIR TABLE marked
LOAD DATA INPATH '{MARK}' INTO TABLE marked
CREATE SCHEMA other
DROP SCHEMA IF EXISTS other CASCADE
CREATE VIEW another AS SELECT 1 AS a
CREATE GLOBAL TEMPORARY VIEW another AS SELECT 1 AS a
ALTER VIEW lasting AS SELECT 2 AS a
DROP VIEW lasting
CREATE FUNCTION one() RETURNS INT RETURN 1
CREATE FUNCTION one AS 'a.b.C'
CREATE TEMPORARY FUNCTION one AS 'a.b.C' USING JAR '{MARK}'
DROP FUNCTION IF EXISTS one
CREATE TEMPORARY VIEW another USING jdbc OPTIONS (url 'jdbc:h2:mem:', sessionInitStatement 'DROP TABLE a')
ADD JAR '{MARK}'
ADD FILE '{MARK}'
EXECUTE IMMEDIATE 'DELETE FROM documents'
EXECUTE IMMEDIATE 'SELECT 1'
BEGIN DELETE FROM documents; END
BEGIN SELECT 1; END
CALL some_procedure()
SELECT TRANSFORM(text) USING 'touch {MARK}' AS (a) FROM documents
SELECT (SELECT TRANSFORM(1) USING 'touch {MARK}' AS (a))
SELECT * FROM documents WHERE doc_id IN (SELECT TRANSFORM(1) USING 'touch {MARK}' AS (a))
WITH found AS (SELECT TRANSFORM(1) USING 'touch {MARK}' AS (a)) SELECT * FROM found
CREATE TEMPORARY VIEW another AS SELECT TRANSFORM(1) USING 'touch {MARK}' AS (a)
CACHE TABLE another AS SELECT TRANSFORM(1) USING 'touch {MARK}' AS (a)
SELECT * FROM program()
SELECT reflect('java.lang.System', 'setProperty', 'guard', 'x')
SELECT upper(java_method('java.lang.System', 'setProperty', 'guard', 'x')) FROM documents
SELECT * FROM documents WHERE try_reflect('java.lang.System', 'setProperty', 'guard', 'x') = 'x'
WITH a AS (SELECT reflect('java.lang.System', 'setProperty', 'guard', 'x') AS b) SELECT * FROM a, a AS c
SELECT (SELECT count(*) FROM documents WHERE reflect('java.lang.System', 'setProperty', 'guard', doc_id) = 'x')
SELECT java() AS a
SELECT * FROM java_view
SET VAR guarded = reflect('java.lang.System', 'setProperty', 'guard', 'x')
DECLARE other STRING DEFAULT reflect('java.lang.System', 'setProperty', 'guard', 'x')
SELECT * FROM search(reflect('java.lang.System', 'setProperty', 'guard', 'x'), 3)
SELECT * FROM search((SELECT TRANSFORM(1) USING 'touch {MARK}' AS (a)), 3)
SELECT * FROM similar(reflect('java.lang.System', 'setProperty', 'guard', 'x'), 3)
SELECT * FROM explain('q1', (SELECT TRANSFORM(1) USING 'touch {MARK}' AS (a)))
""".strip().splitlines()

ALLOWED = """
SELECT doc_id, 'DELETE FROM documents; reflect(' AS a FROM documents -- DROP TABLE documents
VALUES (1, 'INSERT'), (2, upper('x'))
TABLE documents
FROM documents SELECT doc_id
FROM documents |> WHERE doc_id > 'a' |> AGGREGATE count(*) AS n |> LIMIT 1
WITH a AS (SELECT 1 AS b) SELECT * FROM a UNION ALL SELECT 2 EXCEPT SELECT 3 INTERSECT SELECT 4
WITH RECURSIVE r(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r
SELECT rand(), uuid(), text FROM documents TABLESAMPLE (50 PERCENT)
SELECT * FROM documents PIVOT (count(text) FOR title IN ('a', 'b'))
SELECT * FROM (SELECT 1 AS a, 2 AS b) UNPIVOT (c FOR d IN (a, b))
SELECT /*+ BROADCAST(q) */ * FROM documents JOIN queries AS q ON doc_id > query_id, LATERAL (SELECT 1 AS z)
SELECT doc_id, row_number() OVER w AS r FROM documents WINDOW w AS (ORDER BY doc_id) ORDER BY r LIMIT 2 OFFSET 1
SELECT doc_id FROM documents QUALIFY row_number() OVER (ORDER BY doc_id) = 1
SELECT title, count(*) FROM documents GROUP BY CUBE (title) HAVING count(*) > 0
SELECT * FROM postings WHERE EXISTS (SELECT 1 FROM documents WHERE documents.doc_id = postings.doc_id)
SELECT * FROM delta.`{LAKE}/documents` VERSION AS OF 0
SELECT * FROM range(3) AS r(a) DISTRIBUTE BY a SORT BY a
SELECT * FROM IDENTIFIER('documents') LATERAL VIEW explode(split(text, ' ')) AS word
SELECT * FROM search('DELETE FROM documents; --', 3)
SELECT * FROM search((SELECT text FROM queries LIMIT 1), 3)
SELECT * FROM similar('bread', 3)
SELECT * FROM explain('q1', 'apple')
SHOW TABLES
SHOW VIEWS
SHOW USER FUNCTIONS
SHOW SCHEMAS
SHOW CATALOGS
SHOW COLUMNS IN marked
SHOW CREATE TABLE marked
SHOW TBLPROPERTIES delta.`{LAKE}/documents`
SHOW CURRENT NAMESPACE
DESCRIBE documents
DESCRIBE EXTENDED marked
DESCRIBE marked a
DESCRIBE HISTORY delta.`{LAKE}/documents`
DESCRIBE DETAIL delta.`{LAKE}/documents`
DESCRIBE FUNCTION EXTENDED sparse_dot
DESCRIBE QUERY SELECT 1 AS a
DESCRIBE SCHEMA default
EXPLAIN FORMATTED SELECT * FROM search('fruit', 3)
SET
SET spark.sql.shuffle.partitions
SET TIME ZONE 'UTC'
RESET spark.sql.some.setting
USE default
DECLARE OR REPLACE guarded STRING DEFAULT 'x'
SET VAR guarded = (SELECT max(doc_id) FROM documents)
DROP TEMPORARY VARIABLE IF EXISTS guarded
CREATE OR REPLACE TEMPORARY VIEW passing AS WITH a AS (SELECT 1 AS b) SELECT * FROM a
CREATE OR REPLACE TEMPORARY VIEW of_files USING parquet OPTIONS (path '{LAKE}/documents')
CREATE OR REPLACE TEMPORARY FUNCTION plus_one(x INT) RETURNS INT RETURN x + 1
DROP TEMPORARY FUNCTION IF EXISTS plus_one
CACHE LAZY TABLE passing
CACHE LAZY TABLE held AS SELECT * FROM documents
UNCACHE TABLE IF EXISTS held
REFRESH TABLE marked
CLEAR CACHE
DROP VIEW passing
""".strip().splitlines()


def state(folder: Path) -> dict[str, int]:
    """Every file below a folder with its size."""
    return {str(file): file.stat().st_size for file in folder.rglob("*") if file.is_file()}


def test_statements_that_change_anything_outside_their_session_are_refused_and_do_not_run(
    spark: SparkSession, lake: Path
) -> None:
    before, mark = state(lake.parent), lake.parent / "mark"
    spark.sql("DECLARE OR REPLACE guarded STRING")
    passed = [statement for statement in REFUSED if refusal(spark, statement.format(LAKE=lake, MARK=mark)) is None]
    assert passed == []
    assert state(lake.parent) == before
    assert spark._jvm.java.lang.System.getProperty("guard") is None  # type: ignore[union-attr]


def test_what_reads_or_changes_its_own_session_is_allowed(spark: SparkSession, lake: Path) -> None:
    spark.sql("DECLARE OR REPLACE guarded STRING")
    reasons = {text: refusal(spark, text.format(LAKE=lake)) for text in ALLOWED}
    assert {text: reason for text, reason in reasons.items() if reason is not None} == {}


@pytest.mark.slow
def test_what_is_allowed_runs_and_changes_no_file(spark: SparkSession, lake: Path) -> None:
    before = state(lake.parent)
    for text in ALLOWED:
        spark.sql(text.format(LAKE=lake)).limit(3).collect()
    assert state(lake.parent) == before


def test_the_command_refuses_a_change_with_2_and_makes_it_with_write(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "lake"
    shutil.copytree(lake, own)
    arguments = ["sql", "--lake", str(own), "--model", "splade-tiny", "--output", "csv"]
    before = state(own)
    delete = "DELETE FROM documents WHERE doc_id = 'bread'"
    count = "SELECT count(*) AS n FROM documents"
    assert main([*arguments, "-e", count, "-e", delete + ";"]) == 2
    captured = capsys.readouterr()
    assert captured.out.startswith("n\n5\n")
    assert (
        "error: spladelake sql: the statement may change something outside this session (DeleteFromTable); wanted"
        in captured.err
    )
    piped = CliRunner().invoke(cli, arguments, input=f"{delete};\n{count};\n")
    assert isinstance(piped.exception, UsageError)
    assert state(own) == before
    assert main([*arguments, "--write", "-e", delete, "-e", count]) == 0
    assert capsys.readouterr().out.endswith("n\n4\n")


def without_runs(lake: Path) -> dict[str, int]:
    return {file: size for file, size in state(lake).items() if "/runs/" not in file and "/.locks/" not in file}


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("doc_id IN (SELECT TRANSFORM(1) USING 'touch {MARK}' AS (a))", "the condition runs a program"),
        ("reflect('java.lang.System', 'setProperty', 'guard', doc_id) = 'x'", "the condition calls Java code"),
        ("doc_id = 'a'; DELETE FROM documents", "Syntax error"),
        ("doc_id = 'a') OR (DELETE FROM documents", "Syntax error"),
        ("DELETE FROM documents", "Syntax error"),
    ],
)
def test_a_condition_is_an_expression_that_only_reads(
    spark: SparkSession, run_job: Any, lake: Path, tmp_path: Path, condition: str, said: str
) -> None:
    before, mark = without_runs(lake), tmp_path / "mark"
    where = condition.format(MARK=mark)
    with pytest.raises(UsageError, match=said):
        search_documents(spark, QUESTIONS["q1"], lake=str(lake), model="splade-tiny", where=where)
    with pytest.raises(UsageError, match=said):
        run_job("retrieve_run", lake=str(lake), model="splade-tiny", where=where)
    assert not mark.exists()
    assert spark._jvm.java.lang.System.getProperty("guard") is None  # type: ignore[union-attr]
    assert without_runs(lake) == before
