"""Rows are given out once, a tenth of them at random to check, and nothing that is there is replaced."""

from __future__ import annotations

import json

import pytest
from loops import GOLD, LABELS, annotated, beginning, options, quick_encoder, raw_file, rows_in, state_of, texts_of

from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.labelling.batch_formats import ROW_ID
from nlp_transfer.labelling.labelling_folder import LabellingFolder
from nlp_transfer.labelling.merging import merge_file
from nlp_transfer.labelling.next_batch import next_batch
from nlp_transfer.labelling.texts_to_label import check_order

__all__ = ["quick_encoder"]


def test_batches_share_no_row_and_hold_their_share_to_check(tmp_path, caplog):
    caplog.set_level("INFO")
    paths = [next_batch(beginning(tmp_path))] + [next_batch(options(tmp_path, rows=15)) for _ in range(2)]
    assert "20 rows of earlier batches are out; they are not offered again (--offer_again does)." in caplog.text
    ids = [row[ROW_ID] for path in paths for row in rows_in(path)]
    assert len(ids) == len(set(ids)) == 50
    apart = check_order(texts_of(tmp_path), 42)
    state = state_of(tmp_path)
    checked = [name for batch in state["batches"] for name in batch["check"]]
    assert checked == apart[: len(checked)]
    assert len(checked) == min(5, len(apart))
    assert not (set(ids) - set(checked)) & set(apart)


def test_rows_to_check_are_not_pre_filled_and_all_others_are(tmp_path):
    path = next_batch(beginning(tmp_path, rows=40))
    check = set(state_of(tmp_path)["batches"][0]["check"])
    assert check
    for row in rows_in(path):
        assert row["label"] in ([""] if row[ROW_ID] in check else LABELS)
    bare = next_batch(options(tmp_path, rows=5, prefill=False))
    assert {row["label"] for row in rows_in(bare)} == {""}


def test_guesses_learn_from_answers_but_never_from_rows_to_check(tmp_path):
    first = next_batch(beginning(tmp_path, rows=30))
    merge_file(options(tmp_path, labelled_file=str(annotated(first, tmp_path / "back.csv"))))
    guesses = state_of(tmp_path)["batches"]
    next_batch(options(tmp_path, rows=10, output_file=str(tmp_path / "a.csv")))
    with_check = state_of(tmp_path)["batches"][1]
    texts = texts_of(tmp_path)
    right = [GOLD[texts[name]] == label for name, label in with_check["guesses"].items()]
    assert sum(right) > 0.6 * len(right)
    state = state_of(tmp_path)
    state["batches"].pop()
    for name in guesses[0]["check"]:  # other answers of rows to check change nothing
        state["answers"][name] = next(label for label in LABELS if label != state["answers"][name])
    (tmp_path / "labelling" / "state.json").write_text(json.dumps(state))
    next_batch(options(tmp_path, rows=10, output_file=str(tmp_path / "b.csv")))
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


def test_more_rows_than_are_left_are_refused_and_nothing_changes(tmp_path):
    next_batch(beginning(tmp_path, rows=50))
    before = (tmp_path / "labelling" / "state.json").read_bytes()
    said = "--rows 11 is more than the 10 rows that are left: of 60 texts 0 are labelled, 50 out and 0 rejected; give"
    with pytest.raises(OptionError, match=said + " --rows 10"):
        next_batch(options(tmp_path, rows=11))
    assert (tmp_path / "labelling" / "state.json").read_bytes() == before
    next_batch(options(tmp_path, rows=10))
    with pytest.raises(OptionError, match="give a --text_file with further texts, or --offer_again"):
        next_batch(options(tmp_path, rows=1))


def test_further_texts_and_labels_join(tmp_path, caplog):
    caplog.set_level("INFO")
    next_batch(beginning(tmp_path, rows=50))
    before = list(texts_of(tmp_path))
    more = raw_file(tmp_path, ["a first new text", *GOLD, "a last new text"])
    next_batch(options(tmp_path, rows=12, text_file=str(more), label_names=[*LABELS, "neither"]))
    assert "2 new texts join the 60 there were" in caplog.text
    assert "New labels: 'neither'." in caplog.text
    assert list(texts_of(tmp_path))[:60] == before
    assert list(state_of(tmp_path)["labels"]) == [*LABELS, "neither"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"texts": ["another", *list(GOLD)[2:]]}, "is of other texts: 2 of its 60 are not in"),
        (
            {"label_names": ["praise", "blame"]},
            "has the labels 'complaint', 'praise', of which 'complaint' is not given",
        ),
        ({"model_name_or_path": "other"}, "holds vectors of all-MiniLM-L6-v2; got --model_name_or_path other"),
        ({"task": "ner"}, "is for --task classification; got ner"),
        ({"output_file": "raw.jsonl"}, "raw.jsonl is there already; name another, nothing is replaced"),
        ({"output_file": "missing/out.csv"}, "cannot write .*missing/out.csv"),
        ({"text_file": "no.csv"}, "no.csv does not exist"),
    ],
)
def test_a_folder_of_something_else_is_one_line_and_nothing_changes(tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    next_batch(beginning(tmp_path))
    answers = state_of(tmp_path)["answers"]
    if texts := given.pop("texts", None):
        given["text_file"] = str(raw_file(tmp_path, texts))
    with pytest.raises((OptionError, DataError), match=said) as error:
        next_batch(options(tmp_path, rows=10, **given))
    assert "\n" not in str(error.value)
    assert state_of(tmp_path)["answers"] == answers
    assert len(texts_of(tmp_path)) == 60


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"label_names": []}, "labels are missing"),
        ({"label_names": ["one"]}, "one label, 'one', tells no texts apart"),
        ({"text_file": None}, "--text_file is missing"),
        ({"format": "csv", "task": "ner"}, "csv holds no entities"),
    ],
)
def test_what_is_missing_at_the_beginning_is_one_line(tmp_path, given, said):
    with pytest.raises(OptionError, match=said):
        next_batch(beginning(tmp_path, **given))
    next_batch(beginning(tmp_path))  # and the folder can be begun with still


def test_a_folder_in_use_is_refused(tmp_path):
    next_batch(beginning(tmp_path))
    with LabellingFolder(tmp_path / "labelling"), pytest.raises(OptionError, match="another process is using it"):
        next_batch(options(tmp_path))


def test_entities_without_a_tagger_are_picked_by_variety_and_not_pre_filled(tmp_path):
    path = next_batch(beginning(tmp_path, task="ner", label_names=["PER"], rows=10))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert path.suffix == ".jsonl"
    assert len(rows) == 10
    assert all(row["label"] == [] for row in rows)
