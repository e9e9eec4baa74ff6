"""No file ends a reader but by an error that a user can mend, and every row of a file is read or reported.

A plain run tries the same few files of each form every time; --whole tries others in each run. Of the latter
NLP_TRANSFER_FUZZ=20000 pytest --rest tests/data/readers/test_fuzz.py tries so many over all forms.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nlp_transfer.config import PredictionOptions
from nlp_transfer.data.labels import LabelForm
from nlp_transfer.data.prediction_rows import open_texts
from nlp_transfer.data.read_rows import read_classification, read_tagged
from nlp_transfer.data.readers import text_lines
from nlp_transfer.data.readers.conll_layout import ends_sentence, layout_of
from nlp_transfer.errors import UserError

FILES = int(os.environ.get("NLP_TRANSFER_FUZZ", "800"))

ODD = " \t\r\n\"',;|#{}[]:\\-_=\0\ufeff\u0301\u200d\u2028\x85\x1c\xa0é😀猫ไทยOBI0123"
CHARACTERS = st.one_of(st.sampled_from(ODD), st.characters(exclude_categories=["Cs"]))
TEXT = st.one_of(st.text(CHARACTERS, max_size=12), st.sampled_from(["Anna was in Oslo.", "猫が好き", "good", "x"]))
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(-3, 10**20), st.floats(), TEXT)
JUNK = st.recursive(
    SCALAR,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=5,
)


@st.composite
def rarely(draw: Callable, strange: st.SearchStrategy, usual: st.SearchStrategy) -> object:
    """One value of twelve is a strange one; st.one_of would weigh by their branches."""
    return draw(strange if draw(st.sampled_from(range(12))) == 11 else usual)


LABEL = rarely(TEXT, st.sampled_from(["yes", "no"]))
OFFSET = rarely(JUNK, st.integers(-1, 8))


def rows_of(row: st.SearchStrategy, most: int = 6) -> st.SearchStrategy:
    return st.lists(row, min_size=1, max_size=most)


def delimited(draw: Callable, folder: Path) -> tuple[Path, int | None]:
    mark = draw(st.sampled_from(",\t;|"))
    rows = draw(rows_of(rarely(st.lists(TEXT, max_size=4), st.tuples(TEXT, LABEL))))
    file = io.StringIO(newline="")
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    csv.writer(file, delimiter=mark, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("text", "label"), *rows])
    (path := folder / draw(st.sampled_from(["a.csv", "a.tsv"]))).write_text(file.getvalue(), "utf-8", newline="")
    blank = [not any(row) if len(row) == 0 else len(row) == 1 and not row[0].strip().strip("\ufeff") for row in rows]
    return path, len(rows) - sum(blank)


def json_lines(draw: Callable, folder: Path) -> tuple[Path, int | None]:
    row = st.fixed_dictionaries({"text": rarely(SCALAR, TEXT), "label": rarely(SCALAR, LABEL)})
    rows = draw(rows_of(rarely(JUNK, row)))
    lines = [json.dumps(value) for value in rows]
    (path := folder / "a.jsonl").write_text("\n".join(lines), "utf-8")
    return path, len(lines)


def json_list(draw: Callable, folder: Path) -> tuple[Path, int | None]:
    row = st.fixed_dictionaries({"text": rarely(SCALAR, TEXT), "label": rarely(SCALAR, LABEL)})
    rows = draw(rows_of(rarely(JUNK, row)))
    (path := folder / "a.json").write_text(json.dumps(draw(st.sampled_from([rows, {"data": rows}]))), "utf-8")
    return path, len(rows)


def arrow_columns(draw: Callable) -> pa.Table:
    rows = draw(st.lists(st.tuples(rarely(st.none(), TEXT), rarely(st.none(), LABEL)), max_size=6))
    return pa.table(
        {"text": pa.array([a for a, _ in rows], pa.string()), "label": pa.array([b for _, b in rows], pa.string())}
    )


def parquet(draw: Callable, folder: Path) -> tuple[Path, int | None]:
    table = arrow_columns(draw)
    pq.write_table(table, folder / "a.parquet")
    return folder / "a.parquet", len(table)


def arrow(draw: Callable, folder: Path) -> tuple[Path, int | None]:
    table, path = arrow_columns(draw), folder / "a.arrow"
    with draw(st.sampled_from([pa.ipc.new_file, pa.ipc.new_stream]))(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return path, len(table)


def saved(draw: Callable, folder: Path) -> tuple[Path, int | None]:
    table = arrow_columns(draw)
    datasets.Dataset(table).save_to_disk(folder / "set", num_shards=1)
    return folder / "set", len(table)


def label_folders(draw: Callable, folder: Path) -> tuple[Path, int | None]:
    names = rarely(st.sampled_from(["c.md", "d"]), st.sampled_from(["a.txt", "b.TXT", "ü.txt"]))
    files = draw(st.dictionaries(st.tuples(st.sampled_from(["yes", "no", "ü"]), names), TEXT, min_size=1, max_size=6))
    for (label, name), text in files.items():
        (folder / "set" / label).mkdir(parents=True, exist_ok=True)
        (folder / "set" / label / name).write_text(text, "utf-8", newline="")
    (folder / "set").mkdir(exist_ok=True)
    return folder / "set", len(files)


def frame(draw: Callable, folder: Path) -> tuple[object, int | None]:
    rows = draw(rows_of(st.tuples(rarely(SCALAR, TEXT), rarely(SCALAR, LABEL))))
    return pd.DataFrame(rows, columns=["text", "label"]), len(rows)


def conll(draw: Callable, folder: Path) -> tuple[Path, int | None]:
    word = rarely(st.sampled_from(["#", "#x", "# x", "-DOCSTART-", "1", "1-2"]), TEXT)
    tag = rarely(TEXT, st.sampled_from(["O", "B-PER", "I-PER"]))
    bare = word.map(lambda text: "".join(c for c in text if c not in "\t\r\n\0"))
    line = rarely(bare, st.tuples(bare, tag.map(lambda t: t.replace("\0", ""))).map("\t".join))
    others = st.sampled_from(["", "\t", "# id 7", "# id\t7", "#\tx", "-DOCSTART- X O"])
    titles = [["Names in the news of 2026"], ["My corpus", "CC BY 4.0", ""], ["#licence"]]
    lines = [*draw(st.sampled_from([[], [], [], *titles])), *draw(rows_of(st.one_of(line, line, others), 12))]
    text = draw(st.sampled_from(["\n", "\r\n"])).join(lines)
    (path := folder / draw(st.sampled_from(["a.conll", "a.txt", "a.iob2"]))).write_text(text, "utf-8", newline="")
    try:
        layout, of_words = (layout_of(path, None, None, tagged=tagged) for tagged in (True, False))
    except UserError:
        return path, None
    count, inside = 0, False
    told = {number for number, _ in layout.titles} | {layout.header}
    for number, line in text_lines(path):
        if ends_sentence(line):
            inside = False
        elif number not in told and not layout.is_comment(line):
            count, inside = count + (not inside), True
    return path, count if layout.width == of_words.width and not layout.numbered else None  # else few lines have a tag


MARKUP = st.sampled_from(["<p>", "</p>", "<br>", "&amp;", "<b>x</b>", "<", "<!--"])
HTML = st.lists(st.one_of(TEXT, MARKUP), max_size=5).map("".join)
DIALOGUE = rarely(
    JUNK,
    st.lists(rarely(JUNK, st.fixed_dictionaries({"text": rarely(JUNK, TEXT)}, optional={"author": TEXT})), max_size=3),
)


def paths() -> st.SearchStrategy:
    """Spans by XPath, as of HTML."""
    path = st.sampled_from(["/text()[1]", "/p[1]/text()[1]", "", 0])
    whole = st.fixed_dictionaries({"start": OFFSET, "end": OFFSET})
    borders = {"start": path, "end": path, "startOffset": OFFSET, "endOffset": OFFSET}
    labels = rarely(JUNK, st.lists(LABEL, max_size=2))
    return st.fixed_dictionaries(
        borders, optional={"globalOffsets": rarely(JUNK, whole), "hypertextlabels": labels, "text": rarely(JUNK, TEXT)}
    )


def said() -> st.SearchStrategy:
    """Spans of paragraphs."""
    place = rarely(JUNK, st.sampled_from(["0", "1", 0]))
    borders = {"start": place, "end": place, "startOffset": OFFSET, "endOffset": OFFSET}
    labels = rarely(JUNK, st.lists(LABEL, max_size=2))
    return st.fixed_dictionaries(borders, optional={"paragraphlabels": labels, "text": rarely(JUNK, TEXT)})


def spans(draw: Callable, folder: Path) -> tuple[Path, int | None]:
    triple = st.tuples(OFFSET, OFFSET, LABEL)
    whole = st.fixed_dictionaries(
        {"start": OFFSET, "end": OFFSET, "label": rarely(JUNK, LABEL)}, optional={"parts": rarely(JUNK, st.just(1))}
    )
    listed = st.fixed_dictionaries(
        {"start": OFFSET, "end": OFFSET, "labels": rarely(JUNK, st.lists(LABEL, max_size=2))}
    )
    offsets = st.fixed_dictionaries({"start_offset": OFFSET, "end_offset": OFFSET, "label": LABEL})
    one = draw(st.sampled_from([triple, whole, listed, offsets]))
    marks = rarely(JUNK, st.lists(rarely(JUNK, one), max_size=3))
    name = draw(st.sampled_from(["label", "entities", "spans", "ents"]))
    answer = rarely(JUNK, st.sampled_from(["accept", "accept", "reject", "ignore"]))
    plain = st.fixed_dictionaries({"text": rarely(JUNK, TEXT), name: marks}, optional={"answer": answer})
    no_span = st.sampled_from(["relation", "choices", "textarea", "rating", "taxonomy", "rectanglelabels"])
    item = st.fixed_dictionaries(
        {"value": rarely(JUNK, st.one_of(listed, paths(), said()))},
        optional={"type": no_span, "id": st.sampled_from("ab")},
    )
    result = st.lists(rarely(JUNK, item), max_size=3)
    task = st.fixed_dictionaries(
        {
            "data": rarely(JUNK, st.fixed_dictionaries({"text": st.one_of(TEXT, TEXT, HTML, DIALOGUE)})),
            "annotations": rarely(JUNK, st.lists(st.fixed_dictionaries({"result": rarely(JUNK, result)}), max_size=2)),
        }
    )
    pair = st.tuples(TEXT, st.fixed_dictionaries({"entities": marks})).map(list)
    minimal = st.fixed_dictionaries(
        {"text": rarely(JUNK, st.one_of(TEXT, HTML, DIALOGUE)), "annotation_id": rarely(st.none(), st.integers(1, 9))},
        optional={"parts": st.lists(rarely(JUNK, st.one_of(listed, paths(), said())), max_size=3)},
    )
    rows = draw(rows_of(rarely(JUNK, draw(st.sampled_from([plain, plain, task, pair, minimal])))))
    if draw(st.booleans()):
        (path := folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    else:
        (path := folder / "a.json").write_text(json.dumps(rows), "utf-8")
    return path, len(rows)


def word_lists(draw: Callable, folder: Path) -> tuple[Path, int | None]:
    tags = rarely(SCALAR, st.sampled_from(["O", "B-PER"]))
    pairs = st.lists(st.tuples(rarely(SCALAR, TEXT), tags), max_size=3)
    row = pairs.map(lambda some: {"tokens": [word for word, _ in some], "tags": [tag for _, tag in some]})
    rows = draw(rows_of(rarely(JUNK, row)))
    (path := folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path, len(rows)


def listed_words(draw: Callable, folder: Path) -> tuple[Path, int | None]:
    spell = draw(st.sampled_from([repr, json.dumps]))
    pairs = st.lists(st.tuples(TEXT, rarely(TEXT, st.sampled_from(["O", "B-PER"]))), max_size=4)
    row = pairs.map(lambda some: tuple(spell([one[place] for one in some]) for place in (0, 1)))
    usual = (spell(["Anna", "sang"]), spell(["B-PER", "O"]))  # most cells spell lists, else none is one
    rows = [usual] * 3 + draw(rows_of(rarely(st.tuples(TEXT, TEXT), row), 2))
    named = [("tokens", "ner_tags"), *rows]
    if draw(st.booleans()):
        lines = [json.dumps(dict(zip(named[0], row, strict=True))) for row in rows]
        (path := folder / "a.jsonl").write_text("\n".join(lines))
    else:
        with open(
            path := folder / draw(st.sampled_from(["a.csv", "a.tsv"])), "w", encoding="utf-8", newline=""
        ) as file:
            csv.writer(file, delimiter=draw(st.sampled_from(",\t")), quoting=csv.QUOTE_ALL).writerows(named)
    return path, len(rows)


def word_rows(draw: Callable, folder: Path) -> tuple[object, int | None]:
    kind = draw(st.sampled_from(["filled", "value", "counts"]))
    name = "token_id" if kind == "counts" else "sentence_id"
    tag = rarely(TEXT, st.sampled_from(["O", "B-PER", "PER", "1"]))
    sentence = st.lists(st.tuples(rarely(TEXT.filter(str.strip), st.just("Anna")), tag), min_size=2, max_size=4)
    rows = []
    for number, words in enumerate(draw(rows_of(sentence))):
        for place, (word, one) in enumerate(words):
            id_ = {"filled": "" if place else f"S{number}", "value": number, "counts": place}[kind]
            rows.append({name: id_, "word": word, "tag": one})
    count = number + 1
    form = draw(st.sampled_from(["csv", "tsv", "jsonl", "parquet", "frame"]))
    path = folder / f"a.{form}"
    if form == "frame":
        return pd.DataFrame(rows), count
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif form == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    else:
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t" if form == "tsv" else ",", quoting=csv.QUOTE_ALL)
            writer.writerows([rows[0], *(row.values() for row in rows)])
    return path, count


def brat(draw: Callable, folder: Path) -> tuple[Path, int | None]:
    (folder / "set").mkdir()
    names = draw(st.lists(st.sampled_from("abc"), unique=True, min_size=1, max_size=3))
    numbers = st.integers(0, 9)
    entity = rarely(
        st.builds("T1\tPER {} {}\t{}".format, numbers, numbers, TEXT),
        st.builds("T1\tPER {} {}".format, numbers, numbers),
    )
    parted = st.builds("T2\tLOC {} {};{} {}\tx".format, numbers, numbers, numbers, numbers)
    line = rarely(TEXT, st.one_of(entity, entity, parted, st.sampled_from(["R1\tIn T1", "#1\tNote", "T1\tPER 0 4"])))
    for name in names:
        kept = draw(st.sampled_from([(".txt", ".ann")] * 9 + [(".txt",), (".ann",)]))
        if ".txt" in kept:
            (folder / "set" / f"{name}.txt").write_text(draw(TEXT), "utf-8", newline="")
        if ".ann" in kept:
            lines = "\n".join(draw(st.lists(line, max_size=3)))
            (folder / "set" / f"{name}.ann").write_text(lines, "utf-8", newline="")
    return folder / "set", len(names)


def docbin(draw: Callable, folder: Path) -> tuple[Path, int | None]:
    tokens = pytest.importorskip("spacy.tokens")
    vocab = pytest.importorskip("spacy.vocab").Vocab()
    bin_ = tokens.DocBin()
    rows = draw(rows_of(st.lists(TEXT.filter(bool), max_size=4), 3))
    for words in rows:
        doc = tokens.Doc(vocab, words=words)
        if words:
            first = draw(st.integers(0, len(words) - 1))
            doc.ents = [tokens.Span(doc, first, draw(st.integers(first + 1, len(words))), label="PER")]
        bin_.add(doc)
    (path := folder / "a.spacy").write_bytes(bin_.to_bytes())
    return path, len(rows)


LISTS = rarely(JUNK, st.lists(rarely(JUNK, LABEL), max_size=3))
PARTED = rarely(JUNK, st.lists(LABEL, max_size=3).map(";".join))
NUMBER = rarely(JUNK, st.one_of(st.floats(-5, 5), st.integers(-9, 9), st.sampled_from(["1.5", "-2", "1e3"])))
MARK = rarely(JUNK, st.one_of(st.booleans(), st.sampled_from([0, 1, "0", "1", 0.0, "true"])))
PROBLEMS = {
    "lists": ({"label": LISTS}, {"labels": LabelForm("multi_label")}),
    "delimiter": ({"label": PARTED}, {"labels": LabelForm(None, ";")}),
    "marks": ({"yes": MARK, "no": MARK}, {"labels": LabelForm(None, None, ("yes", "no"))}),
    "number": ({"label": NUMBER}, {"labels": LabelForm("regression")}),
    "pair": ({"second": rarely(JUNK, TEXT), "label": LABEL}, {"pair_column": "second"}),
    "pair and lists": ({"second": TEXT, "label": LISTS}, {"pair_column": "second", "labels": LabelForm("multi_label")}),
    "pair and number": (
        {"second": TEXT, "label": NUMBER},
        {"pair_column": "second", "labels": LabelForm("regression")},
    ),
}


def rows_in_any_form(draw: Callable, folder: Path, columns: dict[str, st.SearchStrategy]) -> tuple[object, int]:
    rows = draw(rows_of(st.fixed_dictionaries({"text": rarely(JUNK, TEXT)} | columns)))
    form = draw(st.sampled_from(["csv", "jsonl", "json", "frame", "parquet", "arrow", "saved"]))
    path = folder / f"a.{form}"
    if form == "csv":
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=draw(st.sampled_from(",;|\t")), quoting=csv.QUOTE_ALL)
            writer.writerows([rows[0], *(row.values() for row in rows)])
    elif form == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    elif form == "json":
        path.write_text(json.dumps(rows), "utf-8")
    elif form == "frame":
        return pd.DataFrame(rows, dtype=object), len(rows)
    else:
        try:
            table = pa.Table.from_pylist(rows)
            pq.write_table(table, io.BytesIO())
        except (pa.ArrowException, OverflowError):  # a typed column cannot hold these, as objects without fields
            table = pa.table({name: [json.dumps(row[name]) for row in rows] for name in rows[0]})
        if form == "saved":
            datasets.Dataset(table).save_to_disk(path, num_shards=1)
        elif form == "parquet":
            pq.write_table(table, path)
        else:
            with pa.ipc.new_file(str(path), table.schema) as writer:
                writer.write_table(table)
    return path, len(rows)


LABELLED = [delimited, json_lines, json_list, parquet, arrow, saved, label_folders, frame]
TAGGED = [conll, spans, word_lists, listed_words, word_rows, brat, docbin]
EACH = max(1, FILES // (len(LABELLED) + len(TAGGED) + len(PROBLEMS)))
MANY = settings(
    max_examples=EACH, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)  # fmt: skip
FEW = settings(MANY, max_examples=8, derandomize=True)
fuzzed = pytest.mark.parametrize(
    "files", [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.whole)]
)


def damage(draw: Callable, source: object) -> bool:
    """Change bytes of a file, or of one in a folder, in one file of four; whether it did."""
    if not isinstance(source, Path) or draw(st.sampled_from(range(4))) < 3:
        return False
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    if not files:
        return False
    path = draw(st.sampled_from(files))
    content = path.read_bytes()
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 4)))
        content = content[:start] + draw(st.binary(max_size=4)) + content[end:]
    if draw(st.integers(0, 3)) == 0:
        content = content[: draw(st.integers(0, len(content)))]
    path.write_bytes(content)
    return True


def check(
    data: st.DataObject, folder: Path, form: Callable, read: Callable, must_skip: bool = False, **options: object
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    source, count = form(data.draw, folder)
    if isinstance(source, Path) and source.suffix == ".csv":
        must_skip = False  # a NUL, or another mark that fits as well, is of the file, not of a row
    if damage(data.draw, source):
        count, must_skip = None, False
    for skip in (False, True):
        try:
            rows = read(source, skip_bad_rows=skip, **options)
        except UserError as error:
            refusal = str(error)
        else:
            refusal = ""
        if refusal:
            assert not (skip and must_skip) or "no row that can be used" in refusal
            continue
        assert skip or not rows.skipped
        if count is not None:
            assert len(rows.data) + len(rows.skipped) + len(rows.left_out) == count
    texts = data.draw(st.booleans())
    if isinstance(source, Path) and texts and source.suffix != ".spacy":
        wanted = PredictionOptions("m", input_file=str(source), output_file="o.jsonl", skip_bad_rows=True)
        try:
            found = open_texts(wanted, tagged=read is read_tagged)
        except UserError:
            return
        if count is not None and source.suffix != ".txt" and not source.is_dir():
            assert found.count + found.skipped == count


@fuzzed
@pytest.mark.parametrize("form", LABELLED)
def test_texts_with_labels(tmp_path, form, files):
    @files
    @given(data=st.data())
    def each(data: st.DataObject) -> None:
        check(data, tmp_path / "file", form, read_classification)

    each()


@fuzzed
@pytest.mark.parametrize("problem", PROBLEMS)
def test_labels_of_every_problem(tmp_path, problem, files):
    columns, options = PROBLEMS[problem]

    def form(draw: Callable, folder: Path) -> tuple[object, int]:
        return rows_in_any_form(draw, folder, columns)

    @files
    @given(data=st.data())
    def each(data: st.DataObject) -> None:
        check(data, tmp_path / "file", form, read_classification, must_skip=True, **options)

    each()


@fuzzed
@pytest.mark.parametrize("form", TAGGED)
def test_words_with_tags(tmp_path, form, files):
    @files
    @given(data=st.data(), manner=st.sampled_from(["strict", "snap", "drop"]))
    def each(data: st.DataObject, manner: str) -> None:
        check(data, tmp_path / "file", form, read_tagged, misaligned=manner)

    each()
