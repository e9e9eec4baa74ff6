"""Files of every form become the same rows, and each bad file gets one line: what, where, how to mend it."""

from __future__ import annotations

import csv
import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_transfer.data.read_rows import read_classification, read_hub, read_tagged
from nlp_transfer.data.readers.hub import hub_splits
from nlp_transfer.errors import DataError
from nlp_transfer.system.invisible import bare

CONLL = "-DOCSTART- -X- O O\n\n# id 7\nEU NNP I-NP B-ORG\nrejects VBZ I-VP O\n\n# NN I-NP O\nBonn NNP I-NP B-LOC\n"


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def complaint(read, path, *parts, **options):
    """The one line that reading `path` gives; it names the file and holds all of `parts`."""
    with pytest.raises(DataError) as caught:
        read(path, **options)
    line = str(caught.value)
    assert "\n" not in line
    for part in (path.name, *parts):
        assert part in line, line
    return line


def texts(rows):
    return list(zip(rows.data["text"], rows.data["label"], rows.data["line"], strict=True))


def sentences(rows):
    return list(zip(rows.data["words"], rows.data["tags"], rows.data["line"], strict=True))


# Forms


def test_csv_values_stay_the_strings_they_are(write):
    path = write("train.csv", '\ufefftext,label\r\nNA,001\r\nnull, 002 \r\n" a ""b""\nc",1.0\r\n\r\n1e5,None\r\n')
    rows = read_classification(path)
    assert texts(rows) == [("NA", "001", 2), ("null", "002", 3), (' a "b"\nc', "1.0", 4), ("1e5", "None", 7)]
    assert rows.columns == {"text": "text", "label": "label"}
    assert rows.source == str(path)
    assert rows.skipped == ()
    assert rows.unit == "line"


def test_tsv(write):
    assert texts(read_classification(write("train.tsv", "Sentence\tstars\na, b\t5\n"))) == [("a, b", "5", 2)]


def test_old_mac_line_ends(write):
    rows = read_classification(write("train.csv", 'text,label\ra,1\r"b\rc",2\r'))
    assert texts(rows) == [("a", "1", 2), ("b\rc", "2", 3)]


def test_every_form_of_the_same_rows_has_the_same_fingerprint(write, tmp_path):
    records = [{"id": 1, "text": "größer ☕", "label": "yes"}, {"id": 2, "text": "two\nlines", "label": "no"}]
    lines = "\n".join(json.dumps(record) for record in records)
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
    paths = [
        write("a.csv", 'id,text,label\n1,größer ☕,yes\n2,"two\nlines",no\n'),
        write("a.tsv", 'text\tlabel\ngrößer ☕\tyes\n"two\nlines"\tno\n'),
        write("a.jsonl", lines + "\n"),
        write("a.ndjson", "\n" + lines),
        write("a.json", json.dumps(records, indent=2)),
        write("b.json", json.dumps({"version": "1", "tags": ["x"], "data": records})),
        write("c.json", lines),
        tmp_path / "a.parquet",
    ]
    read = [read_classification(path) for path in paths]
    assert len({rows.sha256 for rows in read}) == 1
    assert {rows.unit for rows in read[4:6]} == {"row"}
    assert [rows.data["line"][1] for rows in read] == [3, 3, 2, 3, 2, 2, 2, 2]


def test_labels_of_json_become_plain_strings(write):
    values = [1, 1.0, True, False, -2, 2.267, " x "]
    path = write("train.jsonl", "".join(json.dumps({"text": "t", "score": value}) + "\n" for value in values))
    assert list(read_classification(path).data["label"]) == ["1", "1", "true", "false", "-2", "2.267", "x"]


def test_class_labels_in_parquet_become_names(tmp_path):
    features = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-PER"])),
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["no", "yes"]),
        }
    )
    columns = {"tokens": [["Hi", "Jo"]], "ner_tags": [[0, 1]], "text": ["Hi Jo"], "label": [1]}
    datasets.Dataset.from_dict(columns, features=features).to_parquet(tmp_path / "a.parquet")
    assert texts(read_classification(tmp_path / "a.parquet")) == [("Hi Jo", "yes", 1)]
    assert sentences(read_tagged(tmp_path / "a.parquet")) == [(["Hi", "Jo"], ["O", "B-PER"], 1)]


def test_conll_with_spaces_comments_and_document_marks(write):
    expected = [(["EU", "rejects"], ["B-ORG", "O"], 4), (["#", "Bonn"], ["O", "B-LOC"], 7)]
    assert sentences(read_tagged(write("train.conll", CONLL))) == expected


@pytest.mark.parametrize("name", ["a.conll", "a.txt", "a.bio", "a.IOB", "a.tsv"])
def test_conll_with_tabs(write, name):
    text = "# newdoc\n#\tO\r\nNew York\tB-LOC\r\n\t\r\n\u00a0\tO\n\n\n \n\ufeff\n"
    expected = [(["#", "New York"], ["O", "B-LOC"], 2), (["\u00a0"], ["O"], 5)]
    assert sentences(read_tagged(write(name, text))) == expected


def test_tagged_lists_in_json_lines(write):
    path = write("train.jsonl", '{"tokens": ["Jo", 7], "ner_tags": ["B-PER", "O "]}\n')
    assert sentences(read_tagged(path)) == [(["Jo", "7"], ["B-PER", "O"], 1)]


# Columns


def test_given_columns_win_over_known_names(write):
    path = write("train.csv", "text,label,headline,topic\na,b,c,d\n")
    assert texts(read_classification(path, "headline", "topic")) == [("c", "d", 2)]
    assert read_classification(path, label_column="text", text_column="label").columns == {
        "text": "label",
        "label": "text",
    }


def test_a_column_that_is_given_is_not_taken_twice(write):
    path = write("train.csv", "text,sentence,label\na,b,c\n")
    assert read_classification(path, label_column="text").columns == {"text": "sentence", "label": "text"}


def test_a_first_row_without_a_label_does_not_hide_the_column(write):
    path = write("train.jsonl", '{"text": "a"}\n{"text": "b", "label": "x"}\n')
    assert texts(read_classification(path, skip_bad_rows=True)) == [("b", "x", 2)]


def test_a_wrong_column_names_those_there_are(write):
    path = write("train.csv", "text,Label\na,b\n")
    line = complaint(read_classification, path, label_column="lable")
    assert line == (
        f"{path} has no column 'lable' (did you mean 'Label'?); its columns are: text, Label. "
        "Name the right one with --label_column_name."
    )
    complaint(read_classification, path, "no column 'body'; its", "--text_column_name", text_column="body")


def test_no_known_column(write):
    path = write("train.csv", "body,Label\na,b\n")
    complaint(read_classification, path, "the text; its columns are: body, Label.", "--text_column_name")
    path = write("other.csv", "text,kind\na,b\n")
    complaint(read_classification, path, "the label; its columns are: text, kind.", "--label_column_name")
    path = write("tags.jsonl", '{"tokens": ["a"], "pos": ["O"]}')
    complaint(read_tagged, path, "the tags; its columns are: tokens, pos.", "--label_column_name")


def test_one_column_for_both(write):
    path = write("train.csv", "text,label\na,b\n")
    complaint(read_classification, path, "both name 'text'", text_column="text", label_column="text")


# Files that cannot be read


def test_missing_file(write):
    near = write("train.csv", "text,label\n")
    complaint(read_classification, near.with_name("trian.csv"), "does not exist", f"did you mean {near}?")
    complaint(read_classification, near.with_name("q.parquet"), "does not exist; check the path")
    complaint(read_tagged, near.parent / "nowhere" / "a.conll", "nor does its folder")


def test_folder(tmp_path):
    complaint(read_classification, tmp_path, "holds no folder per label with .txt files", "give a file in it")
    complaint(read_tagged, tmp_path, "holds no .ann files of brat", "give a file in it")


@pytest.mark.parametrize("name", ["train.xls", "train"])
def test_unknown_suffix(write, name):
    complaint(
        read_classification, write(name, "x"), "suffix", ".csv, .tsv, .xlsx, .xlsm, .jsonl, .ndjson, .json, .parquet"
    )
    complaint(read_tagged, write(name, "x"), ".conll, .conllu, .bio, .iob, .iob2, .txt, .tsv, .xlsx, .xlsm, .jsonl")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.parquet"])
def test_empty_file(write, name):
    complaint(read_classification, write(name, ""), "is empty", "give a file with")


def test_a_file_of_white_space(write):
    complaint(read_classification, write("a.csv", "\n \n"), "is empty")
    complaint(read_classification, write("a.json", "\n \n"), "is empty")
    complaint(read_tagged, write("a.conll", "\n \n\t\n"), "holds no words")


def test_no_rows(write, tmp_path):
    complaint(read_classification, write("a.csv", "text,label\n"), "a header and no rows")
    pq.write_table(
        pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.string())}), tmp_path / "a.parquet"
    )
    complaint(read_classification, tmp_path / "a.parquet", "holds no rows")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json"])
def test_not_utf8(write, name):
    path = write(name, b"text,label\nfine,1\ncaf\xe9,2\n")
    complaint(read_classification, path, "line 3: byte 4 of the line (0xe9) is not UTF-8", "iconv -f", "-t UTF-8")


def test_utf16(write):
    complaint(read_classification, write("a.csv", "text,label\n".encode("utf-16")), "line 1", "iconv -f UTF-16 -t")
    line = complaint(read_tagged, write("a.conll", "a\tO\n".encode("utf-16-le")), "line 1", "NUL byte")
    assert "iconv -f UTF-16LE" in line


def test_nul_bytes(write):
    path = write("a.csv", "text,label\na,1\nb\0,2\n")
    complaint(read_classification, path, "line 3", "NUL", "tr -d", skip_bad_rows=True)


def test_unclosed_quote(write):
    path = write("a.csv", 'text,label\na,1\n"b,2\nc,3\n')
    complaint(read_classification, path, "line 3: a quote", "never closed; close it", skip_bad_rows=True)
    path = write("a.csv", 'text,label\na,1\n"b,2\nc,"x"\n')
    complaint(read_classification, path, "line 4: the quoting of the row that begins at line 3", '("")')


def test_repeated_columns(write, tmp_path):
    complaint(read_classification, write("a.csv", "text,label,text\na,b,c\n"), "line 1", "names repeat: text; give")
    assert len(read_classification(write("a.csv", ",,text,label\n0,0,a,b\n")).data) == 1


def test_broken_json(write):
    complaint(read_classification, write("a.json", '[{"text": "a",\n "label": }]'), "line 2", "broken JSON", "mend")
    complaint(read_classification, write("a.json", "[" * 100_000), "broken JSON")
    complaint(read_classification, write("a.json", '{"text": {"0": "a"}}'), "no list of objects", "write its rows")
    path = write("a.json", '{"train": [{"text": "a"}], "test": [{"text": "b"}]}')
    complaint(read_classification, path, "2 lists of objects (train, test)", "one list")


def test_damaged_parquet(write, tmp_path):
    complaint(read_classification, write("a.parquet", "PAR1 nothing here PAR1"), "damaged", "write it again")
    pq.write_table(pa.table({"text": ["a" * 50] * 500, "label": ["b", "c"] * 250}), tmp_path / "b.parquet")
    whole = (tmp_path / "b.parquet").read_bytes()
    complaint(read_classification, write("c.parquet", whole[: len(whole) // 2]), "damaged")
    complaint(read_classification, write("d.parquet", whole[:4] + b"\xff" * 60 + whole[64:]), "damaged")


# Bad rows


def bad_rows(read, path, lines, *parts):
    """Reading complains of the rows and names the way on, which leaves exactly those rows out."""
    complaint(read, path, "--skip_bad_rows", *parts)
    rows = read(path, skip_bad_rows=True)
    assert rows.skipped == tuple(lines)
    return rows


def test_ragged_csv(write):
    path = write("a.csv", 'text,label\na,b,c\n"d\ne",f\ng\nh,i\n')
    rows = bad_rows(
        read_classification,
        path,
        [2, 5],
        "1 row with 3 fields where the header has 2 (line 2), 1 row with 1 field where the header has 2 (line 5)",
    )
    assert texts(rows) == [("d\ne", "f", 3), ("h", "i", 6)]


def test_no_text_or_no_label(write):
    path = write("a.csv", "text,label\n" + "a,\n" * 6 + " \t,x\nb,x\n,\n")
    bad_rows(
        read_classification,
        path,
        [2, 3, 4, 5, 6, 7, 8, 10],
        "6 rows with no label (lines 2, 3, 4, 5, 6 ...), 1 row with no text (line 8), "
        "1 row with no text and no label (line 10)",
    )


def test_json_null_nan_and_missing(write):
    path = write(
        "a.jsonl", '{"text": "a", "label": null}\n{"text": "a", "label": NaN}\n{"label": 1}\n{"text":"b","label":0}'
    )
    assert texts(bad_rows(read_classification, path, [1, 2, 3], "2 rows with no label (lines 1, 2)")) == [("b", "0", 4)]


def test_broken_json_lines(write):
    path = write(
        "a.jsonl", '{"text": "a", "label": "x"}\n{"text": "b", "label" "x"}\n\n[1]\n{"text": "c", "label": "y"}\n'
    )
    parts = "broken JSON (Expecting ':' delimiter, character 23) (line 2)", "not an object {...} (line 4)"
    bad_rows(read_classification, path, [2, 4], *parts)


def test_many_kinds_of_fault_stay_one_short_line(write):
    path = write("a.jsonl", "".join("{" + " " * n + "\n" for n in range(200)) + '{"text": "a", "label": "b"}\n')
    line = complaint(read_classification, path, text_column="text", label_column="label")
    assert len(line) < 400 + len(str(path))


def test_half_a_character(write):
    path = write("a.jsonl", '{"text": "\\ud83d", "label": "x"}\n{"text": "\\ud83d\\ude00", "label": "x"}\n')
    assert texts(bad_rows(read_classification, path, [1], "lone surrogate")) == [("😀", "x", 2)]


@pytest.mark.parametrize("value", [["a"], {"a": 1}])
def test_values_that_are_no_text(write, value):
    good = {"text": "a", "label": "b"}
    for column in good:
        rows = [good, {**good, column: value}, good] if column == "text" else [{**good, column: value}, good, good]
        path = write(f"{column}.jsonl", "\n".join(map(json.dumps, rows)))
        told = f"in column '{column}', not a text or a number", f"--{column}_column_name"
        assert len(bad_rows(read_classification, path, [1 + (column == "text")], *told).data) == 2
        path = write(f"{column}-alone.jsonl", json.dumps({**good, "text": [], column: {}}))
        complaint(read_classification, path, "no row that can be used", skip_bad_rows=True)


def test_text_where_a_list_belongs(write):
    path = write("a.jsonl", '{"words": "a b", "tags": ["O", "O"]}')
    complaint(read_tagged, path, "a text in column 'words', not a list", "--text_column_name", "line 1")


def test_conll_with_a_missing_tag(write):
    path = write("a.conll", "a\tO\nb\t\n\nc\tO\n\nd\n\n\tO\n")
    parts = "2 rows with a word that has no tag (lines 2, 6)", "1 row with a tag that has no word (line 8)"
    assert sentences(bad_rows(read_tagged, path, [1, 6, 8], *parts)) == [(["c"], ["O"], 4)]
    path = write("b.conll", CONLL + "\nNew York NNP I-NP B-LOC\n\nx NN O\n")
    parts = "5 columns where line 4 has 4 (line 10)", "a word that has no tag (line 12)"
    assert len(bad_rows(read_tagged, path, [10, 12], *parts).data) == 2


def test_conll_with_one_column(write):
    complaint(read_tagged, write("a.txt", "just a line\n".replace(" ", "_")), "no line with two columns", "tab")


def test_words_and_tags_of_different_length(write):
    rows = ['{"tokens": ["a", "b"], "tags": ["O"]}', '{"tokens": [], "tags": []}', '{"tokens": ["a"], "tags": [null]}']
    path = write("a.jsonl", "\n".join([*rows, '{"tokens": ["a"], "tags": ["O"]}']))
    bad_rows(read_tagged, path, [1, 2, 3], "1 row with 2 words and 1 tags (line 1)", "no words", "has no tag (line 3)")


def test_nothing_left(write):
    complaint(
        read_classification, write("a.csv", "text,label\na,\n"), "no row that can be used", "line 2", skip_bad_rows=True
    )
    complaint(read_classification, write("a.jsonl", "text,label\na,b\n"), "2 rows with broken JSON", "lines 1, 2")
    complaint(read_classification, write("a.json", "[]"), "holds no rows")


# Hub


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.csv").write_text("text,label\na,x\nb,y\nc,\n")
    (tmp_path / "set" / "test.csv").write_text("text,label\nd,x\n")
    return tmp_path / "set"


def test_a_folder_of_files_as_a_hub_data_set(folder):
    assert set(hub_splits(str(folder))) == {"train", "test"}
    with pytest.raises(DataError, match=r"1 row with no label \(line 4\).*--skip_bad_rows"):
        read_hub(str(folder), "train")
    rows = read_hub(str(folder), "train", skip_bad_rows=True)
    assert texts(rows) == [("a", "x", 2), ("b", "y", 3)]
    assert (rows.source, rows.unit, rows.skipped) == (str(folder / "train.csv"), "line", (4,))
    complaint(lambda path: read_hub(str(path), "test", label_column="kind"), folder, "no column 'kind'")


def test_an_unknown_split(folder):
    complaint(lambda path: read_hub(str(path), "dev"), folder, "dev", "splits")


def test_class_labels_of_the_hub(monkeypatch):
    features = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-PER"])),
            "sentence": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["no", "yes"]),
        }
    )
    columns = {"tokens": [["Jo"], ["a"]], "ner_tags": [[1], [0]], "sentence": ["Jo", "a"], "label": [1, -1]}
    data = datasets.Dataset.from_dict(columns, features=features)
    monkeypatch.setattr(datasets, "load_dataset", lambda name, config, split: data)
    assert sentences(read_hub("some/set", "train", tagged=True))[0] == (["Jo"], ["B-PER"], 1)
    assert texts(read_hub("some/set", "train", skip_bad_rows=True)) == [("Jo", "yes", 1)]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ConnectionError("Couldn't reach 'some/set' on the Hub"), "cannot be reached"),
        (datasets.exceptions.DatasetNotFoundError("no such"), "no data set 'some/set' on the hub"),
        (ValueError("BuilderConfig 'x' not found.\nAvailable: ['y']"), "cannot be loaded"),
    ],
)
def test_a_hub_data_set_that_does_not_load(monkeypatch, error, says):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=says) as caught:
        read_hub("some/set", "train")
    assert "\n" not in str(caught.value)


# Whatever the text


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VISIBLE = ANY_TEXT.filter(bare)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(VISIBLE, VISIBLE.map(str.strip)), min_size=1), st.sampled_from([("csv", ","), ("tsv", "\t")]))
def test_csv_round_trip(tmp_path_factory, rows, form):
    path = tmp_path_factory.getbasetemp() / f"round_trip.{form[0]}"
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=form[1]).writerows([("text", "label"), *rows])
    read = read_classification(path, quoting="csv")
    assert [(text, label) for text, label, _ in texts(read)] == rows


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(ANY_TEXT, min_size=2, max_size=3), min_size=1))
def test_csv_rows_read_and_skipped_are_all_rows(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "ragged.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), ("a", "b"), *rows])
    read = read_classification(path, skip_bad_rows=True, quoting="csv")
    assert len(read.data) + len(read.skipped) == len(rows) + 1


WORD = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1).filter(
    lambda word: word.strip("\ufeff") and not word.startswith(("-DOCSTART-", "\ufeff"))
)
SENTENCE = st.lists(st.tuples(WORD, st.sampled_from(["O", "B-PER", "I-PER"])), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(SENTENCE, min_size=1), st.sampled_from("\t "), st.sampled_from(["\n", "\r\n", "\t\n"]))
def test_conll_round_trip(tmp_path_factory, written, separator, blank):
    path = tmp_path_factory.getbasetemp() / "round_trip.conll"
    path.write_text(
        blank.join("".join(f"{word}{separator}{tag}\n" for word, tag in sentence) for sentence in written),
        encoding="utf-8",
        newline="",
    )
    read = read_tagged(path)
    assert [list(zip(words, tags, strict=True)) for words, tags, _ in sentences(read)] == written
