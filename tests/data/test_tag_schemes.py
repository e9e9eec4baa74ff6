"""Tags and entities say the same thing in every scheme."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from nlp_transfer.data import tag_schemes
from nlp_transfer.errors import DataError, OptionError

PREFIXES = {"IOB1": "BI", "IOB2": "BI", "BIOES": "BIES", "BILOU": "BILU"}
TYPES = ["PER", "LOC", "LOC-GPE"]
unhurried = settings(deadline=None)  # a busy machine is no failure
every_scheme = pytest.mark.parametrize("scheme", tag_schemes.SCHEMES)


@st.composite
def tagged_sentences(draw):
    """The entities of a sentence, many of them touching, and its number of words."""
    entities, word = [], 0
    for kind, gap, length in draw(
        st.lists(st.tuples(st.sampled_from(TYPES), st.integers(0, 2), st.integers(1, 4)), max_size=6)
    ):
        entities.append((kind, word + gap, word + gap + length))
        word += gap + length
    return entities, word + draw(st.integers(0, 2))


def soups(scheme):
    names = ["O", *(f"{prefix}-{kind}" for prefix in PREFIXES[scheme] for kind in TYPES)]
    return st.lists(st.sampled_from(names), max_size=12)


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("IOB1", ["I-PER", "I-PER", "B-PER", "I-LOC", "O", "I-PER"]),
        ("IOB2", ["B-PER", "I-PER", "B-PER", "B-LOC", "O", "B-PER"]),
        ("BIOES", ["B-PER", "E-PER", "S-PER", "S-LOC", "O", "S-PER"]),
        ("BILOU", ["B-PER", "L-PER", "U-PER", "U-LOC", "O", "U-PER"]),
    ],
)
def test_the_same_entities_in_each_scheme(scheme, tags):
    entities = [("PER", 0, 2), ("PER", 2, 3), ("LOC", 3, 4), ("PER", 5, 6)]
    assert tag_schemes.spans(tags, scheme) == entities
    assert tag_schemes.tags(entities, 6, scheme) == tags


@every_scheme
@unhurried
@given(sentence=tagged_sentences())
def test_entities_survive_tags(scheme, sentence):
    entities, length = sentence
    tags = tag_schemes.tags(entities, length, scheme)
    assert tag_schemes.spans(tags, scheme) == entities
    assert tag_schemes.violations(tags, scheme) == []


@pytest.mark.parametrize("target", tag_schemes.SCHEMES)
@every_scheme
@unhurried
@given(sentence=tagged_sentences())
def test_there_and_back(scheme, target, sentence):
    tags = tag_schemes.tags(*sentence, scheme)
    assert tag_schemes.convert(tag_schemes.convert(tags, scheme, target), target, scheme) == tags


@every_scheme
@unhurried
@given(data=st.data())
def test_any_soup_of_tags_is_read_and_nothing_tagged_is_lost(scheme, data):
    soup = data.draw(soups(scheme))
    entities = tag_schemes.spans(soup, scheme)
    covered = [word for _, first, end in entities for word in range(first, end)]
    assert covered == [word for word, tag in enumerate(soup) if tag != "O"]
    assert all(soup[word].partition("-")[2] == kind for kind, first, end in entities for word in range(first, end))


@pytest.mark.parametrize(
    ("scheme", "tags", "entities"),
    [
        ("IOB2", "I-A I-A I-B", [("A", 0, 2), ("B", 2, 3)]),
        ("IOB1", "B-A B-A O", [("A", 0, 1), ("A", 1, 2)]),
        ("BIOES", "B-A O E-A E-A", [("A", 0, 1), ("A", 2, 3), ("A", 3, 4)]),
        ("BIOES", "B-A B-A E-A I-A", [("A", 0, 1), ("A", 1, 3), ("A", 3, 4)]),
        ("BILOU", "U-A L-A I-A L-B", [("A", 0, 1), ("A", 1, 2), ("A", 2, 3), ("B", 3, 4)]),
    ],
)
def test_broken_tags_are_read_as_conlleval_reads_them(scheme, tags, entities):
    assert tag_schemes.spans(tags.split(), scheme) == entities


@every_scheme
@unhurried
@given(data=st.data())
def test_reads_any_soup_as_seqeval_does(scheme, data):
    soup = data.draw(soups(scheme))
    # Its lenient reader knows no L- and U-.
    same = [{"L": "E", "U": "S"}.get(tag[0], tag[0]) + tag[1:] for tag in soup]
    assert tag_schemes.spans(soup, scheme) == [(kind, first, last + 1) for kind, first, last in get_entities(same)]


@pytest.mark.parametrize("types", [("A", "B"), ("A", "A-B")])
@every_scheme
def test_allowed_transitions_are_exactly_the_valid_sequences(scheme, types):
    names = tag_schemes.tag_names(types, scheme)
    start, end, move = tag_schemes.allowed(scheme, names)
    for length in range(1, 5):
        for ids in product(range(len(names)), repeat=length):
            possible = start[ids[0]] and end[ids[-1]] and all(move[a][b] for a, b in pairwise(ids))
            sequence = [names[i] for i in ids]
            assert possible == (tag_schemes.convert(sequence, scheme, scheme) == sequence), sequence


def test_names_of_labels_come_in_a_fixed_order():
    assert tag_schemes.tag_names(["B", "A"], "BIOES") == ["O", "B-B", "I-B", "E-B", "S-B", "B-A", "I-A", "E-A", "S-A"]
    assert tag_schemes.tag_names(["A"], "BILOU") == ["O", "B-A", "I-A", "L-A", "U-A"]
    assert tag_schemes.tag_names(["A"], "IOB1") == tag_schemes.tag_names(["A"], "IOB2") == ["O", "B-A", "I-A"]


@every_scheme
@unhurried
@given(sentences=st.lists(tagged_sentences(), max_size=5))
def test_recognises_valid_data(scheme, sentences):
    recognised = tag_schemes.recognise(tag_schemes.tags(*sentence, scheme) for sentence in sentences)
    assert recognised.violations == 0
    if any(entities for entities, _ in sentences):
        assert recognised.scheme == scheme
        assert recognised.reason.endswith(f": {scheme}")


@pytest.mark.parametrize(
    ("sentences", "scheme", "violations", "reason"),
    [
        (["O B-A I-A", "B-A B-A"], "IOB2", 0, "entities begin with B- (3) and never with I-: IOB2"),
        (["I-A O I-B"], "IOB1", 0, "entities begin with I- (2) and never with B-: IOB1"),
        (
            ["I-A B-A O I-A"],
            "IOB1",
            0,
            "entities begin with I- (2) and with B- (1) right after another of their type: IOB1",
        ),
        (
            ["B-A I-A", "O I-A", "B-B"],
            "IOB2",
            1,
            "entities begin with I- (1) and with B- (2): IOB2, but 1 tag does not fit",
        ),
        (
            ["I-A", "I-A", "O B-A I-A"],
            "IOB1",
            1,
            "entities begin with I- (2) and with B- (1): IOB1, but 1 tag does not fit",
        ),
        (
            ["I-A", "B-A"],
            "IOB2",
            1,
            "entities begin with I- (1) and with B- (1): IOB2, but 1 tag does not fit",
        ),
        (["B-A E-A S-A"], "BIOES", 0, "entities end with E- (1) or are one word with S- (1): BIOES"),
        (
            ["U-A", "I-A I-A O"],
            "BILOU",
            2,
            "entities end with L- (0) or are one word with U- (1): BILOU, but 2 tags do not fit",
        ),
        (["O O", ""], "IOB2", 0, "there is no entity: IOB2"),
        ([], "IOB2", 0, "there is no entity: IOB2"),
    ],
)
def test_recognises_a_scheme_and_says_why(sentences, scheme, violations, reason):
    recognised = tag_schemes.recognise(sentence.split() for sentence in sentences)
    assert recognised == tag_schemes.Recognised(scheme, violations, reason)


@pytest.mark.parametrize("tag", ["X-PER", "PER", "B-", "-PER", "BI-PER", "b-PER", "", "B"])
def test_an_unknown_tag_is_named_with_its_sentence(tag):
    with pytest.raises(DataError, match=r"in sentence 1 .*IOB1, IOB2, BIOES, BILOU") as caught:
        tag_schemes.recognise([["O", "B-PER"], ["O", tag]])
    assert repr(tag) in str(caught.value)


def test_two_families_of_prefixes_are_no_scheme():
    message = r"unknown tag scheme: 'S-A' in sentence 0 .* is BIOES and 'L-A' in sentence 2 "
    with pytest.raises(DataError, match=message):
        tag_schemes.recognise([["S-A"], ["O"], ["B-A", "L-A"]])


def test_a_prefix_of_another_scheme_is_refused():
    with pytest.raises(DataError, match=r"'E-A' is not a tag of IOB2, whose tags are O, B-<type>, I-<type>"):
        tag_schemes.spans(["B-A", "E-A"], "IOB2")


@pytest.mark.parametrize(
    ("entities", "message"),
    [
        ([("A", 0, 2), ("B", 1, 3)], "overlaps"),
        ([("A", 2, 5)], "not within a sentence of 4 words"),
        ([("A", -1, 1)], "not within"),
        ([("A", 2, 2)], "not within"),
    ],
)
def test_entities_that_no_tags_can_spell_are_refused(entities, message):
    with pytest.raises(ValueError, match=message):
        tag_schemes.tags(entities, 4, "IOB2")


def test_entities_may_come_in_any_order():
    assert tag_schemes.tags([("A", 1, 2), ("A", 0, 1)], 2, "IOB1") == ["I-A", "B-A"]


def test_schemes_by_name():
    assert [tag_schemes.scheme_named(name) for name in tag_schemes.SCHEMES] == list(tag_schemes.SCHEMES)
    assert tag_schemes.scheme_named("iobes") == tag_schemes.scheme_named("BIOES") == "BIOES"
    with pytest.raises(OptionError, match="'IO'; the known ones are IOB1, IOB2, BIOES, BILOU"):
        tag_schemes.scheme_named("IO")
