"""Examples on the help page of each job."""

EXAMPLES = {
    "ingest_texts": """\b
  spladelake ingest_texts --lake my-lake --source beir/scifact
  spladelake ingest_texts --lake my-lake --documents collection.tsv --queries queries.tsv --judgements qrels.txt
  spladelake ingest_texts --lake my-lake --documents papers.parquet --document-id paper_id --document-text abstract
  spladelake ingest_texts --lake my-lake --source ir_datasets:msmarco-passage/dev/small""",
    "encode_texts": """\b
  spladelake encode_texts --lake my-lake
  spladelake encode_texts --lake my-lake --model splade-tiny --side queries
  spladelake encode_texts --lake my-lake --model bm25 --stemmer german --stopwords my-stopwords.txt
  spladelake encode_texts --lake my-lake --changes feed
  spark-submit jobs/encode_texts.py --lake s3a://bucket/lake --model /models/splade-mini""",
    "retrieve_run": """\b
  spladelake retrieve_run --lake my-lake --model splade-tiny --k 1000 --run-id tiny-1000
  spladelake retrieve_run --lake my-lake --where "title LIKE 'A%'" --minimum-score 5 --run-id only-a
  spladelake retrieve_run --lake my-lake --k 100 --also '{short: {k: 10, where: "length(text) < 500"}}'""",
    "index_vectors": """\b
  spladelake index_vectors --lake my-lake --model splade-tiny""",
    "compact_vectors": """\b
  spladelake compact_vectors --lake my-lake --target "ndcg@10 >= 0.995 of original"
  spladelake compact_vectors --lake my-lake --mantissa-bits 6 --into splade-mini-6bit
  spladelake compact_vectors --lake my-lake --alpha-mass 0.9 --levels 255""",
    "rerank_run": """\b
  spladelake rerank_run --lake my-lake --run splade-mini --depth 100
  spladelake rerank_run --lake my-lake --run bm25 --cross-encoder /models/my-cross-encoder --run-id bm25-mine""",
    "fuse_runs": """\b
  spladelake fuse_runs --lake my-lake --runs bm25,splade-mini
  spladelake fuse_runs --lake my-lake --runs bm25,splade-mini --method sum --weights 0.3,0.7 --run-id hybrid""",
    "evaluate_run": """\b
  spladelake evaluate_run --lake my-lake --model splade-tiny
  spladelake evaluate_run --lake my-lake --run-id tiny-1000 --measures ndcg_cut_10,recall_1000 --relevance-level 2""",
    "import_run": """\b
  spladelake import_run --lake my-lake --run bm25.trec
  spladelake import_run --lake my-lake --run 'runs/dl*.bm25.trec' --run-id bm25""",
    "export_run": """\b
  spladelake export_run --lake my-lake --run-id splade-tiny --output splade-tiny.trec --judgements qrels.txt""",
    "export_measures": """\b
  spladelake export_measures --lake my-lake --run-id splade-tiny --output results.csv
  spladelake export_measures --lake my-lake --run-id splade-tiny --output card.md --output-format model-card""",
    "export_vectors": """\b
  spladelake export_vectors --lake my-lake --output seismic --output-format seismic
  spladelake export_vectors --lake my-lake --output ciff --output-format ciff --levels 255
  spladelake export_vectors --lake my-lake --output queries --output-format anserini --side queries""",
    "import_vectors": """\b
  spladelake import_vectors --lake my-lake --input ciff --input-format ciff --vectors theirs
  spladelake import_vectors --lake my-lake --input theirs/ --input-format anserini --vectors theirs --step 0.01""",
    "compare_runs": """\b
  spladelake compare_runs --lake my-lake --measures ndcg@10,mrr@10 --baseline bm25
  spladelake compare_runs --lake all --collections '{DL: dl-lake, cranfield: c-lake}' --run-ids bm25,splade-tiny""",
    "mine_pairs": """\b
  spladelake mine_pairs --lake my-lake --run bm25 --negatives 4 --max-rank 50
  spladelake mine_pairs --lake my-lake --run fusion --choose random --min-rank 10 --relative-margin 0.05""",
    "score_pairs": """\b
  spladelake score_pairs --lake my-lake
  spladelake score_pairs --lake my-lake --teachers /models/teacher-a,/models/teacher-b --average scaled
  spladelake score_pairs --lake my-lake --teachers run:fusion""",
    "train_model": """\b
  spladelake train_model --lake my-lake --model splade-tiny --output my-model
  spladelake train_model --lake my-lake --output my-model --loss ranking --batch-size 32 --epochs 1 --learning-rate 2e-5
  spladelake train_model --lake my-lake --output my-model --processes 4 --precision bf16""",
    "maintain_tables": """\b
  spladelake maintain_tables --lake my-lake --retention-hours 720""",
    "verify_tables": """\b
  spladelake verify_tables --lake my-lake""",
}
