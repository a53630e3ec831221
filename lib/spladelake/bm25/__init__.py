"""BM25 as an encoder of sparse vectors: weights for the words of a document, counts for the words of a query.

    bm25 = Bm25Encoder.learn(["a text", "another"])
    bm25.encode_documents(["a text"])

Needs neither torch nor pyspark.
"""

from spladelake.bm25.encoder import Bm25Encoder
from spladelake.bm25.settings import Bm25Settings, read_stop_words
from spladelake.bm25.weights import document_weights, inverse_document_frequency
from spladelake.bm25.words import WordCounter

__all__ = [
    "Bm25Encoder",
    "Bm25Settings",
    "WordCounter",
    "document_weights",
    "inverse_document_frequency",
    "read_stop_words",
]
