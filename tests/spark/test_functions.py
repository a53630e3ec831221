"""The functions on DataFrames give the rows of the jobs, of brute force and outside libraries, and make plans only."""

from __future__ import annotations

from typing import Any

import ir_measures
import numpy as np
import pyarrow as pa
import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy import stats

import spladelake.functions as sl
from spladelake.encoder import SpladeEncoder
from spladelake.errors import UsageError
from spladelake.measures.significance import holm
from spladelake.spark.encode.column import vector_column
from support.collections import FRUIT, QUESTIONS
from support.vector_tables import Vectors, as_frame, brute_force, random_vectors, write_vectors

DOC_IDS = [f"d{n}" for n in range(40)] + ["é", "D", "\U0001f600", "\uffee", "q1", "q2"]
QUERY_IDS = [f"q{n}" for n in range(9)]
VECTOR = "struct<indices: array<int>, `values`: array<float>>"


pytestmark = pytest.mark.every_spark


@pytest.fixture(scope="module")
def tiny() -> SpladeEncoder:
    return SpladeEncoder.load("splade-tiny", device="cpu", threads=1)


@pytest.fixture(scope="module")
def made() -> tuple[Vectors, Vectors]:
    """Queries and documents whose scores often tie."""
    rng = np.random.default_rng(5)
    queries, documents = random_vectors(rng, QUERY_IDS, levels=2), random_vectors(rng, DOC_IDS, levels=3)
    return {**queries, "nothing": {}}, documents


def with_vector(spark: SparkSession, vectors: Vectors, name: str, *, files: int = 1) -> DataFrame:
    """(name, vector) rows in some partitions; files=0: rows in the driver, as of pandas or Arrow."""
    rows = as_frame(spark, vectors).coalesce(1)
    rows = rows.repartition(files, "id") if files else spark.createDataFrame(rows.toArrow(), rows.schema)
    return rows.select(F.col("id").alias(name), F.struct("indices", "values").alias("vector"))


def rows_of(run: DataFrame) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in run.select("query_id", "doc_id", "rank", "score").collect())


@pytest.fixture(scope="module")
def planned(spark: SparkSession) -> DataFrame:
    """Five documents with vectors, and two whose text is null or blank; nothing is encoded yet."""
    rows = [*FRUIT.items(), ("null", None), ("blank", " ")]
    texts = spark.createDataFrame(rows, "doc_id string, text string").coalesce(1)
    return texts.withColumn("vector", sl.encode("text", model="splade-tiny"))


@pytest.fixture(scope="module")
def fruit(spark: SparkSession, planned: DataFrame, tmp_path_factory: pytest.TempPathFactory) -> DataFrame:
    """The same documents, encoded and stored."""
    path = str(tmp_path_factory.mktemp("fruit") / "documents")
    planned.write.parquet(path)
    return spark.read.parquet(path)


def assert_vectors(found: dict[str, Any], texts: dict[str, Any], encoder: SpladeEncoder) -> None:
    """The tolerance is that of two float32 computations in batches of different sizes."""
    wanted = encoder.encode_documents(list(texts.values()))
    assert found.keys() == texts.keys()
    for row, name in enumerate(texts):
        indices, values = wanted.row(row)
        assert found[name]["indices"] == indices.tolist()
        assert found[name]["values"] == pytest.approx(values.tolist(), abs=1e-5)


def test_a_text_becomes_the_vector_of_the_bare_encoder_and_a_null_stays_a_row(
    spark: SparkSession, fruit: DataFrame, tiny: SpladeEncoder
) -> None:
    assert fruit.schema["vector"].dataType.simpleString() == "struct<indices:array<int>,values:array<float>>"
    found = {row["doc_id"]: row["vector"] for row in fruit.collect()}
    assert_vectors(found, {**FRUIT, "null": None, "blank": " "}, tiny)
    assert found["null"]["indices"] == found["blank"]["values"] == []
    asked = spark.createDataFrame(list(QUESTIONS.items()), "id string, question string")
    vectors = asked.select("id", sl.encode(F.col("question"), model="splade-tiny", kind="query", max_active_dims=4))
    pruned = {row["id"]: row["vector"] for row in vectors.collect()}
    assert {len(vector["indices"]) for vector in pruned.values()} == {4}
    heaviest = tiny.decode(tiny.encode_queries(list(QUESTIONS.values())), top_k=4)
    for vector, terms in zip(pruned.values(), heaviest, strict=True):
        assert sorted(vector["values"]) == pytest.approx(sorted(weight for _, weight in terms), abs=1e-5)


def plan_of(frame: DataFrame) -> str:
    return str(frame._jdf.queryExecution().optimizedPlan().toString())


def test_a_text_is_encoded_once_and_not_at_all_if_a_filter_leaves_it_out(
    spark: SparkSession, planned: DataFrame
) -> None:
    asked = with_vector(spark, {"q": {1: 1.0}}, "query_id")
    for frame in (planned.select("doc_id", "vector.indices", "vector.values"), sl.retrieve(planned, asked)):
        assert plan_of(frame).count("encode(") == 1
    plan = plan_of(planned.where("doc_id <> 'bread'"))
    assert plan.index("encode(") < plan.index("Filter")  # a plan names last what it does first


class Refusing:
    """An encoder that fails on one text, as a model does."""

    def __init__(self, encoder: SpladeEncoder) -> None:
        self.encoder = encoder

    def encode(self, texts: Any, *, kind: Any = "document") -> Any:
        if "bad" in texts:
            raise ValueError("the model does not like it")
        return self.encoder.encode(texts, kind=kind)


def test_a_text_on_which_the_model_fails_raises_or_is_a_null_or_says_why(
    tiny: SpladeEncoder, planned: DataFrame
) -> None:
    texts = pa.array(["one text", "bad", None, "one text"])
    with pytest.raises(ValueError, match="does not like it"):
        vector_column(Refusing(tiny), texts, "document", "raise")
    fine = vector_column(tiny, texts.take(pa.array([0, 2, 0])), "document", "raise").to_pylist()
    nulls = vector_column(Refusing(tiny), texts, "document", "null").to_pylist()
    assert (nulls[1], nulls[2], nulls[0]["indices"]) == (None, fine[1], fine[0]["indices"])
    told = vector_column(Refusing(tiny), texts, "document", "struct").to_pylist()
    assert told[1] == {"indices": [], "values": [], "error": "the model failed on the text: ValueError in encode"}
    assert [row["error"] for row in (told[0], told[2], told[3])] == [None] * 3
    column = planned.select(sl.encode("text", model="splade-tiny", on_error="struct"))
    assert column.schema["vector"].dataType.fieldNames() == ["indices", "values", "error"]


@pytest.mark.parametrize(
    ("options", "files"),
    [
        ({"k": 1}, 1),
        ({"k": 7, "minimum_score": 0.05, "exclude_self": True}, 5),
        ({"k": 10_000, "passes": 2}, 3),
        ({"k": 9}, 0),
    ],
)
def test_a_ranking_is_that_of_brute_force_also_where_scores_tie(
    spark: SparkSession, made: tuple[Vectors, Vectors], options: dict[str, Any], files: int
) -> None:
    queries, documents = made
    run = sl.retrieve(with_vector(spark, documents, "sku", files=files), with_vector(spark, queries, "qid"),
                      document_id="sku", **options)  # fmt: skip
    assert run.columns == ["query_id", "doc_id", "rank", "score"]
    rules = {name: value for name, value in options.items() if name in ("minimum_score", "exclude_self")}
    assert rows_of(run) == brute_force(queries, documents, options["k"], **rules)


def test_a_ranking_of_a_lakes_vectors_is_that_of_retrieve_run_to_the_last_bit(
    spark: SparkSession, run_job: Any, made: tuple[Vectors, Vectors], lake: str
) -> None:
    rng = np.random.default_rng(6)
    sides = {}
    for side, vectors in zip(("queries", "documents"), made, strict=True):
        spread = {name: {t: float(np.float32(w * rng.gamma(2))) for t, w in v.items()} for name, v in vectors.items()}
        sides[side] = write_vectors(spark, f"{lake}/vectors/made/{side}", spread, files=3).read(spark)
    run_job("retrieve_run", lake=lake, model="made", k=11)
    wanted = rows_of(spark.read.format("delta").load(f"{lake}/runs"))
    assert rows_of(sl.retrieve(sides["documents"], sides["queries"], 11)) == wanted


def test_ids_keep_their_type_and_documents_may_be_filtered_before(
    spark: SparkSession, made: tuple[Vectors, Vectors]
) -> None:
    queries, documents = made
    numbers = {name: n for n, name in enumerate(documents)}
    number = F.create_map(*(F.lit(part) for pair in numbers.items() for part in pair))
    stored = with_vector(spark, documents, "name", files=3).withColumn("id", number[F.col("name")].cast("smallint"))
    run = sl.retrieve(stored.where("id % 2 = 0"), with_vector(spark, queries, "id"), 5)
    assert run.schema["doc_id"].dataType.simpleString() == "smallint"
    even = {str(n): documents[name] for name, n in numbers.items() if n % 2 == 0}
    assert rows_of(run) == sorted((q, int(d), r, s) for q, d, r, s in brute_force(queries, even, 5))


def test_no_row_is_read_before_an_action(spark: SparkSession, made: tuple[Vectors, Vectors]) -> None:
    stored = with_vector(spark, made[1], "id").withColumn("id", F.raise_error(F.lit("it is read")).cast("string"))
    asked = with_vector(spark, made[0], "id")
    run = sl.retrieve(stored, asked)
    qrels = spark.createDataFrame([("q1", "d1", 1)], "query_id string, doc_id string, relevance int")
    plans = [run, sl.evaluate(run, qrels), sl.compare([run, run], qrels), sl.search(stored, "x", model="splade-tiny")]
    assert [plan.columns[-1] for plan in plans] == ["score", "queries", "randomisation_p_holm", "score"]
    with pytest.raises(PySparkException, match="it is read"):
        run.collect()


def vectors_frame(spark: SparkSession, rows: list[tuple[Any, ...]], kind: str = VECTOR) -> DataFrame:
    return spark.createDataFrame(rows, f"id string, vector {kind}")


GOOD = [("a", ([1, 2], [1.0, 0.5]))]


def test_a_bad_row_ends_the_action_with_its_id(spark: SparkSession) -> None:
    """tests/unit/spark/test_frames.py has each kind of bad row."""
    good, bad = vectors_frame(spark, GOOD), vectors_frame(spark, [("b", ([2, 1], [1.0, 1.0]))])
    with pytest.raises(PySparkException, match="DataError: queries, id 'b': the term 1 comes after the term 2"):
        sl.retrieve(good, bad).collect()


def test_what_can_be_known_of_a_bad_input_is_said_when_the_plan_is_made(spark: SparkSession) -> None:
    good = vectors_frame(spark, GOOD)
    doubles = vectors_frame(spark, GOOD, "struct<indices: array<int>, `values`: array<double>>")
    texts = spark.createDataFrame([("a", "text", 1.5)], "id string, text string, price double")
    by_tiny = texts.select("id", sl.encode("text", model="splade-tiny"))
    by_other = by_tiny.select("id", F.col("vector").alias("vector", metadata={
        "spladelake": '{"model": "other", "model_id": "0", "files": "0", "settings": {}, "vocabulary_size": 9}'
    }))  # fmt: skip
    cases = [
        (lambda: sl.retrieve(good, texts), r"queries: no column is called 'vector' \(columns: id, text, price\)"),
        (lambda: sl.retrieve(doubles, good), r"documents, column 'vector': the type is struct<.*array<double>>"),
        (lambda: sl.retrieve(good, good, vector="vektor"), "did you mean 'vector'"),
        (lambda: sl.retrieve(good.withColumnRenamed("id", "sku"), good), "a column such as doc_id.* with document_id="),
        (lambda: sl.retrieve(texts.select("price", F.lit(1)), good, document_id="price"), "wanted ids of type"),
        (lambda: sl.retrieve(good.select("*", "id"), good), "the DataFrame has several columns 'id'"),
        (lambda: sl.retrieve(good, good, k=0), "retrieve: k"),
        (lambda: sl.retrieve(good, good, passes=0), "retrieve, passes: the value is 0"),
        (lambda: sl.retrieve(GOOD, good), "documents: the type is list; wanted a DataFrame of Spark"),
        (lambda: sl.retrieve(by_tiny, by_other), "were encoded with splade-tiny .*the queries with other"),
        (lambda: sl.search(good, " "), "the question is ' '"),
        (lambda: sl.encode(texts), "encode: the argument is a Python DataFrame"),
        (lambda: sl.encode("text", model="bm25"), "model bm25: the weights of the model depend on a whole collection"),
        (lambda: sl.encode("text", model="splade-tiny", kind="doc"), "encode, kind: the value is 'doc'"),
        (lambda: sl.encode("text", model="splade-tiny", on_error="ignore"), "encode, on_error"),
        (lambda: sl.encode("text", model="splade-tiny", max_active_dims=0), "max_active_dims"),
        (lambda: sl.encode("text", model="package:numpy"), "numpy"),
        (lambda: sl.decode("vector", model="splade-tiny", k=0), "decode, k: the value is 0"),
        (lambda: sl.evaluate(good, texts), "run: the DataFrame has the columns id, vector"),
        (lambda: sl.evaluate(texts.selectExpr("id qid", "id docno", "text score"), texts), "wanted a number"),
        (lambda: sl.evaluate(good, good, measures=["ndgc@10"]), "ndgc@10"),
        (lambda: sl.compare([good], good), "compare, runs: the number of runs is 1"),
        (lambda: sl.register(spark, model="splade-tiny", name="a b"), "register, name"),
    ]  # fmt: skip
    for call, said in cases:
        with pytest.raises(UsageError, match=said):
            call()
    with pytest.raises(AnalysisException, match='requires the "STRING" type, however "price" has the type "DOUBLE"'):
        texts.select(sl.encode("price", model="splade-tiny"))
    with pytest.raises(AnalysisException, match="tekst"):
        texts.select(sl.encode("tekst", model="splade-tiny"))


def test_a_question_finds_what_its_vector_finds_with_the_columns_of_the_documents(
    fruit: DataFrame, tiny: SpladeEncoder
) -> None:
    found = sl.search(fruit.withColumn("price", F.lit(3)), QUESTIONS["q3"], 2)
    assert found.columns == ["rank", "doc_id", "score", "text", "price"]
    rows = [tuple(row) for row in found.collect()]
    scores = tiny.similarity(tiny.encode_queries([QUESTIONS["q3"]]), tiny.encode_documents(list(FRUIT.values())))[0]
    best = np.argsort(-scores)[:2]
    wanted = [(rank, list(FRUIT)[d], pytest.approx(scores[d], abs=1e-4)) for rank, d in enumerate(best, start=1)]
    assert [row[:3] for row in rows] == wanted
    assert [row[3:] for row in rows] == [(FRUIT[row[1]], 3) for row in rows]


MEASURES = ["nDCG@10", "RR@10", "AP", "R@1000", "P@10", "Judged@10", "Judged@100"]


@pytest.fixture(scope="module")
def judged_run() -> tuple[list[tuple[str, str, float]], list[tuple[str, str, int]]]:
    """A run without equal scores, and judgements; q0 is not judged, and the run has nothing for q9."""
    rng = np.random.default_rng(8)
    run = [(f"q{q}", f"d{d}", float(s)) for q in range(9) for d, s in enumerate(rng.permutation(30)[:20])]
    qrels = [(f"q{q}", f"d{d}", int(g)) for q in range(1, 10) for d, g in enumerate(rng.integers(0, 4, 12))]
    return run, qrels


def test_measures_are_those_of_ir_measures_under_the_names_that_were_given(
    spark: SparkSession, judged_run: Any
) -> None:
    rows, qrels = judged_run
    run = spark.createDataFrame(rows, "qid string, docno string, score double").repartition(3)
    judged = spark.createDataFrame(qrels, "query_id string, doc_id string, label int").repartition(2)
    measures = {name: ir_measures.parse_measure(name) for name in MEASURES}
    theirs = [
        [ir_measures.ScoredDoc(*row) for row in rows],
        [ir_measures.Qrel(*row) for row in qrels],
    ]
    means = [tuple(row) for row in sl.evaluate(run, judged, MEASURES).collect()]
    wanted = ir_measures.calc_aggregate(measures.values(), theirs[1], theirs[0])
    assert means == [(name, pytest.approx(wanted[measure]), 9) for name, measure in measures.items()]
    found = {(row["query_id"], row["measure"]): row["value"]
             for row in sl.evaluate(run, judged, MEASURES, per_query=True).collect()}  # fmt: skip
    values = {(m.query_id, str(m.measure)): m.value for m in ir_measures.iter_calc(measures.values(), *theirs[::-1])}
    assert {key: value for key, value in found.items() if key[0] != "q9"} == pytest.approx(
        {key: value for key, value in values.items() if key[0] != "q9"}
    )
    assert {value for (query, _), value in found.items() if query == "q9"} == {0.0}


def test_a_run_without_a_judged_query_is_refused_and_ids_are_compared_as_text(spark: SparkSession) -> None:
    qrels = spark.createDataFrame([("1", "a", "1")], "query_id string, doc_id string, relevance string")
    found = {}
    for query in (1, 2):
        run = spark.createDataFrame([(query, "a", 2.0)], "query_id int, doc_id string, score double")
        found[query] = sl.evaluate(run, qrels, "RR")
    assert [tuple(row) for row in found[1].collect()] == [("RR", 1.0, 1)]
    with pytest.raises(PySparkException, match=r"DataError: .*no query of the run is judged"):
        found[2].collect()


def test_systems_are_compared_as_scipy_compares_their_values(spark: SparkSession, judged_run: Any) -> None:
    rows, qrels = judged_run
    judged = spark.createDataFrame(qrels, "query_id string, doc_id string, relevance int")
    schema = "query_id string, doc_id string, score double"
    scores = {"as it is": 1.0, "reversed": -1.0, "shuffled": 7.0}
    named = {name: [(q, d, (s * by) % 31 if by > 1 else s * by) for q, d, s in rows] for name, by in scores.items()}
    runs = {name: spark.createDataFrame(of, schema) for name, of in named.items()}
    found = [row.asDict() for row in sl.compare(runs, judged, baseline="reversed", measures="AP").collect()]
    assert [(row["run_a"], row["run_b"]) for row in found] == [("reversed", "as it is"), ("reversed", "shuffled")]
    values = {}
    for name, of in named.items():
        per_query = ir_measures.iter_calc(
            [ir_measures.AP], [ir_measures.Qrel(*row) for row in qrels], [ir_measures.ScoredDoc(*row) for row in of]
        )
        by_query = {metric.query_id: metric.value for metric in per_query}
        values[name] = np.array([by_query.get(f"q{q}", 0.0) for q in range(1, 10)])
    for row in found:
        a, b = values["reversed"], values[row["run_b"]]
        theirs = stats.ttest_rel(b, a)
        assert (row["measure"], row["queries"]) == ("AP", 9)
        assert (row["difference"], row["t"], row["t_p"]) == pytest.approx(
            (b.mean() - a.mean(), theirs.statistic, theirs.pvalue), abs=1e-9
        )
    assert [row["t_p_holm"] for row in found] == pytest.approx(holm([row["t_p"] for row in found]))


def test_a_dot_product_is_the_score_and_a_null_vector_has_none(
    spark: SparkSession, made: tuple[Vectors, Vectors]
) -> None:
    queries, documents = made
    pairs = with_vector(spark, queries, "query_id").crossJoin(
        with_vector(spark, documents, "doc_id").withColumnRenamed("vector", "other")
    )
    found = {tuple(row) for row in pairs.select("query_id", "doc_id", sl.dot("vector", "other")).collect() if row[2]}
    wanted = {(query, document, score) for query, document, _, score in brute_force(queries, documents, 10_000)}
    assert found == wanted
    nulls = vectors_frame(spark, [*GOOD, ("b", None)])
    assert [row[0] for row in nulls.orderBy("id").select(sl.dot("vector", F.col("vector"))).collect()] == [1.25, None]


def test_terms_and_contributions_are_named_heaviest_first(fruit: DataFrame, tiny: SpladeEncoder) -> None:
    stored = fruit.where("doc_id = 'bread'").withColumn(
        "query", sl.encode(F.lit(QUESTIONS["q3"]), model="splade-tiny", kind="query")
    )
    columns = [
        sl.decode("vector", model="splade-tiny", k=6),
        sl.explain("query", "vector", model="splade-tiny", k=1_000).alias("parts"),
        sl.dot("query", "vector"),
    ]
    row = stored.select(*columns).first()
    (terms,) = tiny.decode(tiny.encode_documents([FRUIT["bread"]]), top_k=6)
    wanted = [(token, pytest.approx(weight, abs=1e-5)) for token, weight in terms]
    assert [(term["token"], term["weight"]) for term in row["terms"]] == wanted
    parts = [part["contribution"] for part in row["parts"]]
    assert parts == sorted(parts, reverse=True)
    assert sum(parts) == pytest.approx(row["score"], abs=1e-9)
    weights = [dict(tiny.decode(v)[0]) for v in (tiny.encode_queries([QUESTIONS["q3"]]),
                                                 tiny.encode_documents([FRUIT["bread"]]))]  # fmt: skip
    assert {part["token"] for part in row["parts"]} == weights[0].keys() & weights[1].keys()
    for part in row["parts"]:
        both = [part["query_weight"], part["doc_weight"]]
        assert both == pytest.approx([of[part["token"]] for of in weights], abs=1e-5)


def test_the_functions_work_in_sql_and_say_which_a_catalog_cannot_keep(spark: SparkSession, fruit: DataFrame) -> None:
    registered = sl.register(spark, model="splade-tiny", name="tinyfn", permanent=True)
    assert registered.permanent == ("tinyfn_dot",)
    assert registered.not_permanent.keys() == {"tinyfn_encode", "tinyfn_encode_query", "tinyfn_decode"}
    fruit.createOrReplaceTempView("fruit_of_functions")
    row = spark.sql(
        "SELECT tinyfn_encode(text) AS v, vector, tinyfn_dot(vector, vector) AS score, "
        "tinyfn_dot(vector.indices, vector.`values`, vector.indices, vector.`values`) AS same, "
        "tinyfn_decode(vector, 2) AS two, tinyfn_decode(vector.indices, vector.`values`, 2) AS other, "
        "size(tinyfn_decode(vector)) AS ten, size(tinyfn_encode_query('bread').indices) AS asked "
        "FROM fruit_of_functions WHERE doc_id = 'bread'"
    ).first()
    assert row["v"]["indices"] == row["vector"]["indices"]
    assert row["two"] == row["other"]
    assert (len(row["two"]), row["ten"], row["score"]) == (2, 10, row["same"])
    assert row["asked"] > 0
    spark.sql("DROP TEMPORARY FUNCTION tinyfn_dot")
    arrays = "array(1, 2), array(2.0F, 0.5F), array(2, 3), array(4.0F, 9.0F)"
    assert spark.sql(f"SELECT tinyfn_dot({arrays})").first()[0] == 2.0
    spark.sql("DROP FUNCTION tinyfn_dot")
