"""Labels that were changed are doubted first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from conftest import review_lines
from made import parts, sentences, texts

from nlp_transfer.activations import activation_store
from nlp_transfer.checks import encoder_probabilities, mislabelled
from nlp_transfer.checks.check_data import check_data
from nlp_transfer.checks.mislabelled import suspect_in_words, suspects
from nlp_transfer.checks.read_for_checks import read_for_checks
from nlp_transfer.config import CacheOptions, CheckOptions, DataOptions, ModelOptions, TrainingOptions


@pytest.fixture(autouse=True)
def _a_process_of_its_own() -> Iterator[None]:
    """The precision that one run chooses holds for all that come after it in a process."""
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


def test_changed_labels_come_first(tmp_path, checkpoint):
    rows = [(f"{text} {i}", label) for i, (text, label) in enumerate(review_lines(120))]
    wrong = [10, 33, 56, 91]
    for i in wrong:
        rows[i] = (rows[i][0], {"praise": "complaint", "complaint": "praise"}[rows[i][1]])
    splits = texts(tmp_path, rows)
    cache = CacheOptions(cache_dir=str(tmp_path / "cache"))
    found = suspects(splits, parts(splits), ModelOptions(model_name_or_path=checkpoint()), cache)
    assert {suspect.place.line - 1 for suspect in found[:4]} == set(wrong)
    assert all(one.probability <= other.probability for one, other in pairwise(found))
    first = found[0]
    assert suspect_in_words(first) == f"is {first.given}, seems {first.suggested}"
    assert first.given == rows[first.place.line - 1][1] != first.suggested
    assert found == suspects(splits, parts(splits), ModelOptions(model_name_or_path=checkpoint()), cache)


def test_networks_that_saw_each_row_once_doubt_changed_labels_of_every_split(tmp_path, checkpoint, monkeypatch):
    def tiny(**given):  # learns as much in a hundred steps as MiniLM does in an epoch
        return TrainingOptions(**given | {"per_device_train_batch_size": 4}, learning_rate=3e-3)

    monkeypatch.setattr(encoder_probabilities, "TrainingOptions", tiny)
    monkeypatch.setattr(mislabelled, "_ENOUGH", 200)
    monkeypatch.setattr(encoder_probabilities, "features_and_labels", None)
    rows = [(f"{text} {i}", label) for i, (text, label) in enumerate(review_lines(300))]
    for i in (10, 33, 256, 291):
        rows[i] = (rows[i][0], {"praise": "complaint", "complaint": "praise"}[rows[i][1]])
    seldom = [(f"neither here nor there {i % 4}", "no review") for i in range(8)]  # too few texts to be judged
    splits = texts(tmp_path, [*rows[:200], *seldom], test=rows[200:])
    found = suspects(splits, parts(splits), ModelOptions(model_name_or_path=checkpoint()), how="thorough")
    assert {(s.place.split, s.place.line) for s in found[:4]} == {
        ("train", 11), ("train", 34), ("test", 57), ("test", 92),
    }  # fmt: skip
    assert all(s.given != s.suggested for s in found[:4])
    assert not any("no review" in s for s in found)


def test_pairs_are_judged_and_several_labels_are_declined_in_one_line(tmp_path, checkpoint):
    rows = [{"text": text, "second": f"row {i}", "label": label, "labels": [label, "any"]}
            for i, (text, label) in enumerate(review_lines(40))]  # fmt: skip
    rows[8]["label"] = {"praise": "complaint", "complaint": "praise"}[rows[8]["label"]]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    model, cache = ModelOptions(model_name_or_path=checkpoint()), CacheOptions(cache_gb=0)

    def report(**columns):
        options = DataOptions(train_file=str(tmp_path / "train.jsonl"), **columns)
        splits, _ = read_for_checks(options, "classification")
        return check_data(splits, options=CheckOptions(label_errors=True), model_options=model, cache=cache)

    found = report(text_pair_column_name="second", label_column_name="label").suspects
    assert found
    assert found[0].place.line == 9
    several = report(label_column_name="labels")
    assert several.suspects is None
    assert [(f.what, "--label_column_name" in f.mend) for f in several.findings if f.kind == "label_errors"] == [
        ("Label errors were not checked: rows have several labels.", True)
    ]


def test_the_second_look_computes_no_features(tmp_path, checkpoint, monkeypatch):
    splits = texts(tmp_path, [(f"{text} {i}", label) for i, (text, label) in enumerate(review_lines(40))])
    options, cache = ModelOptions(model_name_or_path=checkpoint()), CacheOptions(cache_dir=str(tmp_path / "cache"))
    suspects(splits, parts(splits), options, cache)
    monkeypatch.setattr(activation_store.Store, "allocate", None)
    suspects(splits, parts(splits), options, cache)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_a_run_before_may_have_had_any_precision(tmp_path, checkpoint, precision):
    Accelerator(mixed_precision=precision)
    splits = texts(tmp_path, [(f"{text} {i}", label) for i, (text, label) in enumerate(review_lines(40))])
    suspects(splits, parts(splits), ModelOptions(model_name_or_path=checkpoint()), CacheOptions(cache_gb=0))


def test_words_with_changed_tags_are_doubted(tmp_path, checkpoint):
    names, places = ["Anna", "Boris", "Clara", "David"], ["Oslo", "Lima", "Kyiv", "Riga"]
    rows = [
        [(names[i % 4], "B-PER"), ("was", "O"), ("in", "O"), (places[i // 4 % 4], "B-LOC"), (str(i), "O")]
        for i in range(60)
    ]
    rows[20][3] = (rows[20][3][0], "B-PER")
    splits = sentences(tmp_path, rows)
    options, cache = ModelOptions(model_name_or_path=checkpoint()), CacheOptions(cache_dir=str(tmp_path / "cache"))
    first = suspects(splits, parts(splits), options, cache)[0]
    assert (first.place.line, first.word, first.given, first.suggested) == (21, 3, "PER", "LOC")
    assert suspect_in_words(first) == f"'{rows[20][3][0]}' is PER, seems LOC"


def test_labels_that_cannot_be_judged_are_said_to_be_so(tmp_path):
    scores = texts(tmp_path, [(f"text {i}", f"{i / 7:.3f}") for i in range(40)])
    report = check_data(scores, options=CheckOptions(label_errors=True))
    (finding,) = [finding for finding in report.findings if finding.kind == "label_errors"]
    assert "the labels are scores" in finding.what
    assert report.suspects is None
