"""Odd tags and odd entities are found; good ones are not."""

from __future__ import annotations

from made import lines, parts, sentences

from nlp_transfer.checks.odd_tags import tag_findings

GOOD = [[("Anna", "B-PER"), ("Berg", "I-PER"), ("is", "O"), ("in", "O"), ("Oslo", "B-LOC")]] * 3


def found_in(splits):
    return {finding.kind: finding for finding in tag_findings(parts(splits))}


def test_good_tags_are_good(tmp_path):
    assert found_in(sentences(tmp_path, GOOD, GOOD)) == {}


def test_an_entity_that_nothing_begins_is_told(tmp_path):
    bad = [("in", "O"), ("Oslo", "I-LOC")]
    finding = found_in(sentences(tmp_path, [*GOOD, bad]))["impossible_tags"]
    assert lines(finding) == [4]
    assert finding.examples[0].note == "'Oslo' is I-LOC after O"


def test_blanks_at_the_ends_of_entities_are_told(tmp_path):
    odd = [("in", "O"), ("Oslo\u00a0", "B-LOC")]
    unseen = [("Bo", "B-PER"), ("\u200b", "I-PER")]
    inside = [("New\u00a0York", "B-LOC")]
    outside = [(" ", "O"), ("Bo", "B-PER")]
    finding = found_in(sentences(tmp_path, [*GOOD, odd, unseen, inside, outside]))["blank_ends"]
    assert lines(finding) == [4, 5]
    assert finding.examples[0].note == r"LOC: 'Oslo\xa0'"


def test_a_name_of_two_types_is_told_once_one_is_sure(tmp_path):
    odd = [("oslo", "B-PER"), ("Rome", "B-LOC")]
    found = found_in(sentences(tmp_path, [*GOOD, odd, [("Rome", "B-PER")]]))
    assert "'oslo' (LOC 3, PER 1)" in found["several_types"].what
    assert "rome" not in found["several_types"].what
    assert lines(found["several_types"]) == [4]


def test_tags_of_two_schemes_are_an_error(tmp_path):
    mixed = [[("Anna", "E-PER")], [("Bo", "L-PER")]]
    assert found_in(sentences(tmp_path, mixed))["tag_scheme"].severity == "error"


def test_characters_in_tags_that_nobody_sees_are_told_with_their_code_points(tmp_path):
    odd = [("Omar", "B-PER\u200b"), ("is", "O")]
    finding = found_in(sentences(tmp_path, [*GOOD, odd]))["tag_characters"]
    assert lines(finding) == [4]
    assert "'B-PER\u200b' has U+200B ZERO WIDTH SPACE" in finding.what
