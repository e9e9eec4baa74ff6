"""Label names become words, and descriptions of a file stand for exactly the labels of the rows."""

from __future__ import annotations

import pytest

from nlp_transfer.errors import OptionError
from nlp_transfer.few_labels.label_texts import label_texts, words_of


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("card_arrival", "card arrival"), ("card-arrival", "card arrival"), ("cardArrival", "card Arrival"),
        ("HTTPError", "HTTP Error"), ("NUM:dist", "NUM dist"), ("not ironic", "not ironic"), ("+", "+"), (" a ", "a"),
        ("Müllabfuhr_verspätet", "Müllabfuhr verspätet"), ("__x__", "x"), ("top10Cities", "top10 Cities"),
    ],
)  # fmt: skip
def test_names_become_words(name, words):
    assert words_of(name) == words


def test_without_a_file_names_are_the_texts_in_the_order_of_the_labels():
    assert label_texts(["b_c", "a"]) == {"b_c": ("b c",), "a": ("a",)}


def test_a_file_holds_one_text_or_several(tmp_path):
    path = tmp_path / "labels.yaml"
    path.write_text("no: it is denied\nyes:\n- it is  granted\n- 1\n- it is granted\n")
    assert label_texts(["yes", "no"], path) == {"yes": ("it is granted", "1"), "no": ("it is denied",)}
    assert list(label_texts(["yes", "no"], path)) == ["yes", "no"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: x\nb: y\nc: z\n", "describes the label 'c', which no row has"),
        ("a: x\n", "does not describe the label 'b', which rows have"),
        ("a: x\nb: ' '\n", "the description of the label 'b' is empty"),
        ("a: x\nb:\n", "the description of the label 'b' is empty"),
        ("a: x\nb: []\n", "the description of the label 'b' is empty"),
        ("a: x\nb: X\n", "the labels 'a' and 'b' have the same description 'X'"),
        ("a: x\nb: {c: d}\n", "must be a text, or a list of texts"),
        ("a: x\nb: y\na: z\n", "'a' stands there twice"),
        ("a: !!int x\nb: y\n", "is not YAML"),
        ("", "holds no labels"),
        ("a: [", "is not YAML"),
        ("- a\n- b\n", "must hold lines such as"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path, text, said):
    path = tmp_path / "labels.yaml"
    path.write_text(text)
    with pytest.raises(OptionError, match=r"labels\.yaml") as error:
        label_texts(["a", "b"], path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(OptionError, match=r"cannot read .*labels\.yaml: No such file"):
        label_texts(["a"], tmp_path / "labels.yaml")
