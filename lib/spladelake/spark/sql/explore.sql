-- `spladelake sql` and `spladelake.spark.sql.install` define these views and functions. Each statement ends with a
-- semicolon at the end of a line. Its "needs" line names the tables and earlier definitions it needs; the statement is
-- left out if one of them is missing. Functions raise an error if they have no answer: they never return null or no rows
-- instead. Views and functions that read vectors raise an error if a vector breaks an invariant; only document_vectors
-- and query_vectors show it.

-- needs: documents
CREATE OR REPLACE TEMPORARY VIEW documents COMMENT 'The searchable texts, one row for each document.'
AS SELECT * FROM ${documents};

-- needs: queries
CREATE OR REPLACE TEMPORARY VIEW queries COMMENT 'The search requests, one row for each query.'
AS SELECT * FROM ${queries};

-- needs: judgements
CREATE OR REPLACE TEMPORARY VIEW judgements COMMENT 'Judged relevance of documents to queries.'
AS SELECT * FROM ${judgements};

-- needs: runs
CREATE OR REPLACE TEMPORARY VIEW runs COMMENT 'Rankings: the best documents of each query in each run.'
AS SELECT * FROM ${runs};

-- needs: measures
CREATE OR REPLACE TEMPORARY VIEW measures COMMENT 'Measures of runs, for each query and on average.'
AS SELECT * FROM ${measures};

-- needs: document_vectors
CREATE OR REPLACE TEMPORARY VIEW document_vectors COMMENT 'Sparse vectors of the documents, by the model of the session.'
AS SELECT * FROM ${document_vectors};

-- needs: query_vectors
CREATE OR REPLACE TEMPORARY VIEW query_vectors COMMENT 'Sparse vectors of the queries, by the model of the session.'
AS SELECT * FROM ${query_vectors};

-- needs: vocabulary
CREATE OR REPLACE TEMPORARY VIEW vocabulary COMMENT 'The token of each dimension of the vectors.'
AS SELECT * FROM ${vocabulary};

-- needs: document_vectors
CREATE OR REPLACE TEMPORARY VIEW postings (
    term_id COMMENT 'Dimension. Its token is in vocabulary.',
    doc_id COMMENT '${document} with the term.',
    weight COMMENT 'Weight of the term there, above 0.'
) COMMENT 'Every term of every vector of documents, as rows.'
AS SELECT term_id, id AS doc_id, get(`values`, place) AS weight
FROM (SELECT id, ${document_indices} AS indices, `values` FROM document_vectors)
LATERAL VIEW posexplode(indices) AS place, term_id;

-- needs: query_vectors
CREATE OR REPLACE TEMPORARY VIEW query_postings (
    term_id COMMENT 'Dimension. Its token is in vocabulary.',
    query_id COMMENT 'Query with the term.',
    weight COMMENT 'Weight of the term in the query, above 0.'
) COMMENT 'Every term of every query.'
AS SELECT term_id, id AS query_id, get(`values`, place) AS weight
FROM (SELECT id, ${query_indices} AS indices, `values` FROM query_vectors)
LATERAL VIEW posexplode(indices) AS place, term_id;

-- needs: postings, vocabulary
CREATE OR REPLACE TEMPORARY VIEW term_statistics (
    term_id COMMENT 'Dimension.',
    token COMMENT 'Token of the dimension.',
    df COMMENT 'Number of vectors with the term.',
    mean_weight COMMENT 'Mean weight in the vectors with the term.',
    max_weight COMMENT 'Largest weight in any vector.'
) COMMENT 'Statistics of each term that occurs in a document.'
AS SELECT term_id, token, df, mean_weight, max_weight
FROM (
    SELECT term_id, count(*) AS df, avg(weight) AS mean_weight, max(weight) AS max_weight FROM postings GROUP BY term_id
) JOIN vocabulary USING (term_id);

-- needs: postings, vocabulary
CREATE OR REPLACE TEMPORARY VIEW document_terms (
    doc_id COMMENT '${document}.',
    rank COMMENT 'Position of the term there by descending weight, then ascending term_id. 1 is the heaviest.',
    token COMMENT 'Token of the term.',
    weight COMMENT 'Weight of the term there.',
    term_id COMMENT 'Dimension of the term.'
) COMMENT 'The terms of each vector of documents, by weight.'
AS SELECT doc_id, row_number() OVER (PARTITION BY doc_id ORDER BY weight DESC, term_id) AS rank, token, weight, term_id
FROM postings JOIN vocabulary USING (term_id);

-- needs: document_terms, document_vectors, documents, text_terms
CREATE OR REPLACE TEMPORARY VIEW expansions (
    doc_id COMMENT '${document}.',
    rank COMMENT 'Position of the term among all terms there, by weight.',
    token COMMENT 'Token of the term.',
    weight COMMENT 'Weight of the term there.'
) COMMENT 'Terms that the model added. They are in the vector, but not among the tokens of the text.'
AS SELECT doc_id, rank, token, weight
FROM document_terms JOIN (SELECT doc_id, text_terms(own_text) AS own_terms FROM (${own_texts})) USING (doc_id)
WHERE NOT array_contains(own_terms, term_id);

-- needs: runs, documents, queries, judgements
CREATE OR REPLACE TEMPORARY VIEW runs_with_text (
    run_id COMMENT 'Name of the run.',
    query_id COMMENT 'Query.',
    query COMMENT 'Text of the query.',
    rank COMMENT 'Position from 1.',
    score COMMENT 'Score of the document.',
    relevance COMMENT 'Grade of the document for the query. Null if it is not judged.',
    doc_id COMMENT 'Retrieved document.',
    title COMMENT 'Title of the document.',
    text COMMENT 'Text of the document.',
    passage COMMENT 'The passage of the document that matched best. Null if the vectors are of whole texts.'
) COMMENT 'Rankings with texts and grades, for people.'
AS SELECT run_id, runs.query_id, queries.text, rank, score, relevance, runs.doc_id, title, documents.text,
    ${best_passage}
FROM runs
LEFT JOIN queries ON queries.query_id = runs.query_id
LEFT JOIN documents ON documents.doc_id = runs.doc_id
LEFT JOIN judgements ON judgements.query_id = runs.query_id AND judgements.doc_id = runs.doc_id;

-- needs: measures, measure_columns
CREATE OR REPLACE TEMPORARY VIEW measures_wide (
    run_id COMMENT 'Name of the run.',
    ${measure_names}
) COMMENT 'Means of each run, with a column for each measure that existed when the view was defined.'
AS SELECT run_id, ${measure_columns} FROM measures WHERE query_id IS NULL GROUP BY run_id;

-- needs:
CREATE OR REPLACE TEMPORARY FUNCTION sparse_dot(
    indices1 ARRAY<INT> COMMENT 'Term ids of the first vector, each once.',
    values1 ARRAY<FLOAT> COMMENT 'Weights of the first vector.',
    indices2 ARRAY<INT> COMMENT 'Term ids of the second vector, each once.',
    values2 ARRAY<FLOAT> COMMENT 'Weights of the second vector.'
)
RETURNS DOUBLE
COMMENT 'Exact dot product of two sparse vectors, as in the scores of runs.'
RETURN CASE
    WHEN indices1 IS NULL OR values1 IS NULL OR indices2 IS NULL OR values2 IS NULL THEN raise_error(
        'sparse_dot: an array is null; wanted two arrays. Use an inner join to leave out rows without a vector.')
    WHEN size(indices1) <> size(values1) OR size(indices2) <> size(values2) THEN raise_error(concat(
        'sparse_dot: the first vector has ', size(indices1), ' indices and ', size(values1), ' values, the second has ',
        size(indices2), ' and ', size(values2), '; wanted a value for each index. Give indices and values of the same row.'))
    WHEN size(array_distinct(indices1)) <> size(indices1) OR size(array_distinct(indices2)) <> size(indices2) THEN
        raise_error('sparse_dot: a term occurs twice in a vector; wanted each term once. Add up its weights.')
    WHEN exists(values1, weight -> weight IS NULL) OR exists(values2, weight -> weight IS NULL)
        OR exists(indices1, term -> term IS NULL) OR exists(indices2, term -> term IS NULL) THEN
        raise_error('sparse_dot: a weight or an index is null; wanted numbers. Correct the vector.')
    ELSE
        aggregate(
            transform(
                array_intersect(indices1, indices2),
                term -> POWER(2D, 30) * CAST(get(values1, CAST(array_position(indices1, term) AS INT) - 1) AS DOUBLE)
                    * CAST(get(values2, CAST(array_position(indices2, term) AS INT) - 1) AS DOUBLE)
            ),
            struct(0L AS units, 0L AS rests),
            (sums, product) -> struct(
                sums.units + CAST(product AS BIGINT) AS units,
                sums.rests + CAST((product - CAST(product AS BIGINT)) * POWER(2D, 46) AS BIGINT) AS rests
            ),
            sums -> (sums.units + shiftright(sums.rests, 46)) / POWER(2D, 30)
                + (sums.rests & 70368744177663) / POWER(2D, 76)
        )
END;

-- needs:
CREATE OR REPLACE TEMPORARY FUNCTION heaviest_terms(
    tokens ARRAY<STRING> COMMENT 'Token of each dimension, from 0.',
    indices ARRAY<INT> COMMENT 'Term ids.',
    weights ARRAY<FLOAT> COMMENT 'Weight of each term.',
    k INT COMMENT 'Number of terms.'
)
RETURNS ARRAY<STRUCT<token: STRING, weight: FLOAT>>
COMMENT 'sparse_decode with given tokens.'
RETURN CASE
    WHEN indices IS NULL OR weights IS NULL THEN raise_error(
        'sparse_decode: an array is null; wanted two arrays. Use an inner join to leave out rows without a vector.')
    WHEN k IS NULL OR k < 1 THEN raise_error(concat(
        'sparse_decode: k is ', coalesce(CAST(k AS STRING), 'null'), '; wanted 1 or more. Give the number of terms.'))
    WHEN size(indices) <> size(weights) THEN raise_error(concat('sparse_decode: the vector has ', size(indices),
        ' indices and ', size(weights), ' values; wanted a value for each index. Give indices and values of the same row.'))
    WHEN exists(weights, weight -> weight IS NULL) THEN
        raise_error('sparse_decode: a weight is null; wanted numbers. Correct the vector.')
    ELSE transform(
        slice(array_sort(arrays_zip(indices, weights), (a, b) -> CASE
            WHEN a.weights > b.weights THEN -1 WHEN a.weights < b.weights THEN 1
            WHEN a.indices < b.indices THEN -1 WHEN a.indices > b.indices THEN 1 ELSE 0 END), 1, k),
        term -> struct(
            coalesce(get(tokens, term.indices), raise_error(concat('sparse_decode: the vocabulary has no term id ',
                coalesce(CAST(term.indices AS STRING), 'null'), '. Give a vector of the model that the vocabulary belongs to.'))) AS token,
            term.weights AS weight
        )
    )
END;

-- needs: vocabulary, heaviest_terms
CREATE OR REPLACE TEMPORARY FUNCTION sparse_decode(
    indices ARRAY<INT> COMMENT 'Term ids.',
    weights ARRAY<FLOAT> COMMENT 'Weight of each term.',
    k INT COMMENT 'Number of terms.'
)
RETURNS ARRAY<STRUCT<token: STRING, weight: FLOAT>>
COMMENT 'The k heaviest terms of a vector with their tokens, the heaviest first. Use inline() in a subquery to get rows.'
RETURN heaviest_terms(
    (SELECT transform(array_sort(array_agg(struct(term_id, token))), entry -> entry.token) FROM vocabulary),
    indices, weights, k
);

-- needs: query_vectors
CREATE OR REPLACE TEMPORARY FUNCTION query_vector(query_id STRING COMMENT 'A query of the collection.')
RETURNS STRUCT<indices: ARRAY<INT>, `values`: ARRAY<FLOAT>, model_id: STRING>
COMMENT 'Vector of a query, and its model.'
RETURN coalesce(
    (SELECT any_value(struct(${query_indices} AS indices, `values`, model_id))
        FROM query_vectors WHERE id = query_vector.query_id),
    raise_error(concat('query_id: ',
        coalesce(concat('there is no vector of a query with the id \'', query_vector.query_id, '\''), 'the id is NULL'),
        '; wanted the id of a query with a vector. Choose a query_id from the view `queries`, or encode new queries ',
        'with encode_texts.'))
);

-- needs: document_vectors
CREATE OR REPLACE TEMPORARY FUNCTION passage_vectors(doc_id STRING COMMENT 'A document of the collection, or a passage.')
RETURNS ARRAY<STRUCT<id: STRING, indices: ARRAY<INT>, `values`: ARRAY<FLOAT>, model_id: STRING>>
COMMENT 'Vectors of the passages of a document, in their order. A document that is not split has one vector.'
RETURN coalesce(
    ${vectors_of_document},
    raise_error(concat('doc_id: ',
        coalesce(concat('there is no vector of a document with the id \'', passage_vectors.doc_id, '\''), 'the id is NULL'),
        '; wanted the id of a document with a vector. Choose a doc_id from the view `documents`, or encode new documents ',
        'with encode_texts.'))
);

-- needs: passage_vectors
CREATE OR REPLACE TEMPORARY FUNCTION document_vector(doc_id STRING COMMENT 'A document of the collection, or a passage.')
RETURNS STRUCT<indices: ARRAY<INT>, `values`: ARRAY<FLOAT>, model_id: STRING>
COMMENT 'Vector of a document, and its model.'
RETURN get(transform(array(passage_vectors(document_vector.doc_id)), found -> CASE
    WHEN size(found) = 1 THEN struct(get(found, 0).indices AS indices, get(found, 0).`values` AS `values`,
        get(found, 0).model_id AS model_id)
    ELSE raise_error(concat('document_vector: the document ', document_vector.doc_id, ' has ', size(found),
        ' passages, each with a vector. Use passage_vectors, or give the id of a passage, such as ', get(found, 0).id,
        '.')) END), 0);

-- needs: query_vector, passage_vectors, vocabulary, sparse_dot
CREATE OR REPLACE TEMPORARY FUNCTION explain(
    query_id STRING COMMENT 'A query of the collection.',
    doc_id STRING COMMENT 'A document of the collection, or a passage.'
)
RETURNS TABLE (
    token STRING COMMENT 'Term of both.',
    query_weight FLOAT COMMENT 'Weight of the term in the query.',
    doc_weight FLOAT COMMENT 'Weight of the term in the document.',
    contribution DOUBLE COMMENT 'Product of both weights. The contributions add up to the score.',
    share DOUBLE COMMENT 'Share of the score, from 0 to 1.'${passage_column}
)
COMMENT 'Explains the score of a document for a query: one row for each common term. Of passages the best one counts.'
RETURN WITH given AS (
    SELECT query, inline(transform(found, doc -> if(query.model_id = doc.model_id, doc, raise_error(concat(
        'explain: the query is encoded by the model ', query.model_id, ', but the document by ', doc.model_id,
        '; wanted one model. Encode documents and queries with the same model.')))))
    FROM (SELECT query_vector(explain.query_id) AS query, passage_vectors(explain.doc_id) AS found)
),
best AS (
    SELECT * FROM (SELECT *, sparse_dot(query.indices, query.`values`, indices, `values`) AS score FROM given)
    ORDER BY score DESC, id LIMIT 1
),
pairs AS (
    SELECT id, map_from_arrays(indices, `values`) AS weights, explode(arrays_zip(query.indices, query.`values`)) AS term
    FROM best
),
products AS (
    SELECT id, term.indices AS term_id, term.`values` AS query_weight, weights[term.indices] AS doc_weight,
        CAST(term.`values` AS DOUBLE) * weights[term.indices] AS contribution
    FROM pairs WHERE weights[term.indices] IS NOT NULL
)
-- Spark reports an error of the other side as its own only if that side is not broadcast.
SELECT /*+ BROADCAST(vocabulary) */ token, query_weight, doc_weight, contribution,
    contribution / SUM(contribution) OVER () AS share${passage_value}
FROM products JOIN vocabulary USING (term_id)
ORDER BY contribution DESC, term_id;

-- needs: passage_vectors, document_vectors, documents
CREATE OR REPLACE TEMPORARY FUNCTION similar(
    doc_id STRING COMMENT 'A document of the collection, or a passage.',
    k INT DEFAULT 10 COMMENT 'Number of other documents.'
)
RETURNS TABLE (
    rank INT COMMENT 'Position from 1.',
    doc_id STRING COMMENT 'Retrieved document.',
    score DOUBLE COMMENT 'Dot product of both vectors. Of passages the best two count.',
    title STRING COMMENT 'Title of the document.',
    text STRING COMMENT 'Text of the document.'
)
COMMENT 'The k documents with the vectors most similar to the vector of a document, without the document itself.'
RETURN WITH asked AS (
    SELECT id, indices, `values` FROM (SELECT inline(found) FROM (SELECT passage_vectors(similar.doc_id) AS found))
),
stored AS (SELECT id, ${document_indices} AS indices, `values` FROM document_vectors)
SELECT rank, found.doc_id, score, title, text
FROM (${top_k_others}) AS found ${texts_of_found}
ORDER BY rank;

-- needs: encode_query, document_vectors, documents
CREATE OR REPLACE TEMPORARY FUNCTION search(
    question STRING COMMENT 'The question, in free text.',
    k INT DEFAULT 10 COMMENT 'Number of documents.'
)
RETURNS TABLE (
    rank INT COMMENT 'Position from 1.',
    doc_id STRING COMMENT 'Retrieved document.',
    score DOUBLE COMMENT 'Dot product of the vectors of document and question.',
    title STRING COMMENT 'Title of the document.',
    text STRING COMMENT 'Text of the document.'
)
COMMENT 'The k best documents for a question, in the order of retrieve_run. Documents without a common term are left out.'
RETURN WITH asked AS (
    SELECT 'question' AS id, vector.indices AS indices, vector.`values` AS `values`
    FROM (SELECT encode_query(CASE
        WHEN search.question IS NULL THEN raise_error('search: the question is null. Give a text.')
        WHEN trim(search.question) = '' THEN raise_error('search: the question is blank. Give a text.')
        ELSE search.question END) AS vector)
),
encoded_alike AS (
    SELECT id, `values`, if(model_id = ${model_id}, ${document_indices}, raise_error(concat('search: the document \'', id,
        '\' was encoded by the model ', left(model_id, 12), ', but questions are encoded by ', left(${model_id}, 12),
        '; wanted one model for documents and questions. Start spladelake sql again with the --model of the documents, ',
        'or encode the documents again.'))) AS indices
    FROM document_vectors
)
SELECT rank, found.doc_id, score, title, text
FROM (${top_k_search}) AS found ${texts_of_found}
ORDER BY rank;
