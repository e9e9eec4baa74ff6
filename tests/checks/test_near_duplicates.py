"""Nearly the same texts are found, and the resemblance reported is the true one."""

from __future__ import annotations

import itertools
import random

from made import lines, parts, texts

from nlp_transfer.checks.near_duplicates import near_findings, near_pairs

WORDS = [a + b for a in "bcdfghjklm" for b in ("alo", "eri", "ona", "umi", "ith", "ost", "and", "erk", "ull", "ray")]


def sentence(chance: random.Random, length: int) -> list[str]:
    return chance.sample(WORDS, length)


def test_a_word_changed_among_ten_is_found():
    chance = random.Random(0)
    whole = [sentence(chance, chance.randint(10, 25)) for _ in range(400)]
    changed = [list(words) for words in whole]
    for words in changed:
        words[chance.randrange(len(words))] = "changed"
    found = {pair.later: pair for pair in near_pairs([" ".join(words) for words in whole + changed])}
    recall = sum(found[400 + i].earlier == i for i in range(400) if 400 + i in found) / 400
    assert recall >= 0.98
    assert min(found) >= 400  # sentences of chance are not nearly the same


def test_the_resemblance_reported_is_true():
    chance = random.Random(1)
    rows = [sentence(chance, 12) for _ in range(60)]
    rows += [words[:cut] + sentence(chance, 12 - cut) for words in rows for cut in (4, 8, 10, 11)]
    made = [" ".join(words) for words in rows]

    def shingles(words: list[str]) -> set[tuple[str, ...]]:
        return {(word,) for word in words} | set(itertools.pairwise(words))

    pairs = list(near_pairs(made, 0.7))
    assert pairs
    for later, earlier, resemblance in pairs:
        one, other = shingles(rows[later]), shingles(rows[earlier])
        assert abs(resemblance - len(one & other) / len(one | other)) < 1e-9
        assert resemblance >= 0.7
        assert earlier < later


def test_many_that_are_nearly_the_same_are_all_found():
    made = [
        f"dear customer your parcel number {i} will come to your door on the day after tomorrow" for i in range(300)
    ]
    assert {pair.later for pair in near_pairs(made)} == set(range(1, 300))


def test_chinese_is_compared_by_its_signs():
    made = ["今天天气很好我们一起去公园散步吧", "今天天气很好我们一起去公园跑步吧", "他昨天买了三本关于历史的新书"]
    assert [(pair.later, pair.earlier) for pair in near_pairs(made)] == [(1, 0)]


def test_texts_without_words_are_left_alone():
    assert list(near_pairs(["!!!", "😀😀", "", "!!!"])) == []
    assert list(near_pairs([])) == []


def test_near_leaks_and_near_duplicates_are_distinguished_and_copies_left_out(tmp_path):
    first = "the coffee in that small hotel was the best of the whole week"
    train = [(first, "a"), (first.replace("small", "tiny"), "a"), ("nothing like it", "b")]
    test = [(first.replace("whole", "long"), "a"), (first, "a"), ("quite another text", "b")]
    found = {finding.kind: finding for finding in near_findings(parts(texts(tmp_path, train, None, test)), 0.7)}
    assert set(found) == {"near_duplicate", "near_leak"}
    assert (found["near_duplicate"].severity, lines(found["near_duplicate"])) == ("note", [2])
    assert (found["near_leak"].repeats, lines(found["near_leak"])) == ("train", [1])
