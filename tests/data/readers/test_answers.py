"""What an annotator rejected or ignored is left out, and told."""

from __future__ import annotations

import json

from nlp_transfer.data.read_rows import read_tagged

ROWS = [
    {"text": "Anna met Omar", "spans": [{"start": 0, "end": 4, "label": "PER"}], "answer": "accept"},
    {"text": "Anna met Omar", "spans": [{"start": 0, "end": 4, "label": "LOC"}], "answer": "reject"},
    {"text": "Anna met Omar", "spans": [{"start": 0, "end": 4, "label": "LOC"}], "answer": "ignore"},
]


def write(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_rows_that_were_rejected_or_ignored_are_left_out_and_no_fault(tmp_path):
    rows = read_tagged(write(tmp_path / "a.jsonl", ROWS))
    assert list(rows.data["tags"]) == [["B-PER", "O", "O"]]
    assert (rows.skipped, rows.left_out) == ((), (2, 3))
    assert rows.notes[-1].endswith(
        "left out 1 row with the answer 'reject' (line 2), 1 row with the answer 'ignore' (line 3)."
    )


def test_lists_of_words_have_answers_too(tmp_path):
    rows = [{"tokens": ["Anna"], "tags": ["B-PER"], "answer": answer} for answer in ("accept", "reject", None)]
    read = read_tagged(write(tmp_path / "a.jsonl", rows))
    assert (len(read.data), read.left_out) == (2, (2,))


def test_a_span_that_was_rejected_is_no_entity_of_an_accepted_row(tmp_path):
    spans = [
        {"start": 0, "end": 4, "label": "PER", "answer": "accept"},
        {"start": 5, "end": 8, "label": "PER", "answer": "reject"},
        {"start": 9, "end": 13, "label": "PER", "answer": "ignore"},
    ]
    rows = read_tagged(write(tmp_path / "a.jsonl", [ROWS[0], {**ROWS[0], "spans": spans}]))
    assert list(rows.data["tags"]) == [["B-PER", "O", "O"]] * 2
    assert rows.notes[-1].endswith("left out 2 spans that an annotator rejected or ignored (line 2).")
