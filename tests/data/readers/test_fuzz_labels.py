"""Labels in every form that people and tools write them: rows read and rows reported are all rows of the file."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_fuzz import JUNK, LABEL, LISTS, TEXT, fuzzed, rarely, rows_of

from nlp_transfer.config import DataOptions
from nlp_transfer.data.load import read_rows
from nlp_transfer.data.read_rows import read_classification
from nlp_transfer.errors import DataError, UserError

VISIBLE = TEXT.filter(lambda text: text.strip() and "\0" not in text)
GOOD = st.sampled_from(["yes", "no"])


def write_csv(path: Path, rows: list, mark: str = ",", quoting: int = csv.QUOTE_ALL) -> Path:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=mark, lineterminator="\n", quoting=quoting).writerows(rows)
    path.write_text(file.getvalue(), "utf-8", newline="")
    return path


def lists_in_cells(draw: Callable, folder: Path) -> tuple[Path, int, dict]:
    spell = draw(st.sampled_from([repr, json.dumps, lambda some: str(np.array(some, object))]))
    rows = draw(rows_of(st.tuples(VISIBLE, rarely(TEXT, st.lists(GOOD, max_size=3).map(spell)))))
    return write_csv(folder / "a.csv", [("text", "labels"), *rows]), len(rows), {}


def marks_by_position(draw: Callable, folder: Path) -> tuple[Path, int, dict]:
    marks = st.lists(st.sampled_from([0, 1]), min_size=3, max_size=3)
    rows = draw(rows_of(st.fixed_dictionaries({"text": VISIBLE, "labels": rarely(LISTS, marks)})))
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return folder / "a.jsonl", len(rows), {"label_names": ["a", "b", "c"], "problem": "multi_label"}


def numbers(draw: Callable, folder: Path) -> tuple[Path, int, dict]:
    write = draw(
        st.sampled_from([
            "{:.2f}".format, "{:,.2f}".format, "{:.0f}%".format, "{:.0f}/5".format, "€ {:.1f}".format,
            lambda x: f"{x:,.2f}".translate(str.maketrans(",.", ".,")), lambda x: f"{x:,.1f}".replace(",", " "),
        ])
    )  # fmt: skip
    rows = draw(rows_of(st.tuples(VISIBLE, rarely(TEXT, st.floats(0, 9999).map(write))), 30))
    options = draw(st.sampled_from([{}, {"problem": "regression"}, {"decimal_mark": "comma"}]))
    return write_csv(folder / "a.csv", [("text", "score"), *rows]), len(rows), options


def bare_tsv(draw: Callable, folder: Path) -> tuple[Path, int, dict]:
    cell = VISIBLE.map(lambda text: "".join(c for c in text if c not in "\t\r\n\x1c\x85\u2028")).filter(str.strip)
    rows = draw(rows_of(st.tuples(cell, GOOD)))
    lines = ["\t".join(row) for row in rows]
    (folder / "a.tsv").write_text("\n".join(["text\tlabel", *lines, ""]), "utf-8", newline="")
    return folder / "a.tsv", len(rows), draw(st.sampled_from([{}, {"quoting": "none"}]))


def compressed(draw: Callable, folder: Path) -> tuple[Path, int, dict]:
    rows = draw(rows_of(st.tuples(VISIBLE, LABEL)))
    plain = write_csv(folder / "plain", [("text", "label"), *rows])
    (folder / "a.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    return folder / "a.csv.gz", len(rows), {}


def several(draw: Callable, folder: Path) -> tuple[Path, int, dict]:
    parts = draw(st.lists(rows_of(st.tuples(VISIBLE, LABEL), 3), min_size=1, max_size=3))
    for number, rows in enumerate(parts):
        write_csv(folder / f"part-{number}.csv", [("text", "label"), *rows])
    return folder / "part-*.csv", sum(map(len, parts)), {}


def headless(draw: Callable, folder: Path) -> tuple[Path, int, dict]:
    rows = draw(rows_of(st.tuples(VISIBLE, GOOD)))
    options = {"no_header": True, "text_column_name": "0", "label_column_name": "1"}
    return write_csv(folder / "a.csv", rows), len(rows), options


def prodigy(draw: Callable, folder: Path) -> tuple[Path, int, dict]:
    answer = st.sampled_from(["accept", "accept", "reject", "ignore"])
    binary = st.fixed_dictionaries({"text": VISIBLE, "label": LABEL, "answer": answer})
    accept = rarely(JUNK, st.lists(GOOD, max_size=2))
    choice = st.fixed_dictionaries(
        {"text": VISIBLE, "options": st.just([{"id": "yes"}, {"id": "no"}]), "accept": accept, "answer": answer}
    )
    rows = draw(rows_of(draw(st.sampled_from([binary, choice]))))
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return folder / "a.jsonl", len(rows), {}


def label_studio(draw: Callable, folder: Path) -> tuple[Path, int, dict]:
    value = st.fixed_dictionaries({"choices": rarely(JUNK, st.lists(GOOD, min_size=1, max_size=2))})
    item = st.fixed_dictionaries(
        {"value": rarely(JUNK, value), "from_name": st.just("kind"), "type": st.just("choices")}
    )
    other = st.just({"value": {"text": ["a note"]}, "from_name": "note", "type": "textarea"})
    annotation = st.fixed_dictionaries(
        {
            "result": rarely(JUNK, st.lists(st.one_of(item, other), max_size=2)),
            "was_cancelled": rarely(JUNK, st.just(False)),
        }
    )
    task = st.fixed_dictionaries(
        {"data": st.fixed_dictionaries({"text": VISIBLE}), "annotations": st.lists(annotation, max_size=2)}
    )
    small = st.fixed_dictionaries({"text": VISIBLE, "kind": st.one_of(GOOD, value)})
    rows = draw(rows_of(rarely(JUNK, draw(st.sampled_from([task, task, small])))))
    (folder / "a.json").write_text(json.dumps(rows), "utf-8")
    return folder / "a.json", len(rows), {}


FORMS = [lists_in_cells, marks_by_position, numbers, bare_tsv, compressed, several, headless, prodigy, label_studio]


@fuzzed
@pytest.mark.parametrize("form", FORMS)
def test_labels_in_every_form(tmp_path_factory, form, files):
    @files
    @given(data=st.data())
    def each(data: st.DataObject) -> None:
        path, count, options = form(data.draw, tmp_path_factory.mktemp("file"))
        for skip in (False, True):
            try:
                rows = read_rows(DataOptions(train_file=str(path), skip_bad_rows=skip, **options), "classification")[
                    "train"
                ]
            except UserError:
                continue
            assert skip or not rows.skipped
            told = any("lines give" in note for note in rows.notes)  # a quote that may be either
            assert len(rows.data) + len(rows.skipped) + len(rows.left_out) == count or (form is bare_tsv and told)

    each()


PLANTED = {
    "no label": (("late", "late;rude"), ""),
    "lists": (("['late']", "['late', 'rude']"), "late"),
    "numbers": ((*(f"{i},5" for i in range(30)),), "12 or so"),
    "percent": ((*(f"{i}%" for i in range(30)),), "n/a"),
    "width": (("late", "rude"), "late,rude"),
}


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("place", [0, 7, 150])
def test_a_planted_wrong_row_is_never_silent(tmp_path, kind, place):
    labels, wrong = PLANTED[kind]
    rows = [(f"text {i}", labels[i % len(labels)]) for i in range(200)]
    rows.insert(place, ("odd", *wrong.split(",")))
    path = write_csv(tmp_path / "a.csv", [("text", "label"), *rows])
    with pytest.raises(DataError, match=rf"line {place + 2}\b"):
        read_rows(DataOptions(train_file=str(path)), "classification")
    rows = read_rows(DataOptions(train_file=str(path), skip_bad_rows=True), "classification")["train"]
    assert rows.skipped == (place + 2,)
    assert len(rows.data) == 200


def test_a_quote_within_a_bare_file_melts_no_rows(tmp_path):
    lines = [f"text {i}\t{'ab'[i % 2]}" for i in range(100)]
    lines[30], lines[60] = '"opened\ta', 'closed"\ta'
    (tmp_path / "a.tsv").write_text("\n".join(["text\tlabel", *lines, ""]))
    with pytest.raises(DataError, match=r"line 32: a quote opens here and closes in line 62"):
        read_classification(tmp_path / "a.tsv")
