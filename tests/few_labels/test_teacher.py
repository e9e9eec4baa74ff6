"""A teacher is a zero-shot pipeline of transformers, and is trusted as far as it agrees with label texts."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from conftest import tiny_config, word_tokenizer
from made_views import accuracy, made_view
from transformers import AutoModelForSequenceClassification, pipeline

from nlp_transfer.errors import OptionError
from nlp_transfer.few_labels.teacher import open_teacher, teacher_probabilities, trust_in
from nlp_transfer.few_labels.text_view import TextView
from nlp_transfer.few_labels.zero_shot import learned_probabilities


@pytest.fixture(scope="module")
def nli(tmp_path_factory):
    """A tiny random network with the labels of NLI."""
    return saved_network(tmp_path_factory.mktemp("nli"), ["contradiction", "neutral", "entailment"])


def saved_network(folder, labels):
    tokenizer = word_tokenizer()
    config = tiny_config("bert", len(tokenizer))
    config.id2label, config.label2id = dict(enumerate(labels)), {name: i for i, name in enumerate(labels)}
    config.initializer_range = 0.3
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_its_probabilities_are_those_of_the_pipeline(nli):
    texts, labels = ["the coffee was good", "the train was bad"], ["very_good", "bad", "sad"]
    found = teacher_probabilities(open_teacher(nli), texts, labels, "This is {}.")
    answers = pipeline("zero-shot-classification", model=nli)(
        texts, candidate_labels=["very good", "bad", "sad"], hypothesis_template="This is {}."
    )
    for row, answer in zip(found, answers, strict=True):
        said = dict(zip(answer["labels"], answer["scores"], strict=True))
        assert np.allclose(row, [said["very good"], said["bad"], said["sad"]], atol=1e-5)
    assert np.ptp(found) > 0.01


def test_names_with_the_same_words_are_asked_as_they_are(nli):
    found = teacher_probabilities(open_teacher(nli), ["the train"], ["a_b", "a-b"], "This is {}.")
    assert found.shape == (1, 2)
    assert found.sum() == pytest.approx(1)


def test_what_is_no_nli_model_is_refused_in_one_line(tmp_path):
    path = saved_network(tmp_path / "other", ["good", "bad"])
    with pytest.raises(OptionError, match=r"is no NLI model: none of its labels \(good, bad\) is 'entailment'"):
        open_teacher(path)
    with pytest.raises(OptionError, match="does not open as an NLI model") as caught:
        open_teacher(str(tmp_path / "nothing"))
    assert "\n" not in str(caught.value)


def test_trust_is_the_accuracy_that_nobody_sees():
    view, labels = made_view(1000, noise=2.0, misled=1.5)
    rng = np.random.default_rng(0)
    for share in (0.9, 0.6):
        teacher = np.where(rng.random(len(labels)) < share, labels, rng.integers(3, size=len(labels)))
        assert trust_in(teacher, view).teacher == pytest.approx(share, abs=0.15)


def test_a_good_teacher_helps_and_a_random_one_is_left_out(caplog):
    view, labels = made_view(800, noise=4.0, misled=4.0)
    rng = np.random.default_rng(0)
    places = np.sort(rng.choice(len(labels), 400, replace=False))
    good = np.full((400, 3), 0.05)
    good[np.arange(400), labels[places]] = 0.9
    alone, _ = learned_probabilities(view)
    taught, _ = learned_probabilities(view, (places, good))
    assert accuracy(taught, labels) > accuracy(alone, labels) + 0.05
    with caplog.at_level(logging.WARNING, "nlp_transfer"):
        still, _ = learned_probabilities(view, (places, rng.dirichlet(np.ones(3), size=400)))
    assert "The teacher is left out" in caplog.text
    assert np.allclose(still, alone)


def test_views_that_agree_in_nothing_vouch_for_no_teacher():
    """Else any chance agreement, divided by next to nothing, would be a teacher who is always right."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        vectors = rng.normal(size=(300, 16)).astype(np.float32)
        texts = [" ".join(f"w{word}" for word in rng.integers(200, size=6)) for _ in range(300)]
        view = TextView.of_texts(texts, vectors, rng.normal(size=(2, 16)).astype(np.float32), np.arange(2))
        assert trust_in(rng.integers(2, size=300), view, seed).teacher <= 0.5
