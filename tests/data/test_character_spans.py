"""Spans of characters become words with tags and come back as they were; what cannot is told, span by span."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_transfer.data import tag_schemes
from nlp_transfer.data.character_spans import CharSpan, to_characters, to_entities, word_offsets
from nlp_transfer.data.tag_schemes import SCHEMES

unhurried = settings(deadline=None)
# Letters, blanks, marks, accents that combine, line ends, scripts without blanks, an emoji of several code points.
PIECES = st.sampled_from(
    ["Anna", "Jose\u0301", " ", "  ", "\r\n", "\u2028", ",", "猫", "が", "ไ", "ที่", "👩\u200d🚀", "😀", "7", "\ufeff"]
)
TEXTS = st.one_of(st.lists(PIECES, max_size=12).map("".join), st.text(max_size=30))
SPANS = st.lists(st.tuples(st.integers(-2, 25), st.integers(-2, 25), st.sampled_from(["PER", "LOC-GPE"])), max_size=5)


@st.composite
def marked(draw):
    """A text with spans on its words, none overlapping, in order."""
    text = draw(TEXTS)
    offsets = word_offsets(text)
    spans, word = [], 0
    while word < len(offsets) and draw(st.booleans()):
        first = draw(st.integers(word, len(offsets) - 1))
        word = draw(st.integers(first + 1, min(first + 4, len(offsets))))
        spans.append(CharSpan(offsets[first][0], offsets[word - 1][1], draw(st.sampled_from(["PER", "LOC"]))))
    return text, spans


@unhurried
@given(TEXTS)
def test_every_character_that_is_not_blank_is_in_one_word(text):
    offsets = word_offsets(text)
    assert "".join(text[start:end] for start, end in offsets) == "".join(text.split())
    assert all(before <= start < end for (_, before), (start, end) in zip([(0, 0), *offsets], offsets, strict=False))


@pytest.mark.parametrize("manner", ["strict", "snap", "drop"])
@unhurried
@given(sentence=marked(), schemes_=st.lists(st.sampled_from(SCHEMES), min_size=1, max_size=4))
def test_spans_survive_tags_of_any_schemes(manner, sentence, schemes_):
    text, spans = sentence
    offsets = word_offsets(text)
    entities, misaligned = to_entities(text, reversed(spans), offsets, manner)
    assert misaligned == []
    tags = tag_schemes.tags(entities, len(offsets), schemes_[0])
    for source, target in zip(schemes_, [*schemes_[1:], schemes_[0]], strict=True):
        tags = tag_schemes.convert(tags, source, target)
    assert to_characters(tag_schemes.spans(tags, schemes_[0]), offsets) == spans


@unhurried
@given(text=TEXTS, spans=SPANS, manner=st.sampled_from(["strict", "snap", "drop"]))
def test_every_span_is_an_entity_or_is_told(text, spans, manner):
    spans = [CharSpan(*span) for span in spans]
    offsets = word_offsets(text)
    entities, misaligned = to_entities(text, spans, offsets, manner)
    kept = to_characters(entities, offsets)
    told = [found.span for found in misaligned]
    assert len(set(told)) == len(told)
    snapped = {found.became for found in misaligned if found.became}
    assert set(kept) == (set(spans) - set(told)) | snapped
    assert manner == "snap" or not snapped
    assert tag_schemes.spans(tag_schemes.tags(entities, len(offsets), "IOB2"), "IOB2") == entities  # none overlap
    for found in misaligned:
        if found.became:  # no character but blanks is given up
            outside = text[found.span.start : found.became.start] + text[found.became.end : found.span.end]
            assert not outside.strip()


@pytest.mark.parametrize(
    ("span", "why", "became"),
    [
        ((3, 6), "cuts a word", (3, 9)),
        ((2, 9), "has blanks at its ends", (3, 9)),
        ((3, 10), "has blanks at its ends", (3, 9)),
        ((0, 4), "cuts a word", (0, 9)),
        ((2, 3), "holds no word", None),
        ((3, 3), "is empty", None),
        ((9, 3), "is not within the 14 characters", None),
        ((-1, 2), "is not within the 14 characters", None),
        ((10, 15), "is not within the 14 characters", None),
        ((3, 13), "cuts a word", (3, 14)),  # between a letter and its accent
    ],
)
def test_what_does_not_fall_on_words(span, why, became):
    text = "in Berlin Joe\u0301"
    assert len(text) == 14
    offsets = word_offsets(text)
    span = CharSpan(*span, "LOC")
    for manner in ("strict", "drop"):
        assert to_entities(text, [span], offsets, manner) == ([], [(span, why, None)])
    _, [(_, _, snapped)] = to_entities(text, [span], offsets, "snap")
    assert snapped == (CharSpan(*became, "LOC") if became else None)


def test_of_spans_that_overlap_the_longest_is_kept():
    text = "New York City Hall"
    offsets = word_offsets(text)
    city, hall, nested = CharSpan(0, 13, "LOC"), CharSpan(9, 18, "FAC"), CharSpan(4, 8, "LOC")
    entities, misaligned = to_entities(text, [nested, hall, city, city], offsets, "drop")
    assert entities == [("LOC", 0, 3)]
    assert [(found.span, found.why) for found in misaligned] == [
        (hall, "overlaps LOC [0, 13]"),
        (nested, "overlaps LOC [0, 13]"),
    ]


def test_scripts_without_blanks_are_words_of_one_sign():
    def words(text):
        return [text[start:end] for start, end in word_offsets(text)]

    assert words("我住在北京。") == ["我", "住", "在", "北", "京", "。"]
    assert words("東京タワー2号") == ["東", "京", "タ", "ワ", "ー", "2", "号"]
    assert words("ที่นี่") == ["ที่", "นี่"]
    assert words("Ünï-code 2go") == ["Ünï", "-", "code", "2go"]


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("王小明住在北京大学附近。", [("王小明", "PER"), ("北京大学", "ORG")]),
        ("安倍晋三は東京都で生まれた。", [("安倍晋三", "PER"), ("東京都", "LOC")]),
        ("トヨタ自動車の本社は、愛知県豊田市にあります。", [("トヨタ自動車", "ORG"), ("愛知県豊田市", "LOC")]),
        ("ソニーのCEO、ハワード・ストリンガー氏", [("ソニー", "ORG"), ("ハワード・ストリンガー", "PER")]),
        ("ポール・マッカートニーは日本武道館で演奏した。", [("ポール・マッカートニー", "PER"), ("日本武道館", "LOC")]),
        ("สมชายเดินทางจากกรุงเทพมหานครไปเชียงใหม่", [("สมชาย", "PER"), ("กรุงเทพมหานคร", "LOC"), ("เชียงใหม่", "LOC")]),
        ("บริษัท ปตท. จำกัด ตั้งอยู่ที่ถนนวิภาวดีรังสิต", [("บริษัท ปตท. จำกัด", "ORG"), ("ถนนวิภาวดีรังสิต", "LOC")]),
        ("นายกฯ เศรษฐา ทวีสินพบกับน้ำฝนที่ลำปาง", [("เศรษฐา ทวีสิน", "PER"), ("น้ำฝน", "PER"), ("ลำปาง", "LOC")]),
    ],
)  # fmt: skip
def test_entities_in_sentences_without_blanks_lose_no_sign(text, marked):
    for form in ("NFC", "NFD"):  # in NFD the marks of kana stand apart
        written = unicodedata.normalize(form, text)
        found = [(unicodedata.normalize(form, name), kind) for name, kind in marked]
        spans = [CharSpan(written.index(n), written.index(n) + len(n), kind) for n, kind in found]
        offsets = word_offsets(written)
        entities, misaligned = to_entities(written, spans, offsets, "strict")
        assert misaligned == []
        back = to_characters(tag_schemes.spans(tag_schemes.tags(entities, len(offsets), "IOB2"), "IOB2"), offsets)
        assert [(written[start:end], kind) for start, end, kind in back] == found
