"""Words and tags that cells spell as lists, or with blanks between, are those lists, and a note says so."""

from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tagged_files import sentences

import nlp_transfer as nt
from nlp_transfer.config import PredictionOptions
from nlp_transfer.data.prediction_rows import open_texts
from nlp_transfer.data.read_rows import read_tagged
from nlp_transfer.data.source_rows import read_source

SENTENCES = [(["Anna", "didn't", "sing", ","], ["B-PER", "O", "O", "O"]), (["Bonn"], ["B-LOC"])]
WRITERS = {
    "Python": repr,
    "JSON": json.dumps,
    "NumPy": lambda values: str(np.array(values, object)),
}


def written(path, rows):
    if path.suffix in (".csv", ".tsv"):
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writerows([rows[0], *(row.values() for row in rows)])
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("style", WRITERS)
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_lists_that_cells_spell_are_lists_in_every_file(tmp_path, suffix, style):
    write = WRITERS[style]
    rows = [{"id": i, "tokens": write(words), "ner_tags": write(tags)} for i, (words, tags) in enumerate(SENTENCES)]
    path = written(tmp_path / f"a.{suffix}", rows)
    read = read_tagged(path)
    assert sentences(read) == SENTENCES
    # ['Bonn'] of NumPy is what Python writes too.
    styles = "NumPy and Python write" if style == "NumPy" else f"{style} writes"
    assert read.notes[-1] == f"{path}: columns 'tokens' and 'ner_tags' spell lists as {styles} them, and are read so."
    assert read_source(str(path))[1] == "tags"
    texts = open_texts(PredictionOptions("m", input_file=str(path), output_file="o"), tagged=True)
    assert [text.text for text in texts] == [words for words, _ in SENTENCES]


def test_a_cell_that_spells_no_list_among_those_that_do_is_a_bad_row(tmp_path):
    rows = [{"tokens": "['Anna']", "tags": "['B-PER']"}] * 3 + [{"tokens": "['Anna", "tags": "['O']"}]
    path = written(tmp_path / "a.csv", rows)
    with pytest.raises(nt.DataError, match=r"1 row with a text in column 'tokens', not a list .*\(line 5\)"):
        read_tagged(path)
    assert read_tagged(path, skip_bad_rows=True).skipped == (5,)


def test_spans_that_cells_spell_are_spans(tmp_path):
    rows = [{"text": "Anna sang", "label": "[(0, 4, 'PER')]"}, {"text": "No one", "label": "[]"}]
    read = read_tagged(written(tmp_path / "a.csv", rows))
    assert list(read.data["tags"]) == [["B-PER", "O"], ["O", "O"]]
    assert "column 'label' spells lists as Python writes them, and is read so." in read.notes[-1]


def test_words_and_tags_with_blanks_between(tmp_path):
    rows = [{"text": " ".join(words), "labels": " ".join(tags)} for words, tags in SENTENCES]
    path = written(tmp_path / "a.csv", rows)
    read = read_tagged(path)
    assert sentences(read) == SENTENCES
    assert read.notes[-1] == f"{path}: blanks part the words in column 'text' and the tags in column 'labels'."
    wrong = written(tmp_path / "b.csv", rows * 10 + [{"text": "Anna sang", "labels": "O"}])
    with pytest.raises(nt.DataError, match=r"1 row with 2 words and 1 tags \(line 22\)"):
        read_tagged(wrong)


@pytest.mark.parametrize("labels", ["['late', 'rude']", "late", "O no"])
def test_texts_with_labels_are_none_of_this(tmp_path, labels):
    path = written(tmp_path / "a.csv", [{"text": "it came late", "label": labels}] * 3)
    assert nt.task_of(nt.DataOptions(train_file=str(path))) == "classification"
    with pytest.raises(nt.DataError, match="no column with a usual name for the words"):
        read_tagged(path)
