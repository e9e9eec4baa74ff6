"""Every form of file gives its rows, says how it was read where that was not plain, and loses none in silence."""

from __future__ import annotations

import csv
import json

import datasets
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tagged_files import sentences

import nlp_transfer as nt
from nlp_transfer.config import PredictionOptions
from nlp_transfer.data.prediction_rows import open_texts
from nlp_transfer.data.read_rows import read_classification, read_hub, read_tagged
from nlp_transfer.data.readers.hub import hub_splits

RECORDS = [{"text": "größer ☕", "label": "yes"}, {"text": "two\nlines", "label": "no"}]


def pairs(rows):
    return list(zip(rows.data["text"], rows.data["label"], strict=True))


def fault(read, source, *parts, error=nt.DataError, **options):
    with pytest.raises(error) as caught:
        read(source, **options)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


# Delimiters


def write(tmp_path, text, name="a.csv"):
    (tmp_path / name).write_text(text, "utf-8", newline="")
    return tmp_path / name


@pytest.mark.parametrize(("mark", "said"), [(";", "a semicolon"), ("\t", "a tab"), ("|", "a vertical bar")])
def test_the_delimiter_is_told_from_the_rows_and_said(tmp_path, mark, said):
    path = write(tmp_path, f'text{mark}label\n"a, b"{mark}x\nc, d{mark}y\n')
    rows = read_classification(path)
    assert pairs(rows) == [("a, b", "x"), ("c, d", "y")]
    assert rows.notes == (f"{path}: columns are separated by {said}: text, label.",)
    assert read_classification(write(tmp_path, "text,label\na,x\n", "b.tsv")).notes[0].endswith("a comma: text, label.")


def test_the_usual_delimiter_needs_no_word(tmp_path):
    assert read_classification(write(tmp_path, "text,label\na;b;c,x\nd|e,y\n")).notes == ()
    assert read_classification(write(tmp_path, "text\tlabel\na,b\tx\n", "a.tsv")).notes == ()


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(*[st.text(st.sampled_from('ab,;|\t "\n'), min_size=1).map(lambda t: f"{t}.")] * 2), min_size=1
    ),
    mark=st.sampled_from(",;|\t"),
    suffix=st.sampled_from(["csv", "tsv"]),
)
def test_any_delimiter_round_trips(tmp_path_factory, rows, mark, suffix):
    path = tmp_path_factory.getbasetemp() / f"sniffed.{suffix}"
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=mark).writerows([("text", "label"), *rows])
    assert pairs(read_classification(path, quoting="csv")) == [(text, label.strip()) for text, label in rows]


def test_ragged_rows_are_told_under_a_delimiter_that_was_found(tmp_path):
    path = write(tmp_path, "text;label\na;b\nc;d;e\nf, g\nh;i\n")
    fault(read_classification, path, "1 row with 3 fields where the header has 2 (line 3), 1 row with 1 field")
    assert read_classification(path, skip_bad_rows=True).skipped == (3, 4)


def test_names_with_other_delimiters_in_them_do_not_win(tmp_path):
    path = write(tmp_path, "name, first;text;label\nB, A;hello;x\nC, D;well;y\n")
    assert pairs(read_classification(path)) == [("hello", "x"), ("well", "y")]


def test_a_delimiter_can_be_given(tmp_path):
    path = write(tmp_path, "text~label\na~b\n")
    assert pairs(read_classification(path, delimiter="~")) == [("a", "b")]
    path = write(tmp_path, "text label\na b\n")
    assert pairs(read_classification(path, delimiter="space")) == [("a", "b")]
    for wrong in ("ab", "", '"', "\n"):
        if wrong:
            fault(read_classification, path, "--delimiter must be", error=nt.OptionError, delimiter=wrong)
    path = write(tmp_path, json.dumps(RECORDS[0]), "a.jsonl")
    fault(read_classification, path, "--delimiter is for files such as .csv", error=nt.OptionError, delimiter=",")
    path = write(tmp_path, "text;label\na;b\n")
    fault(read_classification, path, "seems to separate its columns by ';'", delimiter="comma")


# Arrow


@pytest.fixture
def arrow_files(tmp_path):
    table = pa.Table.from_pylist(RECORDS)
    for name, new in (("a.arrow", pa.ipc.new_file), ("b.arrow", pa.ipc.new_stream), ("c.feather", pa.ipc.new_file)):
        with new(str(tmp_path / name), table.schema) as writer:
            writer.write_table(table, max_chunksize=1)
    datasets.Dataset.from_list(RECORDS).save_to_disk(tmp_path / "set", num_shards=2)
    return tmp_path


def test_arrow_files_streams_and_saved_data_sets(arrow_files, tmp_path):
    plain = read_classification(write(tmp_path, "".join(json.dumps(r) + "\n" for r in RECORDS), "a.jsonl"))
    for name in ("a.arrow", "b.arrow", "c.feather", "set"):
        rows = read_classification(arrow_files / name)
        assert (rows.sha256, rows.unit, list(rows.data["line"])) == (plain.sha256, "row", [1, 2])


def test_names_of_classes_and_words_with_tags_in_arrow(tmp_path):
    features = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-PER"])),
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["no", "yes"]),
        }
    )
    columns = {"tokens": [["Hi", "Jo"]] * 2, "ner_tags": [[0, 1]] * 2, "text": ["Hi", "Jo"], "label": [1, -1]}
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(tmp_path / "set")
    assert pairs(read_classification(tmp_path / "set", skip_bad_rows=True)) == [("Hi", "yes")]
    assert read_tagged(tmp_path / "set").data[1]["tags"] == ["O", "B-PER"]


def test_saved_splits(tmp_path):
    whole = datasets.Dataset.from_list(RECORDS)
    datasets.DatasetDict({"train": whole, "test": whole}).save_to_disk(tmp_path / "all")
    whole.save_to_disk(tmp_path / "one")
    fault(read_classification, tmp_path / "all", "several splits (test, train)", "--dataset_name")
    assert hub_splits(str(tmp_path / "all")) == ("test", "train")
    assert pairs(read_hub(str(tmp_path / "all"), "test")) == [tuple(r.values()) for r in RECORDS]
    assert hub_splits(str(tmp_path / "one")) == ("train",)
    assert len(read_hub(str(tmp_path / "one"), "train").data) == 2


def test_damaged_arrow(arrow_files):
    (arrow_files / "a.arrow").write_bytes(b"ARROW1\0\0 nothing")
    fault(read_classification, arrow_files / "a.arrow", "is damaged or not Arrow", "write it again")
    whole = (arrow_files / "b.arrow").read_bytes()
    (arrow_files / "b.arrow").write_bytes(whole[:-200])
    fault(read_classification, arrow_files / "b.arrow", "is damaged or not Arrow")
    state = arrow_files / "set" / "state.json"
    kept = state.read_text()
    for broken in ("{", "[]", '{"_data_files": []}'):
        state.write_text(broken)
        fault(read_classification, arrow_files / "set", "save the data set again")
    state.write_text(kept)
    next((arrow_files / "set").glob("*.arrow")).unlink()
    fault(read_classification, arrow_files / "set", "is without its data-00000-of-00002.arrow")
    state.unlink()
    assert len(read_classification(arrow_files / "set").data) == 1


# A folder per label


@pytest.fixture
def folder(tmp_path):
    texts = {"pos/10.txt": "fine\r\n", "pos/9.txt": "\ufeffwell", "neg/a b.TXT": "two\nlines\n", "LICENSE": "x"}
    for name, text in texts.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_text(text, "utf-8", newline="")
    (tmp_path / "set" / ".DS_Store").write_bytes(b"\0")
    return tmp_path / "set"


def test_a_folder_per_label(folder):
    rows = read_classification(folder)
    assert pairs(rows) == [("two\nlines", "neg"), ("fine", "pos"), ("well", "pos")]
    assert rows.unit == "file"
    assert rows.notes == (f"{folder}: 1 file beside the folders of labels not read (LICENSE).",)


def test_faults_in_a_folder_name_the_file(folder):
    (folder / "pos" / "empty.txt").write_text(" ")
    (folder / "neg" / "notes.md").write_text("x")
    fault(
        read_classification,
        folder,
        "1 row with a name that does not end in .txt (file neg/notes.md), 1 row with no text (file pos/empty.txt)",
    )
    rows = read_classification(folder, skip_bad_rows=True)
    assert rows.skipped == ("neg/notes.md", "pos/empty.txt")
    (folder / "pos" / "9.txt").write_bytes(b"caf\xe9")
    fault(read_classification, folder, "pos/9.txt, line 1: byte 4", "is not UTF-8", skip_bad_rows=True)


def test_a_folder_is_predicted_file_by_file(folder):
    options = PredictionOptions("m", input_file=str(folder), output_file="o.jsonl", id_column_name="file")
    texts = open_texts(options, tagged=False)
    assert texts.unit == "row"
    assert [(t.line, t.text, t.id) for t in texts] == [
        (1, "two\nlines", "neg/a b.TXT"),
        (2, "fine", "pos/10.txt"),
        (3, "well", "pos/9.txt"),
    ]


# Objects in memory


@pytest.mark.parametrize("kind", ["frame", "set"])
def test_splits_of_objects_are_those_of_files(reviews, kind):
    frames = {name: pd.read_csv(path) for name, path in reviews.items()}
    objects = frames if kind == "frame" else {n: datasets.Dataset.from_pandas(f) for n, f in frames.items()}
    splits = nt.splits_from(**objects)
    same = nt.load_splits(nt.DataOptions(**{f"{name}_file": path for name, path in reviews.items()}), "classification")
    for name in frames:
        assert getattr(splits, name).sha256 == getattr(same, name).sha256
    held = nt.splits_from(objects["train"], options=nt.DataOptions(validation_split_percentage=25), seed=1)
    assert len(held.validation.data) == 16


def test_data_frames_of_any_types():
    frame = pd.DataFrame(
        {"text": ["a", "b", None, "d"], "label": pd.Categorical([1, 2, 1, None]), "n": [1.0, None, 3.0, 4.0], 7: "x"},
        index=[9, 9, 3, 1],
    )
    fault(read_classification, frame, "the DataFrame has 1 row with no text (row 3), 1 row with no label (row 4)")
    assert pairs(read_classification(frame, skip_bad_rows=True)) == [("a", "1"), ("b", "2")]
    assert pairs(read_classification(frame, "7", "n", skip_bad_rows=True)) == [("x", "1"), ("x", "3"), ("x", "4")]
    fault(read_classification, frame, "no column 'lable' (did you mean 'label'?)", label_column="lable")
    fault(read_classification, [1], "the list is not supported; give a path, a pandas DataFrame")
    words = pd.DataFrame({"tokens": [["Jo", "sang"]], "tags": [("B-PER", "O")]})
    assert read_tagged(words).data[0]["tags"] == ["B-PER", "O"]


# CoNLL columns

UNIVERSAL = (
    "# global.columns = ID FORM UPOS NER\n# sent_id = 1\n# text = Vamonos al mar\n1-2\tVamonos\t_\t_\n"
    "1\tVamos\tVERB\tO\n2\tnos\tPRON\tO\n2.1\tx\t_\t_\n3\tMar\tNOUN\tB-LOC\n\n1\tJo\tPROPN\tB-PER\n"
)
SENTENCES = [(["Vamos", "nos", "Mar"], ["O", "O", "B-LOC"]), (["Jo"], ["B-PER"])]


def test_columns_that_the_file_names_itself(tmp_path):
    path = write(tmp_path, UNIVERSAL, "a.conllu")
    assert sentences(read_tagged(path)) == SENTENCES
    assert read_tagged(path).notes == (f"{path}: columns are separated by tabs; words are column 1, tags column 3.",)
    assert sentences(read_tagged(path, conll_columns="form, ner")) == SENTENCES


@pytest.mark.parametrize(
    ("named", "places", "text"),
    [
        ("Token,NER", (0, 2), "Token POS NER|Vamos X O|nos X O|Mar X B-LOC||Jo X B-PER"),
        ("word,tag", (1, 2), "id word tag note|1 Vamos O -|2 nos O -|3 Mar B-LOC -||1 Jo B-PER -"),
        ("1,0", (1, 0), "Label Word|O Vamos|O nos|B-LOC Mar||B-PER Jo"),
    ],
)
def test_a_header_line_names_the_columns_and_is_no_word(tmp_path, named, places, text):
    path = write(tmp_path, text.replace("|", "\n").replace(" ", "\t"), "a.tsv")
    rows = read_tagged(path)
    assert sentences(rows) == SENTENCES
    told = f"line 1 names the columns; words are column {places[0]}, tags column {places[1]}."
    assert rows.notes == (f"{path}: {told}",)
    assert sentences(read_tagged(path, conll_columns=named)) == SENTENCES
    read = open_texts(PredictionOptions("m", input_file=str(path), output_file="o"), tagged=True)
    assert [row.text for row in read] == [words for words, _ in SENTENCES]


def test_words_that_are_numbered_and_tags_that_stand_elsewhere(tmp_path):
    rows = "".join(line + ("\t-\tme\n" if "\t" in line else "\n") for line in UNIVERSAL.splitlines()[1:])
    path = write(tmp_path, rows, "a.iob2")  # as Universal NER has them: number, word, tag, note, annotator
    assert sentences(read_tagged(path)) == SENTENCES
    assert read_tagged(path).notes[0].endswith("by tabs; words are column 1, tags column 3.")
    assert sentences(read_tagged(path, conll_columns="1,-3")) == SENTENCES


def test_columns_and_delimiters_can_be_given(tmp_path):
    text = "word pos tag note\nEU NNP B-ORG x\nsaid V O y\n\nJo NNP B-PER z\n"
    expected = [(["EU", "said"], ["B-ORG", "O"]), (["Jo"], ["B-PER"])]
    for mark, name in ((" ", "space"), (",", ","), ("~", "~")):
        path = write(tmp_path, text.replace(" ", mark), "a.txt")
        assert sentences(read_tagged(path, conll_columns="word,tag", delimiter=name)) == expected
        bare = write(tmp_path, text.replace(" ", mark).partition("\n")[2], "b.txt")
        assert sentences(read_tagged(bare, conll_columns="0,2", delimiter=name)) == expected
    path = write(tmp_path, "EU|B-ORG\n\nJo|B-PER\n", "c.conll")
    assert sentences(read_tagged(path)) == [(["EU"], ["B-ORG"]), (["Jo"], ["B-PER"])]
    assert read_tagged(path).notes[0].endswith("by vertical bars; words are column 0, tags column 1.")


def test_columns_that_are_not_there(tmp_path):
    path = write(tmp_path, "EU B-ORG\n", "a.conll")
    fault(read_tagged, path, "has 2 columns, so none is 3", conll_columns="0,3")
    fault(read_tagged, path, "has no column 'FORM'; it does not name its columns", conll_columns="FORM,NER")
    fault(read_tagged, path, "such as 0,3 or FORM,NER", error=nt.OptionError, conll_columns="0,1,2")
    fault(read_tagged, path, "names one column twice", error=nt.OptionError, conll_columns="1,-1")
    path = write(tmp_path, "{}", "a.jsonl")
    fault(read_tagged, path, "--conll_columns is for files such as .conll", error=nt.OptionError, conll_columns="0,1")
    with pytest.raises(nt.OptionError, match="--conll_columns is for NER"):
        nt.splits_from(path, options=nt.DataOptions(conll_columns="0,1"))


def test_lines_that_begin_and_end_documents(tmp_path):
    text = "#begin document (a); part 0\nEU B-ORG\n\n-DOCSTART-\nJo B-PER\n#end document\n"
    assert len(read_tagged(write(tmp_path, text, "a.conll")).data) == 2
    words = PredictionOptions("m", input_file=str(write(tmp_path, UNIVERSAL, "b.conllu")), output_file="o.jsonl")
    assert [t.text for t in open_texts(words, tagged=True)] == [words for words, _ in SENTENCES]


@pytest.mark.parametrize("stream", [True, False])
def test_a_column_whose_name_is_no_text_is_one_line(tmp_path, stream):
    table = pa.table({"text": ["a"], "label": ["b"]})
    path = tmp_path / "a.arrow"
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(str(path), table.schema) as writer:
        writer.write_table(table)
    path.write_bytes(path.read_bytes().replace(b"text", b"\x80ext"))
    with pytest.raises(nt.DataError, match="is damaged or not Arrow"):
        read_classification(path)
