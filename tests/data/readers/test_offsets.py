"""How a file counts its offsets is told by all of its rows together, and never guessed against one of them."""

from __future__ import annotations

import json

import pytest

import nlp_transfer as nt
from nlp_transfer.data.read_rows import read_tagged

UTF16 = [(f"🎉 {name} sang", [[3, 3 + len(name), "PER"]]) for name in ("Anna", "Omar", "Zoë")]
BYTES = [(f"Zoë {name} sang", [[0, 5 + len(name), "PER"]]) for name in ("Kern", "Li", "Berg")]
LINES = [(f"one\r\ntwo\r\n{name}", [[8, 8 + len(name), "PER"]]) for name in ("Anna", "Omar", "Li")]


def write(path, rows):
    path.write_text("\n".join(json.dumps({"text": text, "label": spans}) for text, spans in rows))
    return path


def entities(rows):
    pairs = zip(rows.data["words"], rows.data["tags"], strict=True)
    return [[word for word, tag in zip(*pair, strict=True) if tag != "O"] for pair in pairs]


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize(
    ("rows", "found", "says"),
    [
        (
            UTF16,
            [["Anna"], ["Omar"], ["Zoë"]],
            "its offsets count units of UTF-16, as JavaScript does: the spans of 3 rows",
        ),
        (
            BYTES,
            [["Zoë", "Kern"], ["Zoë", "Li"], ["Zoë", "Berg"]],
            "its offsets count bytes of UTF-8: the spans of 3 rows",
        ),
        (LINES, [["Anna"], ["Omar"], ["Li"]], "its offsets count \\r\\n as one character: the spans of 3 rows"),
    ],
)
def test_offsets_without_texts_are_counted_as_the_rows_show(tmp_path, rows, found, says, skip):
    read = read_tagged(write(tmp_path / "a.jsonl", rows), skip_bad_rows=skip)
    assert entities(read) == found
    assert says in read.notes[-1]
    assert read.skipped == ()


def test_characters_need_no_word(tmp_path):
    rows = [("🎉 Anna sang", [[2, 6, "PER"]]), ("Zoë Li", [[0, 6, "PER"]])]
    read = read_tagged(write(tmp_path / "a.jsonl", rows))
    assert entities(read) == [["Anna"], ["Zoë", "Li"]]
    assert len(read.notes) == 1


def test_a_row_that_contradicts_the_others_is_misaligned_and_not_shifted(tmp_path):
    path = write(tmp_path / "a.jsonl", [*UTF16 * 4, ("🎉 Bonn", [[2, 6, "LOC"]])])
    with pytest.raises(nt.DataError) as refused:
        read_tagged(path)
    assert "has 1 span that does not align with words, where offsets count units of UTF-16" in str(refused.value)
    assert "line 13: LOC" in str(refused.value)
    assert entities(read_tagged(path, misaligned="drop"))[-1] == []


def test_too_few_rows_that_tell_another_counting_are_a_hint(tmp_path):
    path = write(tmp_path / "a.jsonl", [*UTF16, ("🎉 Bonn", [[2, 6, "LOC"]])])
    with pytest.raises(nt.DataError) as refused:
        read_tagged(path)
    assert "3 spans that do not align with words (those of 3 rows would, if offsets count units of UTF-16" in str(
        refused.value
    )
    one = write(tmp_path / "b.jsonl", BYTES[:1])
    with pytest.raises(nt.DataError, match="would, if offsets count bytes of UTF-8"):
        read_tagged(one)


def test_a_span_that_fits_no_counting_stays_misaligned_beside_those_that_do(tmp_path):
    path = write(tmp_path / "a.jsonl", [*UTF16, ("🎉 Bonn", [[4, 6, "LOC"]])])
    with pytest.raises(nt.DataError, match=r"has 1 span .* UTF-16.*: line 4: LOC \[3, 5\] 'on'"):
        read_tagged(path)


def test_texts_of_spans_tell_bytes_too(tmp_path):
    row = {"text": "Zoë sang", "spans": [{"start": 0, "end": 4, "label": "PER", "text": "Zoë"}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    assert entities(read_tagged(tmp_path / "a.jsonl")) == [["Zoë"]]
