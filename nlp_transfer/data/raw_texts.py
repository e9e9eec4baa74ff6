"""The loading of raw texts, which have no labels, and of labelled test rows beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nlp_transfer.config import ZeroShotOptions
from nlp_transfer.data.label_check import require_known_labels
from nlp_transfer.data.label_reading import reading_of
from nlp_transfer.data.labels import LabelForm
from nlp_transfer.data.read_rows import labelled_rows, raw_text_rows
from nlp_transfer.data.readers import require_file
from nlp_transfer.data.readers.reader_registry import reader_options
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.split_sources import source_of
from nlp_transfer.data.splits import Splits, left_out_notes
from nlp_transfer.errors import DataError


def load_raw_texts(options: ZeroShotOptions, labels: Sequence[str]) -> Splits:
    """The raw texts that the options name as `train`, without labels, and as `test` the labelled rows if there are any.

    Test labels are some of `labels`, or ids of them where `label_names` gives their order. Raises DataError.
    """
    given = {name: getattr(options, name, None) for name in reader_options()}
    texts = raw_text_rows(source_of(str(options.text_file), **given), options.text_column_name, options.skip_bad_rows)
    if len(texts.data) < len(labels):
        raise DataError(
            f"{texts.source} has {len(texts.data):,} raw text{'s' * (len(texts.data) != 1)} for {len(labels):,} "
            "labels; give hundreds or more."
        )
    notes = [*left_out_notes(texts), *texts.notes]
    if not options.test_file:
        return Splits(texts, None, None, tuple(notes))
    test = _labelled(options, labels, texts)
    return Splits(texts, None, test, (*notes, *left_out_notes(test), *test.notes))


def require_text_files(options: ZeroShotOptions) -> None:
    """Raise DataError for a file that is not there; loads no torch."""
    for path in (options.text_file, options.test_file):
        if path:
            require_file(Path(path))


def _labelled(options: ZeroShotOptions, labels: Sequence[str], texts: Rows) -> Rows:
    given = {name: getattr(options, name, None) for name in reader_options()}
    source = source_of(str(options.test_file), **given)
    usual = texts.columns["text"] if texts.columns["text"] in source.opened("labels").columns else None
    form = LabelForm("single_label", names=tuple(options.label_names))
    columns = (options.text_column_name or usual, None, options.label_column_name)
    rows = labelled_rows(source, columns, form._replace(names=()), options.skip_bad_rows)
    if options.label_names:
        rows = reading_of(rows, form, options.skip_bad_rows, infers=False, ordered=False).change(rows)
    require_known_labels(rows, labels, options.labels_file or "--label_names")
    return rows
