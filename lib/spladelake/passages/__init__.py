"""Passages: long texts split for models that read a limited number of tokens. Plain Python; no model, no Spark.

settings = PassageSettings(by="tokens", tokens=256, stride=128)
for passage in split_document(title, text, settings, spans=tokenizer.spans, room=510):
    print(passage.start, passage.end, passage.text)
"""

from spladelake.passages.ids import ID_SUFFIX, MOST_PASSAGES, document_of, passage_id
from spladelake.passages.settings import PassageSettings
from spladelake.passages.splitting import Passage, TooManyPassagesError, split_document

__all__ = [
    "ID_SUFFIX",
    "MOST_PASSAGES",
    "Passage",
    "PassageSettings",
    "TooManyPassagesError",
    "document_of",
    "passage_id",
    "split_document",
]
