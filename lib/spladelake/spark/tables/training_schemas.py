"""Schemas of the tables of a training set."""

from __future__ import annotations

from spladelake.spark.tables.schema import Column, TableSchema

PARTS = TableSchema(
    "training/parts",
    "Which judged queries are for training, which choose the best checkpoint, and which are for what is reported.",
    (
        Column("query_id", "string", "Judged query."),
        Column("part", "string", "train, dev or test; queries of equal text are in one part."),
    ),
    {"part_known": "part IN ('train', 'dev', 'test')"},
)


PAIRS = TableSchema(
    "training/pairs",
    "What a model is trained on: a judged positive of a query with its hard negatives.",
    (
        Column("query_id", "string", "Query of the part train."),
        Column("pos_id", "string", "Document that is judged relevant to it."),
        Column("neg_ids", "array<string>", "Documents of the run that are not, the best negative first."),
    ),
    {"ids_present": "query_id IS NOT NULL AND pos_id IS NOT NULL", "negatives_present": "size(neg_ids) >= 1"},
)


TEACHER_SCORES = TableSchema(
    "training/teacher_scores",
    "What each teacher says of a query and a document; kept, so that no pair of texts is scored twice.",
    (
        Column("teacher", "string", "Teacher as it was named."),
        Column("model_id", "string", "Fingerprint of the teacher; of a run its rows."),
        Column("query_id", "string", "Query."),
        Column("doc_id", "string", "Document."),
        Column("pair", "string", "Hash of the two texts."),
        Column("score", "double", "Raw score."),
    ),
    {"score_finite": "score > double('-Infinity') AND score < double('Infinity')"},
)


SCORED_PAIRS = TableSchema(
    "training/scored_pairs",
    "The pairs with the teachers' scores; of several teachers their average.",
    (
        Column("query_id", "string", "Query."),
        Column("pos_id", "string", "Document that is judged relevant to it."),
        Column("neg_ids", "array<string>", "Its negatives, in the order of `pairs`."),
        Column("pos_score", "double", "Score of the positive."),
        Column("neg_scores", "array<double>", "Score of each negative."),
        Column("margins", "array<double>", "pos_score less the score of each negative."),
    ),
    {"same_length": "size(neg_ids) = size(neg_scores) AND size(neg_ids) = size(margins)"},
)
