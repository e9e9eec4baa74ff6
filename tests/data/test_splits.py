"""The rows held out are those asked for: stratified, the same for a seed, in their order."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_transfer.data.rows import Rows, fingerprint
from nlp_transfer.data.splits import hold_out, make_splits
from nlp_transfer.errors import DataError, OptionError


def labelled(labels, skipped=()):
    columns = {
        "text": [f"text {i}" for i in range(len(labels))],
        "label": labels,
        "line": list(range(2, len(labels) + 2)),
    }
    data = datasets.Dataset.from_dict(columns)
    return Rows(data, "train.csv", skipped, {"text": "text", "label": "label"}, fingerprint(data))


def tagged(sentences):
    columns = {
        "words": [["w"] * len(tags) for tags in sentences],
        "tags": sentences,
        "line": list(range(len(sentences))),
    }
    data = datasets.Dataset.from_dict(columns)
    return Rows(data, "train.conll", (), {"words": "words", "tags": "tags"}, fingerprint(data))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.floats(0.01, 0.99), st.integers(0, 2**32), st.randoms())
def test_hold_out_is_stratified(sizes, share, seed, random):
    labels = [f"label {i}" for i, size in enumerate(sizes) for _ in range(size)]
    random.shuffle(labels)
    rows = labelled(labels)
    if max(sizes) == 1:
        with pytest.raises(DataError, match="too few"):
            hold_out(rows, share, seed, "label")
        return
    stays, held = hold_out(rows, share, seed, "label")
    assert sorted([*stays.data["line"], *held.data["line"]]) == list(rows.data["line"])
    for part in (stays, held):
        assert len(part.data)
        assert list(part.data["line"]) == sorted(part.data["line"])
        assert part.sha256 == fingerprint(part.data)
    assert set(stays.data["label"]) == set(labels)
    wanted = max(1, round(share * len(labels)))
    assert len(held.data) <= wanted
    if min(sizes) > 1 and wanted <= len(labels) / 2:
        assert len(held.data) == wanted
    for label, count in Counter(held.data["label"]).items():
        assert abs(count - wanted * labels.count(label) / len(labels)) <= 1


def test_the_seed_decides():
    rows = labelled(["a", "b"] * 50)
    first, again, other = (hold_out(rows, 0.2, seed, "label")[1] for seed in (1, 1, 2))
    assert first.sha256 == again.sha256 != other.sha256


def test_the_hash_seed_does_not():
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from test_splits import labelled, hold_out;"
        "print(hold_out(labelled(['a', 'b', 'c'] * 9), 0.3, 5, 'label')[1].sha256)"
    )
    other = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == hold_out(labelled(["a", "b", "c"] * 9), 0.3, 5, "label")[1].sha256


def test_sentences_are_sampled_plainly():
    stays, held = hold_out(tagged([["O"]] * 20), 0.25, 0, None)
    assert (len(stays.data), len(held.data)) == (15, 5)


@pytest.mark.parametrize("seed", range(5))
def test_an_entity_type_of_one_sentence_stays(seed):
    rows = tagged([["O", "B-PER"], ["B-LOC"], ["O"], ["B-ORG", "I-ORG"]] + [["B-PER"]] * 4)
    stays, held = hold_out(rows, 0.5, seed, None)
    kept = {tag[2:] for tags in stays.data["tags"] for tag in tags if tag != "O"}
    assert kept == {"PER", "LOC", "ORG"}
    assert len(held.data)


@pytest.mark.parametrize("rows", [labelled(["a"]), labelled(["a", "b", "c"]), tagged([["O"]])])
def test_too_few_rows(rows):
    with pytest.raises(DataError, match=r"train\..*too few.*--validation_file"):
        hold_out(rows, 0.1, 0, "label" if "label" in rows.columns else None)


@pytest.mark.parametrize("share", [0, 1, -0.1, 10])
def test_a_share_that_is_none(share):
    with pytest.raises(OptionError, match="between 0 and 1"):
        hold_out(labelled(["a", "a"]), share, 0, "label")


def test_make_splits_says_what_it_did():
    rows = labelled(["a", "b"] * 800, skipped=(4, 9))
    splits = make_splits(rows, test=labelled(["a"]), seed=3)
    assert splits.notes == (
        "train.csv: left out 2 bad rows (lines 4, 9).",
        "No validation file: held out 160 of 1,600 training rows (10%), stratified by label, seed 3.",
    )
    assert (splits.train.skipped, splits.validation.skipped) == ((4, 9), ())
    sentences = make_splits(tagged([["O"]] * 10), label_column=None)
    assert sentences.notes == ("No validation file: held out 1 of 10 training rows (10%), at random, seed 0.",)


def test_given_splits_are_kept():
    train, validation = labelled(["a", "b"]), labelled(["b"])
    splits = make_splits(train, validation)
    assert (splits.train, splits.validation, splits.test, splits.notes) == (train, validation, None, ())


def test_splits_are_shown_in_one_line():
    train, test = labelled(["a", "b"] * 1000), labelled(["a"] * 7)
    assert repr(make_splits(train, labelled(["b"] * 5), test)) == "Splits(train 2,000 rows, validation 5, test 7)"
    assert repr(make_splits(train, test=test, share=0)) == "Splits(train 2,000 rows, test 7)"


def test_rows_of_one_each_all_train_where_test_rows_score_the_run():
    rows = labelled(["x", "y", "z"])
    splits = make_splits(rows, test=rows)
    assert splits.validation is None
    assert splits.held_out_share == 0
    assert splits.notes[0].startswith("No label has two rows, so none is held out: every row is trained on")
    with pytest.raises(DataError, match="too few rows of a label to hold some out"):
        make_splits(rows)
