"""Words and tags of a DocBin of spaCy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from nlp_transfer.data import tag_schemes
from nlp_transfer.data.readers.records import BadRow, Record, Table
from nlp_transfer.errors import DataError


def docbin_table(path: Path) -> Table:
    """A `.spacy` file: a row is a `Doc`, its words are the tokens that are not blank. DataError without spaCy."""
    try:
        from spacy.tokens import DocBin  # heavy, and needed for this form alone
        from spacy.vocab import Vocab
    except ImportError:
        raise DataError(
            f"{path}: reading .spacy needs spaCy; install it with: pip install spacy, or write the docs as JSON lines "
            'of {"text": ..., "spans": [[start, end, type]]}.'
        ) from None
    vocab = Vocab()
    try:
        docs = list(DocBin().from_bytes(path.read_bytes()).get_docs(vocab))
    except Exception as error:  # whatever zlib, msgpack and spaCy make of other bytes
        raise DataError(f"{path} is damaged or no DocBin of spaCy ({type(error).__name__}); write it again.") from None

    def records(wanted: Sequence[str]) -> Iterator[Record | BadRow]:
        for number, doc in enumerate(docs, start=1):
            words = [token for token in doc if token.text.strip()]
            place = {token.i: word for word, token in enumerate(words)}
            entities = []
            for entity in doc.ents:
                inside = [place[token.i] for token in entity if token.i in place]
                if inside:
                    entities.append((entity.label_, inside[0], inside[-1] + 1))
            tags = tag_schemes.tags(entities, len(words), "IOB2")
            yield Record(number, {"text": doc.text, "words": [token.text for token in words], "tags": tags})

    return Table(("words", "tags", "text"), records, "row", (f"{path}: a DocBin of spaCy.",))
