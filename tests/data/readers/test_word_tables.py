"""Tables with a word in each row are read as sentences, and no row of them is lost."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tagged_files import fault, sentences

import nlp_transfer as nt
from nlp_transfer.config import PredictionOptions
from nlp_transfer.data.prediction_rows import open_texts
from nlp_transfer.data.read_rows import read_tagged
from nlp_transfer.data.source_rows import read_source

SENTENCES = [
    (["Anna", "moved", "to", "Bonn"], ["B-PER", "O", "O", "B-LOC"]),
    (["Yes"], ["O"]),
    (["Li", "Wei", "sang"], ["B-PER", "I-PER", "O"]),
]
ROWS = [
    (number, place, word, tag)
    for number, (words, tags) in enumerate(SENTENCES)
    for place, (word, tag) in enumerate(zip(words, tags, strict=True))
]
FORMS = {
    "Kaggle": (
        ["Sentence #", "Word", "POS", "Tag"],
        lambda n, p, w, t: ["" if p else f"Sentence: {n + 1}", w, "NN", t],
    ),
    "filled down": (["Sentence #", "Word", "POS", "Tag"], lambda n, p, w, t: [f"Sentence: {n + 1}", w, "NN", t]),
    "simpletransformers": (["sentence_id", "words", "labels"], lambda n, p, w, t: [n, w, t]),
    "id of the sentence": (["id", "token", "tag"], lambda n, p, w, t: [n + 7, w, t]),
    "number of the word": (["token_id", "token", "ner_tag"], lambda n, p, w, t: [p + 1, w, t]),
    "document and sentence": (["doc_id", "sent_id", "token", "ner"], lambda n, p, w, t: [n // 2, n % 2, w, t]),
    "row and sentence": (["", "sentence_idx", "word", "tag"], lambda n, p, w, t: [ROWS.index((n, p, w, t)), n, w, t]),
    "a name of its own": (["Satz", "word", "tag"], lambda n, p, w, t: [n, w, t]),
}


def write(tmp_path, text, name="a.csv"):
    (tmp_path / name).write_text(text, "utf-8", newline="")
    return tmp_path / name


def frame(form):
    names, row = FORMS[form]
    return pd.DataFrame([row(*one) for one in ROWS], columns=names)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "json", "parquet"])
def test_every_form_in_every_file_is_read_as_its_sentences(tmp_path, form, suffix):
    data, path = frame(form), tmp_path / f"a.{suffix}"
    if suffix in ("csv", "tsv"):
        data.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    elif suffix == "parquet":
        data.to_parquet(path)
    else:
        data.to_json(path, orient="records", lines=suffix == "jsonl")
    rows = read_tagged(path)
    assert sentences(rows) == SENTENCES
    (note,) = [note for note in rows.notes if "a word in each row" in note]
    assert note.startswith(f"{path}: a word in each row, in column '")
    assert read_source(str(path))[1] == "tags"
    texts = open_texts(PredictionOptions("m", input_file=str(path), output_file="o"), tagged=True)
    assert [text.text for text in texts] == [words for words, _ in SENTENCES]


def test_a_data_frame_with_gaps(tmp_path):
    data = frame("Kaggle").replace("", None)
    assert sentences(read_tagged(data)) == SENTENCES
    data["Sentence #"] = pd.to_numeric(data["Sentence #"].str.removeprefix("Sentence: "))  # floats, and NaN
    assert sentences(read_tagged(data)) == SENTENCES


@pytest.mark.parametrize("between", ["\n", ",\n", '"",""\n', "\n\n ,\n"])
def test_blank_lines_and_blank_rows_part_sentences(tmp_path, between):
    parts = ["".join(f"{w},{t}\n" for w, t in zip(*sentence, strict=True)) for sentence in SENTENCES]
    path = write(tmp_path, "word,tag\n" + between.join(parts))
    rows = read_tagged(path)
    assert sentences(rows) == SENTENCES
    assert "a sentence begins after a blank line." in rows.notes[0]


def test_columns_of_any_name_can_be_given(tmp_path):
    path = write(tmp_path, "satz;wort;etikett;x\n1;Anna;B-PER;a\n1;sang;O;b\n2;Bonn;B-LOC;c\n")
    expected = [(["Anna", "sang"], ["B-PER", "O"]), (["Bonn"], ["B-LOC"])]
    assert sentences(read_tagged(path, "wort", "etikett")) == expected
    for named in ("1,2", "wort,etikett"):
        assert sentences(read_tagged(path, conll_columns=named)) == expected
    assert "has 4 columns, so none is 7" in fault(path, conll_columns="7,1")
    options = PredictionOptions("m", input_file=str(path), output_file="o", conll_columns="wort")
    assert [text.text for text in open_texts(options, tagged=True)] == [words for words, _ in expected]


def test_conll_columns_in_a_csv(tmp_path):
    path = write(tmp_path, "Anna,B-PER\nsang,O\n\nBonn,B-LOC\n")
    expected = [(["Anna", "sang"], ["B-PER", "O"]), (["Bonn"], ["B-LOC"])]
    assert sentences(read_tagged(path)) == expected
    texts = open_texts(PredictionOptions("m", input_file=str(path), output_file="o"), tagged=True)
    assert [text.text for text in texts] == [words for words, _ in expected]


def test_labels_of_single_words_are_no_tags(tmp_path):
    path = write(tmp_path, "word,label\n" + "good,yes\nbad,no\n" * 10)
    assert nt.task_of(nt.DataOptions(train_file=str(path))) == "classification"


def test_a_column_of_words_beside_texts_is_none_of_a_table_of_words(tmp_path):
    path = write(tmp_path, "text,words,word\nAnna sang,2,x\nYes,1,y\n")
    texts = open_texts(
        PredictionOptions("m", input_file=str(path), output_file="o", text_column_name="text"), tagged=True
    )
    assert [text.text for text in texts] == ["Anna sang", "Yes"]
    path = write(tmp_path, "sentence,word\nAnna sang,x\nYes,y\n")
    texts = open_texts(PredictionOptions("m", input_file=str(path), output_file="o"), tagged=True)
    assert [text.text for text in texts] == ["Anna sang", "Yes"]


# Rows that cannot be used


@pytest.mark.parametrize(
    ("ids", "kept", "lines"),
    [
        # The broken row may be of the sentence before or after it; of the former, where the next row begins one.
        (["S1", "", "S2", "", "S3"], ["S2", "S3"], (2,)),
        (["1", "1", "2", "2", "3"], ["3"], (2, 5)),
    ],
)
def test_a_broken_row_spoils_all_sentences_that_may_have_lost_it(tmp_path, ids, kept, lines):
    rows = [f"{id_},w{place},O" for place, id_ in enumerate(ids)]
    rows.insert(2, "?,lost")
    path = write(tmp_path, "sentence_id,word,tag\n" + "\n".join(rows))
    assert "with 2 fields where the header has 3 (line" in fault(path)
    read = read_tagged(path, skip_bad_rows=True)
    assert (len(read.data), read.skipped) == (len(kept), lines)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("2,Bonn,", "1 row with a word that has no tag (line 5)"),
        ("2,,O", "1 row with a tag that has no word (line 5)"),
        (",Bonn,O", "1 row with a word that has nothing in column 'sentence_id' (line 5)"),
        ('2,"Bonn\n2,is",O', "1 row with a word of several lines, of which quotes may have made one (line 5)"),
    ],
)
def test_a_planted_wrong_row_is_told(tmp_path, row, says):
    path = write(tmp_path, f"sentence_id,word,tag\n1,Anna,B-PER\n1,sang,O\n2,In,O\n{row}\n2,.,O\n3,Li,B-PER\n")
    assert says in fault(path)
    rows = read_tagged(path, skip_bad_rows=True)
    assert list(rows.data["words"]) == [["Anna", "sang"], ["Li"]]
    assert rows.skipped == (4,)


def test_sentences_whose_rows_stand_apart_are_told(tmp_path):
    path = write(tmp_path, "sentence_id,word,tag\n1,Anna,B-PER\n1,sang,O\n2,In,O\n2,Bonn,B-LOC\n1,again,O\n")
    told = f"{path}: 1 sentence has a value in 'sentence_id' that an earlier one has (line 6); each run of rows is read"
    assert told in read_tagged(path).notes[-1]


def test_a_file_that_tells_no_sentences_apart_is_told(tmp_path):
    path = write(tmp_path, "id,word,tag\n" + "".join(f"{n},w{n},{'B-PER' if n == 3 else 'O'}\n" for n in range(4000)))
    rows = read_tagged(path)
    assert len(rows.data) == 1
    assert "no blank line in 4,000 rows, and no column that tells sentences apart: one sentence?" in rows.notes[-1]


WORD = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=5).filter(
    lambda word: word.strip("\ufeff") and not word.startswith(("\ufeff", "#"))
)
SENTENCE = st.lists(st.tuples(WORD, st.sampled_from(["O", "B-PER", "I-PER"])), min_size=2, max_size=5)


@settings(max_examples=40, deadline=None)
@given(st.lists(SENTENCE, min_size=2, max_size=6), st.sampled_from(["filled", "value", "counts"]))
def test_round_trip(tmp_path_factory, written, kind):
    path = tmp_path_factory.getbasetemp() / "words.jsonl"
    rows = []
    for number, sentence in enumerate(written):
        for place, (word, tag) in enumerate(sentence):
            id_ = {"filled": None if place else f"S{number}", "value": number, "counts": place}[kind]
            rows.append({"token_id" if kind == "counts" else "sentence_id": id_, "token": word, "tag": tag})
    path.write_text("\n".join(map(json.dumps, rows)))
    assert [list(zip(*pair, strict=True)) for pair in sentences(read_tagged(path))] == written


@pytest.mark.parametrize("gap", ["NA", "NaN", "NULL", "-"])
def test_a_gap_that_is_written_out_is_a_gap(tmp_path, gap):
    rows = [(f"Sentence: {i}" if not j else gap, word, tag) for i in range(9) for j, (word, tag) in enumerate(
        [("Anna", "B-PER"), ("Berg", "I-PER"), ("sat", "O")])]  # fmt: skip
    (path := tmp_path / "a.csv").write_text("Sentence #,Word,Tag\n" + "".join(",".join(row) + "\n" for row in rows))
    assert list(read_tagged(path).data["words"]) == [["Anna", "Berg", "sat"]] * 9


def test_rows_that_were_shuffled_are_refused(tmp_path):
    lines = [f"{i % 9},word,O\n" for i in range(90)]
    (path := tmp_path / "a.csv").write_text("sentence_id,word,tag\n" + "".join(lines))
    with pytest.raises(nt.DataError, match="rows of a sentence do not stand together"):
        read_tagged(path)


def test_the_column_of_entities_goes_before_that_of_chunks(tmp_path):
    lines = [f"{i},Anna,B-NP,B-PER\n{i},sat,B-VP,O\n" for i in range(9)]
    (path := tmp_path / "a.csv").write_text("sentence_id,word,tag,ner\n" + "".join(lines))
    assert list(read_tagged(path).data["tags"]) == [["B-PER", "O"]] * 9
