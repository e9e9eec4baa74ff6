"""The column of the words is found beside numbers, ids and offsets, and a slip in these changes nothing."""

from __future__ import annotations

import pytest

import nlp_transfer as nt
from nlp_transfer.config import PredictionOptions
from nlp_transfer.data.prediction_rows import open_texts
from nlp_transfer.data.read_rows import read_tagged

SENTENCES = [[("Anna", "B-PER"), ("sat", "O"), ("here", "O")], [("In", "O"), ("Bonn", "B-LOC"), (".", "O")]] * 12


def written(path, prefix, gap=None):
    lines, total = [], 0
    for number, sentence in enumerate(SENTENCES):
        for place, (word, tag) in enumerate(sentence):
            total += 1
            if total != gap:
                lines.append("\t".join([*prefix(number, place, total), word, tag]))
        lines.append("")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


PREFIXES = {
    "numbers": lambda sentence, place, total: [str(place + 1)],
    "numbers that go on": lambda sentence, place, total: [str(total)],
    "sentence ids": lambda sentence, place, total: [str(sentence)],
    "offsets": lambda sentence, place, total: [f"{9 * place}-{9 * place + 4}"],
    "WebAnno": lambda sentence, place, total: [f"{sentence + 1}-{place + 1}", f"{9 * place}-{9 * place + 4}"],
    "OntoNotes": lambda sentence, place, total: ["bc/cctv/00/cctv_0001", "0", str(place)],
}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_what_stands_before_a_word_is_no_word(tmp_path, prefix):
    rows = read_tagged(written(tmp_path / "a.conll", PREFIXES[prefix]))
    assert list(rows.data["words"]) == [[word for word, _ in sentence] for sentence in SENTENCES]
    assert list(rows.data["tags"]) == [[tag for _, tag in sentence] for sentence in SENTENCES]


@pytest.mark.parametrize("gap", [2, 4, 30])
def test_a_lost_line_makes_no_numbers_words(tmp_path, gap):
    rows = read_tagged(written(tmp_path / "a.conll", PREFIXES["numbers"], gap))
    assert rows.data["words"][-1] == ["In", "Bonn", "."]


def test_words_that_are_numbers_stay_words(tmp_path):
    (path := tmp_path / "a.conll").write_text("".join(f"{i}\tB-NUM\nof\tO\n\n" for i in range(20)))
    assert read_tagged(path).data["words"][3] == ["3", "of"]


def test_hashtags_are_words_whatever_their_tags_are(tmp_path):
    (path := tmp_path / "a.conll").write_text("#x\tb-tag\nis\to\n\n# id\t1\n#y\tb-tag\nis\to\n\n")
    assert list(read_tagged(path).data["words"]) == [["#x", "is"], ["#y", "is"]]


def test_the_column_that_marks_something_is_that_of_the_tags(tmp_path):
    lines = ["Anna\tB-PER\tO", "sat\tO\tO", "", "Bo\tB-PER\tO", "ran\tO\tO", ""]
    (path := tmp_path / "a.conll").write_text("\n".join(lines))
    assert list(read_tagged(path).data["tags"]) == [["B-PER", "O"]] * 2


def texts_of(path):
    options = PredictionOptions("m", input_file=str(path), output_file="o.jsonl")
    return [text.text for text in open_texts(options, tagged=True)]


def test_words_to_predict_under_a_header_numbered_or_in_a_txt(tmp_path):
    (a := tmp_path / "a.tsv").write_text("sentence_id\tword\n0\tAnna\n0\tsat\n1\tBo\n1\tran\n")
    (b := tmp_path / "b.conll").write_text("1\tAnna\n2\tsat\n\n1\tBo\n2\tran\n")
    (c := tmp_path / "c.txt").write_text("Anna\tB-PER\nsat\tO\n\nBo\tB-PER\nran\tO\n")
    (d := tmp_path / "d.tsv").write_text("word\tpos\nAnna\tNN\nsat\tVB\n\nBo\tNN\nran\tVB\n")
    for path in (a, b, c, d):
        assert texts_of(path) == [["Anna", "sat"], ["Bo", "ran"]], path
    (plain := tmp_path / "e.txt").write_text("Anna sat O\nBo ran here\n")
    assert texts_of(plain) == ["Anna sat O", "Bo ran here"]


def test_one_long_sentence_is_told_where_rows_are_too_few(tmp_path):
    (path := tmp_path / "a.tsv").write_text("Anna\tB-PER\nsat\tO\n" * 300)
    with pytest.raises(nt.DataError, match=r"has 1 row, too few to hold some out.*one sentence\?"):
        nt.load_splits(nt.DataOptions(train_file=str(path)), "ner")
