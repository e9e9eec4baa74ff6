"""Findings on errors, calibration and slices agree with the rows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from nlp_transfer.metrics import label_counts
from nlp_transfer.run.report import slices
from nlp_transfer.run.report.confidence import coverage
from nlp_transfer.run.report.entity_errors import _parts, matched
from nlp_transfer.run.report.label_errors import by_label
from nlp_transfer.run.report.label_set_errors import _unscaled
from nlp_transfer.run.report.run_findings import _thinned
from nlp_transfer.run.report.wording import differing_options, option_texts, size, without_folders


@pytest.mark.parametrize(
    ("true", "predicted", "kinds"),
    [
        ([("PER", 0, 2)], [("PER", 0, 2)], ["right"]),
        ([("PER", 0, 2)], [("LOC", 0, 2)], ["type"]),
        ([("PER", 0, 2)], [("PER", 1, 3)], ["boundary"]),
        ([("PER", 0, 2)], [("LOC", 1, 2)], ["boundary and type"]),
        ([("PER", 0, 2)], [("PER", 2, 3)], ["missed", "invented"]),
        ([("PER", 0, 2)], [("PER", 0, 1), ("PER", 1, 2)], ["boundary", "invented"]),
        ([("PER", 0, 1), ("PER", 1, 2)], [("PER", 0, 2)], ["boundary", "missed"]),
        ([("PER", 0, 4)], [("LOC", 0, 4), ("PER", 4, 5)], ["type", "invented"]),
        ([("A", 0, 2), ("B", 2, 3)], [("A", 0, 3), ("B", 2, 3)], ["boundary", "right"]),
        ([], [], []),
    ],
)
def test_each_entity_is_matched_once_with_the_nearest(true, predicted, kinds):
    matches = matched(true, predicted)
    assert [match.kind for match in matches] == kinds
    assert sorted(match.true for match in matches if match.true) == sorted(true)
    assert sorted(match.predicted for match in matches if match.predicted) == sorted(predicted)


def test_a_sentence_is_shown_word_for_word():
    words = [f"w{i}" for i in range(9)]
    matches = matched([("A", 1, 3), ("B", 3, 4), ("B", 7, 9)], [("A", 2, 3), ("B", 3, 4), ("C", 5, 6)])
    parts = list(_parts(words, matches))
    shown = [part["text"] if "text" in part else " ".join(p["text"] for p in part["pieces"]) for part in parts]
    assert " ".join(shown) == " ".join(words)
    marked = [(p["text"], p["true"], p["said"]) for part in parts for p in part.get("pieces", ())]
    assert marked == [
        ("w1", True, False), ("w2", True, True), ("w3", True, True), ("w5", False, True), ("w7 w8", True, False),
    ]  # fmt: skip
    long = list(_parts([f"w{i}" for i in range(200)], matched([("A", 150, 151)], [])))
    assert [part["text"].split()[-1] for part in long] == ["…"]


def test_accuracy_by_coverage_is_that_of_a_threshold():
    chance = np.random.default_rng(0)
    certainty, right = chance.uniform(size=500).round(2), chance.uniform(size=500) < 0.7
    curve = coverage(certainty, right)
    assert curve["table"][0] == {"share": 1.0, "accuracy": right.mean(), "least": certainty.min()}
    for row in curve["table"]:
        covered = certainty >= row["least"]  # a threshold covers all rows of equal certainty, or none
        assert (row["share"], row["accuracy"]) == (covered.mean(), pytest.approx(right[covered].mean()))
    assert curve["points"][-1] == [1.0, right.mean()]


def test_slices_hold_every_row_once_and_score_their_own():
    chance = np.random.default_rng(0)
    true, predicted = chance.choice(list("abcdef"), 200), chance.choice(list("abcdef"), 200)
    counts = label_counts(predicted, true, list("abcdef"))
    lengths = chance.integers(1, 40, 200)
    groupings = [
        slices.by_length(lengths),
        slices.by_label_frequency(list(true), Counter(a=1, b=5, c=5, d=9, e=9, f=9)),
    ]
    for grouping, scored in zip(groupings, slices.scores_by_slice(groupings, counts, "accuracy"), strict=True):
        assert sum(part["rows"] for part in scored["slices"]) == 200
        for place, part in enumerate(scored["slices"]):
            rows = grouping.group == place
            assert part["score"] == pytest.approx((true == predicted)[rows].mean())
            assert part["low"] <= part["score"] <= part["high"]
    assert [part["name"] for part in scored["slices"]] == ["1 to 5", "9"]
    assert slices.scores_by_slice([slices.by_length([3] * 200)], counts, "accuracy") == []  # one slice is all rows
    few = slices.scores_by_slice([slices.Grouping("", "ab", np.arange(200) < 5)], counts, "accuracy")[0]["slices"]
    assert [part["low"] is None for part in few] == [False, True]


def test_a_row_of_several_labels_stands_with_its_rarest_and_those_of_none_apart():
    grouping = slices.by_rarest_label([["a", "b"], [], ["b"], ["c", "b"]], {"a": 1, "b": 5, "c": 9})
    assert grouping.names == ["a: 1", "b: 5", "c: 9", "no label"]
    assert grouping.group.tolist() == [0, 3, 1, 1]
    many = {"a": 1, "b": 5, "c": 5, "d": 9, "e": 9}
    assert slices.by_rarest_label([["e", "a"], ["b", "d"], ["d"]], many).group.tolist() == [0, 0, 1]
    none = slices.by_rarest_label([[], []], many)
    assert {none.names[place] for place in none.group} == {"no label"}


def test_a_sentence_stands_with_its_rarest_type_and_one_without_entities_with_none():
    grouping = slices.by_rarest_type([["PER", "LOC"], [], ["LOC"], ["new"]], Counter(LOC=9, PER=2))
    assert (grouping.names, grouping.group.tolist()) == (["new: 0", "PER: 2", "LOC: 9"], [1, -1, 2, 0])


def test_rare_words_are_those_of_few_training_rows():
    known = slices.word_counts(["the cat the cat", "the cat", "the cat", "the dog", "The dog"])
    assert known == {"the": 5, "cat": 3, "dog": 2}
    rows = [slices.words_of(text) for text in ("The cat.", "a b c d the the the the the", "the dog", "")]
    assert slices.by_rare_words(rows, known).group.tolist() == [0, 3, 3, 0]


def test_scores_of_labels_are_those_of_the_counts():
    pairs = {("a", "a"): 3, ("a", "b"): 1, ("b", "b"): 2, ("c", "a"): 2}
    a, b, c, d = by_label("abcd", pairs, {"a": 7})
    assert (a["precision"], a["recall"], a["rows"], a["predicted"], a["train"]) == (3 / 5, 3 / 4, 4, 5, 7)
    assert b["f1"] == pytest.approx(2 * 2 / 5)
    assert (c["f1"], d["f1"], d["rows"]) == (0, 0, 0)


def test_a_scaling_of_labels_is_undone():
    before = np.random.default_rng(0).uniform(0.01, 0.99, (20, 3))
    scaling = np.array([[2.0, -1.0], [0.5, 0.3], [1.0, 0.0]])
    logits = np.log(before / (1 - before)) * scaling[:, 0] + scaling[:, 1]
    assert np.allclose(_unscaled(1 / (1 + np.exp(-logits)), scaling), before)


def test_long_curves_are_thinned_to_means():
    points = [[i, i / 100, 1.0 if i % 2 else 3.0] for i in range(2000)]
    thin = _thinned(points)
    assert len(thin) <= 300
    assert np.mean([p[2] for p in thin]) == pytest.approx(2.0, abs=0.01)
    assert _thinned(points[:5]) == points[:5]
    assert _thinned([]) == []


def test_sizes_and_options_as_text():
    assert [size(n) for n in (None, 12, 91_000_000, 1_100_000_000)] == ["not known", "12 bytes", "91 MB", "1.1 GB"]
    texts = option_texts({"train_file": "/home/me/x.csv", "seed": 0, "hidden": [], "levels": ["a", "b"], "on": False})
    assert texts == [("train_file", "x.csv"), ("seed", "0"), ("levels", "a b"), ("on", "false")]
    assert differing_options([{"seed": 0, "output_dir": "a"}, {"seed": 1, "output_dir": "b"}]) == ["seed"]


def test_paths_in_a_sentence_lose_their_folders_and_nothing_else_does():
    for text, expected in (
        ("there is no folder /home/anna/no-such; give one.", "there is no folder no-such; give one."),
        ("OSError: '/tmp/a/b.bin' and \"/c/d\".", "OSError: 'b.bin' and \"d\"."),
        ("C:\\Users\\anna\\x.csv is empty", "x.csv is empty"),
        ("see https://a.org/b/c, at 3/4/5 rows/s, ./here/x, ~/mine/x, and/or /", ""),
    ):
        assert without_folders(text) == (expected or text)
