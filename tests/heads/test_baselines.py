import random

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_transfer.heads.baselines import (
    classification_baselines,
    gazetteer_baseline,
    multi_label_baselines,
    regression_baselines,
)
from nlp_transfer.metrics import SCHEMES, span_scores


def test_majority_takes_the_first_seen_of_two_equals():
    predictions = classification_baselines(["x", "y", "z", "w"], ["b", "a", "a", "b"], ["q", "r"])
    assert predictions["majority"] == ["b", "b"]


def test_svm_learns_what_words_tell():
    texts = [f"{word} film number {i}" for i in range(10) for word in ("great", "awful")]
    labels = ["good", "bad"] * 10
    predictions = classification_baselines(texts, labels, ["a great story", "an awful story"])
    assert predictions["tfidf_svm"] == ["good", "bad"]


@pytest.mark.parametrize(("first", "second"), [("😀", "😡"), ("I", "U"), ("!", "?"), ("好", "坏"), (":)", ":(")])
def test_svm_sees_marks_of_one_character(first, second):
    predictions = classification_baselines([f"well {first}", f"well {second}"] * 4, ["a", "b"] * 4, [second, first])
    assert predictions["tfidf_svm"] == ["b", "a"]


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        (["", " ", "\n"], ["a", "b", "b"]),  # no words at all
        (["one text", "another", "third"], ["b", "b", "b"]),  # one label
    ],
)
def test_svm_falls_back_to_the_majority(texts, labels):
    assert classification_baselines(texts, labels, ["one", ""])["tfidf_svm"] == ["b", "b"]


def test_texts_of_punctuation_and_no_test_rows_are_fine():
    texts, labels = ["...", "!!!", "?!"], ["a", "b", "b"]
    assert set(classification_baselines(texts, labels, ["...", "unseen", ""])["tfidf_svm"]) <= {"a", "b"}
    assert classification_baselines(texts, labels, []) == {"majority": [], "tfidf_svm": []}


def test_same_seed_same_labels():
    words = random.Random(0)
    texts = [" ".join(words.choices("abcdefghij", k=6)) for _ in range(60)]
    labels = [words.choice(["x", "y", "z"]) for _ in texts]
    first = classification_baselines(texts, labels, texts[::-1], seed=3)
    assert classification_baselines(texts, labels, texts[::-1], seed=3) == first


def test_columns_of_a_dataset_will_do():
    rows = Dataset.from_dict({"text": ["good", "bad"] * 3, "label": ["yes", "no"] * 3})
    predictions = classification_baselines(rows["text"], rows["label"], rows["text"])
    assert predictions["tfidf_svm"] == ["yes", "no"] * 3


def test_texts_and_labels_must_match():
    with pytest.raises(ValueError, match="2 texts to train on but 1 labels"):
        classification_baselines(["a", "b"], ["x"], ["a"])
    with pytest.raises(ValueError, match="no rows"):
        classification_baselines([], [], ["a"])


def gazetteer(train, test, scheme="IOB2"):
    """`train` is written as word/tag, `test` as words."""
    pairs = [[token.rsplit("/", 1) for token in sentence.split()] for sentence in train]
    words, tags = [[w for w, _ in row] for row in pairs], [[t for _, t in row] for row in pairs]
    return [" ".join(row) for row in gazetteer_baseline(words, tags, [sentence.split() for sentence in test], scheme)]


def test_gazetteer_takes_the_longest():
    train = ["New/B-LOC York/I-LOC", "New/B-ORG York/I-ORG Times/I-ORG"]
    test = ["the New York Times of New York", "New York New", "York"]
    assert gazetteer(train, test) == ["O B-ORG I-ORG I-ORG O B-LOC I-LOC", "B-LOC I-LOC O", "O"]


def test_gazetteer_takes_the_most_frequent_type_and_the_first_of_equals():
    train = ["Paris/B-PER Paris/B-LOC Paris/B-LOC", "Jordan/B-PER Jordan/B-LOC"]
    assert gazetteer(train, ["Paris Jordan paris"]) == ["B-LOC B-PER O"]


def test_gazetteer_leaves_words_alone_that_are_mostly_none():
    train = ["May/B-PER came/O", "in/O May/O", "in/O May/O", "Will/B-PER saw/O", "Will/O he/O"]
    assert gazetteer(train, ["May Will"]) == ["O B-PER"]  # a third of the places, and just half


def test_gazetteer_counts_a_part_of_a_longer_entity_neither_way():
    train = ["Oslo/B-LOC", "Oslo/B-ORG Bank/I-ORG", "Oslo/B-ORG Post/I-ORG"]
    assert gazetteer(train, ["Oslo"]) == ["B-LOC"]


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("IOB1", "I-X B-X I-X I-X I-Y O"),
        ("IOB2", "B-X B-X I-X I-X B-Y O"),
        ("BIOES", "S-X B-X I-X E-X S-Y O"),
        ("BILOU", "U-X B-X I-X L-X U-Y O"),
    ],
)
def test_gazetteer_writes_every_scheme(scheme, tags):
    train = ["a/B-X", "b/B-X c/I-X d/I-X", "e/B-Y", "f/O"]
    assert gazetteer(train, ["a b c d e f"], scheme) == [tags]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_gazetteer_reads_what_seqeval_reads(data):
    """Sentences of words that occur once are tagged as they were, but for I- tags that opened no span."""
    tag = st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"])
    tags = data.draw(st.lists(st.lists(tag, max_size=6), min_size=1, max_size=4))
    words = [[f"{row}.{i}" for i in range(len(sentence))] for row, sentence in enumerate(tags)]
    for scheme in SCHEMES:
        assert [len(row) for row in gazetteer_baseline(words, tags, words, scheme)] == [len(row) for row in tags]
    scores = span_scores(gazetteer_baseline(words, tags, words), tags, "IOB2")
    assert scores["f1_lenient"] == float(any(tag != "O" for row in tags for tag in row))


def test_gazetteer_says_what_does_not_fit():
    with pytest.raises(ValueError, match="sentence 1 of train has 2 words but 1 tags"):
        gazetteer_baseline([["a"], ["b", "c"]], [["O"], ["O"]], [])
    with pytest.raises(ValueError, match="2 sentences to train on but 1 rows of tags"):
        gazetteer_baseline([["a"], ["b"]], [["O"]], [])
    with pytest.raises(ValueError, match="unknown tag scheme 'BIO'; known are IOB1, IOB2, BIOES, BILOU"):
        gazetteer_baseline([["a"]], [["O"]], [["a"]], scheme="BIO")


def test_several_labels_have_the_commonest_set_and_an_svm_each():
    texts = [f"{a} and {b}" for a in ("great", "awful") for b in ("train", "film", "bus")] * 4
    labels = [["praise"] * ("great" in text) + ["travel"] * ("film" not in text) for text in texts]
    others = ["great bus", "awful film", "great film"]
    predictions = multi_label_baselines(texts, labels, others, ["praise", "travel", "never"])
    assert predictions["tfidf_svm"][0] == [["praise", "travel"], [], ["praise"]]
    assert predictions["tfidf_svm"][1].shape == (3, 3)
    assert predictions["majority"][0] == [["praise", "travel"]] * 3  # the first of two as frequent
    assert np.array_equal(predictions["majority"][1][0], [12, 16, 0])


def test_numbers_have_their_mean_and_ridge():
    texts = [f"{word} number {i}" for i in range(12) for word in ("great", "awful")]
    predictions = regression_baselines(texts, [5.0, 1.0] * 12, ["a great one", "an awful one"])
    assert predictions["mean"] == [3.0, 3.0]
    assert predictions["tfidf_ridge"][0] > 4 > 2 > predictions["tfidf_ridge"][1]
    assert regression_baselines(["", " "], [1.0, 2.0], ["x"])["tfidf_ridge"] == [1.5]
    with pytest.raises(ValueError, match="2 texts to train on but 1 labels"):
        regression_baselines(["a", "b"], [1.0], ["x"])
