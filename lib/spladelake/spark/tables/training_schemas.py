"""Schemas of the tables of a training set."""

from __future__ import annotations

from dataclasses import replace

from spladelake.spark.tables.schema import Column, TableSchema

PARTS = TableSchema(
    "training/parts",
    "Division of the judged queries: train for pairs, dev to choose the checkpoint, test for reported measures.",
    (
        Column("query_id", "string", "Judged query."),
        Column("part", "string", "train, dev or test. Queries of equal text are in one part."),
    ),
    {"part_known": "part IN ('train', 'dev', 'test')"},
)


PAIRS = TableSchema(
    "training/pairs",
    "Training pairs: a positive of a query with its hard negatives.",
    (
        Column("query_id", "string", "Query of the part train."),
        Column("pos_id", "string", "Document that is judged relevant to the query."),
        Column("neg_ids", "array<string>", "Negatives from the run, the highest ranked first."),
    ),
    {"ids_present": "query_id IS NOT NULL AND pos_id IS NOT NULL", "negatives_present": "size(neg_ids) >= 1"},
)


TEACHER_SCORES = TableSchema(
    "training/teacher_scores",
    "Scores of the teachers. They are kept, so that no teacher scores a pair of texts twice.",
    (
        Column("teacher", "string", "Name of the teacher as the user gave it."),
        Column("model_id", "string", "Fingerprint of the teacher, or of the rows if the teacher is a run."),
        Column("query_id", "string", "Query."),
        Column("doc_id", "string", "Document."),
        Column("pair", "string", "Hash of the two texts."),
        Column("score", "double", "Raw score."),
    ),
    {"score_finite": "score > double('-Infinity') AND score < double('Infinity')"},
)


SCORED_PAIRS = TableSchema(
    "training/scored_pairs",
    "The pairs with the scores of the teacher, or with the average score of several teachers.",
    (
        Column("query_id", "string", "Query."),
        Column("pos_id", "string", "Document that is judged relevant to the query."),
        Column("neg_ids", "array<string>", "Its negatives, in the order of `pairs`."),
        Column("pos_score", "double", "Score of the positive."),
        Column("neg_scores", "array<double>", "Score of each negative."),
        Column("margins", "array<double>", "pos_score minus the score of each negative."),
    ),
    {"same_length": "size(neg_ids) = size(neg_scores) AND size(neg_ids) = size(margins)"},
)


# The columns that both tables of pairs get with the first pairs of passages: the places of the texts in the documents.
PLACES = (
    Column("pos_start", "int", "First character of the positive's passage. Null if its whole text is the positive."),
    Column("pos_end", "int", "End of the positive's passage in the text of the document."),
    Column("neg_starts", "array<int>", "First character of each negative's passage. Null if they are whole texts."),
    Column("neg_ends", "array<int>", "End of each negative's passage."),
)


def schema_with_places(schema: TableSchema) -> TableSchema:
    """Return the schema of a table of pairs whose texts may be passages."""
    return replace(schema, columns=(*schema.columns, *PLACES))
