"""The status counts, scores and forecasts, and leaves files that the training recipes read."""

from __future__ import annotations

import json

import pytest
from loops import GOLD, LABELS, annotated, beginning, options, quick_encoder, raw_file, state_of, texts_of

import nlp_transfer as nt
from nlp_transfer.data.read_rows import read_tagged
from nlp_transfer.errors import OptionError
from nlp_transfer.labelling.label_status import label_status
from nlp_transfer.labelling.merging import merge_file
from nlp_transfer.labelling.next_batch import next_batch
from nlp_transfer.labelling.status_table import status_table

__all__ = ["quick_encoder"]


def labelled(tmp_path, rows=40, **given):
    batch = next_batch(beginning(tmp_path, rows=rows, **given))
    merge_file(options(tmp_path, labelled_file=str(annotated(batch, tmp_path / "back.csv"))))


def test_it_counts_and_leaves_files_that_the_recipes_read(tmp_path):
    labelled(tmp_path)
    next_batch(options(tmp_path, rows=5))
    status = label_status(options(tmp_path))
    check = state_of(tmp_path)["batches"][0]["check"]
    assert (status.texts, status.labelled, status.waiting, status.rejected) == (60, 40, 5, 0)
    assert (status.trained, status.checked) == (40 - len(check), len(check))
    texts = [texts_of(tmp_path)[name] for name in state_of(tmp_path)["answers"]]
    assert status.counts == {name: sum(GOLD[text] == name for text in texts) for name in LABELS}
    splits = nt.load_splits(nt.DataOptions(train_file=str(status.train), test_file=str(status.check)), "classification")
    rows = [*splits.train.data, *(splits.validation.data if splits.validation else ()), *splits.test.data]
    assert {(row["text"], row["label"]) for row in rows} == {(text, GOLD[text]) for text in texts}
    assert {texts_of(tmp_path)[name] for name in check} == set(splits.test.data["text"])


def test_the_table_says_what_further_rows_buy_and_what_to_run_next(tmp_path):
    labelled(tmp_path)
    status = label_status(options(tmp_path))
    table = status_table(status)
    assert table.startswith("40 of 60 texts are labelled.\nrows by label: complaint ")
    assert "rows learned from" in table
    assert "The next 100 rows buy" in table
    assert f"Train on them: nlp-transfer classify --train_file {status.train} --test_file {status.check}" in table
    assert [point.rows for point in status.points][-1] == status.trained
    assert status_table(label_status(options(tmp_path))) == table


def test_few_rows_or_one_label_have_no_curve(tmp_path):
    next_batch(beginning(tmp_path))
    table = status_table(label_status(options(tmp_path)))
    assert "0 of 60 texts are labelled, 20 out." in table
    assert "A learning curve needs 12 labelled rows of two labels; label a batch first." in table
    assert not (tmp_path / "labelling" / "train.jsonl").exists()
    assert "nlp-transfer classify" not in table


def test_labels_that_only_rows_to_check_have_are_no_test(tmp_path):
    labelled(tmp_path, label_names=[*LABELS, "rare"])
    path = tmp_path / "labelling" / "state.json"
    state = state_of(tmp_path)
    state["answers"][state["batches"][0]["check"][0]] = "rare"
    path.write_text(json.dumps(state))
    status = label_status(options(tmp_path))
    assert status.check
    assert "--test_file" not in status_table(status)  # the recipe would refuse it


def test_a_folder_without_a_loop_is_one_line(tmp_path):
    with pytest.raises(OptionError, match="holds no labelling yet"):
        label_status(options(tmp_path))


def test_entities_are_counted_by_type_and_written_as_spans(tmp_path):
    texts = [f"Anna was in Oslo {number}." for number in range(24)]
    next_batch(beginning(tmp_path, task="ner", label_names=["PER", "LOC"], text_file=str(raw_file(tmp_path, texts))))
    back = tmp_path / "back.jsonl"
    lines = [{"text": text, "label": [[0, 4, "PER"], [12, 16, "LOC"]]} for text in texts[:23]]
    back.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"text": texts[23], "label": []}]))
    merge_file(options(tmp_path, labelled_file=str(back)))
    status = label_status(options(tmp_path))
    assert status.counts == {"PER": 23, "LOC": 23}
    assert status.labelled == 24
    table = status_table(status)
    assert "entities by type: PER 23, LOC 23" in table
    assert f"nlp-transfer ner --train_file {status.train}" in table
    assert read_tagged(str(status.train)).data["tags"][0] == ["B-PER", "O", "O", "B-LOC", "O", "O"]
