"""What is cut and what is unknown is counted as the tokenizer has it."""

from __future__ import annotations

import pytest
from conftest import byte_level_tokenizer, word_tokenizer
from made import lines, parts, sentences, texts

from nlp_transfer.checks.tokenization import count_tokens, token_findings

LONG = " ".join(["good coffee"] * 10)


def found_in(splits, tokenizer, max_length=16):
    seen = parts(splits)
    tokens = {part.name: count_tokens(part, tokenizer) for part in seen}
    return tokens["train"], {f.kind: f for f in token_findings(seen, tokens, max_length, "the encoder")}


@pytest.mark.parametrize("tokenizer", [word_tokenizer(), byte_level_tokenizer()])
def test_lengths_are_those_of_the_tokenizer_uncut(tmp_path, tokenizer):
    rows = ["the coffee was good", LONG, "in the garden"]
    tokens, _ = found_in(texts(tmp_path, [(text, "a") for text in rows]), tokenizer)
    assert tokens.lengths.tolist() == [len(tokenizer(text)["input_ids"]) for text in rows]


def test_texts_that_are_cut_are_told_with_what_they_lose(tmp_path):
    _, found = found_in(texts(tmp_path, [("good coffee", "a"), (LONG, "b")]), word_tokenizer())
    assert lines(found["too_long"]) == [2]
    assert f"{6 / 26:.1%} of all tokens are cut" in found["too_long"].what
    _, found = found_in(texts(tmp_path, [("good coffee", "a"), (LONG, "b")]), word_tokenizer(), 22)
    assert "too_long" not in found


def test_of_sentences_with_tags_nothing_is_cut(tmp_path):
    tokens, found = found_in(sentences(tmp_path, [[(word, "O") for word in LONG.split()]]), word_tokenizer())
    assert tokens.lengths.tolist() == [22]
    assert (found["too_long"].severity, "no word is lost" in found["too_long"].what) == ("note", True)


def test_unknown_tokens_are_a_sign_of_another_language(tmp_path):
    tokens, found = found_in(texts(tmp_path, [("good coffee", "a"), ("кофе хорош", "b")]), word_tokenizer())
    assert tokens.unknown.tolist() == [0, 2]
    assert (found["unknown_tokens"].severity, lines(found["unknown_tokens"])) == ("warning", [2])
    _, found = found_in(texts(tmp_path, [("good coffee", "a"), ("the train was bad", "b")]), word_tokenizer())
    assert found == {}


def test_words_in_many_pieces_are_a_sign_too(tmp_path):
    _, found = found_in(texts(tmp_path, [("welkom allemaal", "a"), ("tot ziens", "b")]), word_tokenizer())
    assert "splits a word of train into 5" in found["pieces"].what
