"""Labels come from a file of descriptions or from names, two or more that differ."""

from __future__ import annotations

import pytest

from nlp_transfer.config import ZeroShotOptions
from nlp_transfer.errors import OptionError
from nlp_transfer.few_labels.described_labels import described_labels


def test_names_are_the_descriptions_without_a_file():
    options = ZeroShotOptions(label_names=["card_lost,other"], text_file="raw.csv")
    assert described_labels(options) == {"card_lost": ("card lost",), "other": ("other",)}


def test_a_file_keeps_its_order(tmp_path):
    (tmp_path / "labels.yaml").write_text("b: the second\na: [the first, another]\n")
    options = ZeroShotOptions(labels_file=str(tmp_path / "labels.yaml"), text_file="raw.csv")
    assert list(described_labels(options).items()) == [("b", ("the second",)), ("a", ("the first", "another"))]


def test_one_label_is_nothing_to_choose_from(tmp_path):
    (tmp_path / "labels.yaml").write_text("a: text\n")
    for options in (
        ZeroShotOptions(labels_file=str(tmp_path / "labels.yaml"), text_file="raw.csv"),
        ZeroShotOptions(label_names=["a"], text_file="raw.csv"),
    ):
        with pytest.raises(OptionError, match="names one label, 'a'; name two or more"):
            described_labels(options)


def test_names_with_the_same_words_cannot_be_told_apart():
    options = ZeroShotOptions(label_names=["card_lost", "card-lost"], text_file="raw.csv")
    with pytest.raises(OptionError, match="'card_lost' and 'card-lost' are both 'card lost' in words"):
        described_labels(options)
