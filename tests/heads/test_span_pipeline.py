"""Which call of a pipeline is tried for entities: by the scheme of the tags and the tokens of words."""

from __future__ import annotations

import re

import pytest
from conftest import byte_level_tokenizer, word_tokenizer
from hypothesis import given
from hypothesis import strategies as st

import nlp_transfer as nt
from nlp_transfer.data.word_windows import words_of
from nlp_transfer.heads.span_pipeline import SpanPipeline


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2"])
@pytest.mark.parametrize(("tokenizer", "takes_words"), [(word_tokenizer, False), (byte_level_tokenizer, True)])
def test_words_are_given_where_tokens_do_not_say_which_word_they_are_of(scheme, tokenizer, takes_words):
    call = nt.NERHead(["PER"], scheme).span_pipeline(tokenizer())
    assert (call.strategy, call.takes_words) == ("first", takes_words)
    assert bool(call.because) == takes_words


@pytest.mark.parametrize(("scheme", "prefixes"), [("BIOES", "E- and S-"), ("BILOU", "L- and U-")])
def test_no_setting_knows_other_prefixes_than_b_and_i(scheme, prefixes):
    call = nt.NERHead(["PER"], scheme).span_pipeline(word_tokenizer())
    assert call.strategy is None
    assert prefixes in call.because


def test_heads_of_texts_ask_for_no_entities():
    assert nt.TextClassificationHead(["no", "yes"]).span_pipeline(word_tokenizer()) is None


def test_the_code_of_the_card_gives_the_pipeline_what_is_verified():
    call, text = SpanPipeline("first", takes_words=True), "Omar's in Graz!"
    given_to = []
    exec(
        "\n".join([*call.imports, call.call.replace("Some text.", text)]),
        {"pipe": lambda *a, **b: given_to.append((a, b))},
    )
    assert given_to == [((call.input(text),), {"is_split_into_words": True})]
    assert call.input(text) == ["Omar", "'", "s", "in", "Graz", "!"] == words_of(text)["words"]
    assert SpanPipeline("first").input(text) == text


@given(st.text("aé1 '!\n猫", max_size=12))
def test_characters_of_joined_words_are_found_in_the_text(text):
    call = SpanPipeline("first", takes_words=True)
    words = call.input(text)
    joined = " ".join(words)
    for first in range(len(words)):
        for end in range(first + 1, len(words) + 1):
            start = len(" ".join(words[:first])) + (first > 0)
            stop = len(" ".join(words[:end]))
            found = text[slice(*call.in_text(text, start, stop))]
            assert re.sub(r"\s", "", found) == joined[start:stop].replace(" ", "")
            assert not found[:1].isspace()
            assert not found[-1:].isspace()
