"""A file goes in, predictions come out: in order, in constant memory, and the same after a stop."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import RECIPES, Outcome, run_recipe
from forking import in_two_processes

import nlp_transfer as nt
from nlp_transfer.data.prediction_rows import open_texts
from nlp_transfer.evaluation import predict_file
from nlp_transfer.evaluation.resumable_output import ResumableOutput

TEXTS = ["good", "the coffee was bad, and the train was sad", "a zebra", "Anna was in Oslo. " * 5, "bad"] * 7
HEADS: dict[str, Callable[[], nt.TaskHead]] = {
    "native": lambda: nt.TextClassificationHead(["z", "a", "m"]),
    "pooled": lambda: nt.TextClassificationHead(["z", "a", "m"], pooling="mean", hidden=(16,)),
    "sentiment": lambda: nt.SentimentHead(["1", "2", "10"]),
    "ner": lambda: nt.NERHead(["PER", "LOC"]),
}


@pytest.fixture(scope="module")
def models(checkpoint, tmp_path_factory) -> Callable[[str], Path]:
    """`models(head)` is a folder with a tiny model whose predictions differ between texts."""
    folder = tmp_path_factory.mktemp("models")

    def make(head: str) -> Path:
        if not (folder / head).exists():
            model = nt.TransferModel.load(checkpoint(), HEADS[head]())
            torch.manual_seed(0)
            torch.nn.init.normal_(model.network.classifier.weight)
            model.save(folder / head)
        return folder / head

    return make


@pytest.fixture
def small(monkeypatch) -> None:
    """Parts of ten rows."""
    monkeypatch.setattr(predict_file, "WINDOW", 10)


def write(folder: Path, texts: list[str] = TEXTS) -> None:
    lines = [json.dumps({"text": text, "key": f"k{i}", "label": "none"}) for i, text in enumerate(texts)]
    (folder / "in.jsonl").write_text("\n".join(lines) + "\n")


def predict(folder: Path, model: Path, *flags: str, source: str = "in.jsonl", target: str = "out.jsonl") -> Outcome:
    files = ["--model_name_or_path", str(model), "--input_file", source, "--output_file", target]
    return run_recipe("predict", [*files, "--mixed_precision", "no", *flags], folder)


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("head", HEADS)
def test_each_row_gets_what_it_gets_alone_in_the_order_of_the_input(models, tmp_path, small, head):
    write(tmp_path)
    outcome = predict(tmp_path, models(head), "--id_column_name", "key")
    assert outcome.status == 0, outcome.err
    assert outcome.err.startswith("35 rows predicted in")
    predicted = lines(tmp_path)
    if head == "ner":
        assert f"{sum(len(line['words']) for line in predicted):,} words tagged, 0 words lost." in outcome.err
    assert [line["line"] for line in predicted] == list(range(1, 36))
    assert [line["id"] for line in predicted] == [f"k{i}" for i in range(35)]
    model = nt.TransferModel.load(models(head))
    for line, text in zip(predicted, TEXTS, strict=True):
        (alone,) = model.predict([text], precision="no")
        assert line["probability"] == pytest.approx(
            list(alone.probabilities) if head == "ner" else alone.probability, abs=2e-6
        )
        if head == "ner":
            assert (line["words"], line["tags"]) == (list(alone.words), list(alone.tags))
            assert len(line["spans"]) == len(alone.spans)
            assert all(text[span["start"] : span["end"]] == span["text"] for span in line["spans"])
        else:
            assert line["label"] == alone.label
        assert ("polarity" in line) == (head == "sentiment")
    assert os.listdir(tmp_path) in (["in.jsonl", "out.jsonl"], ["out.jsonl", "in.jsonl"])


@pytest.mark.parametrize("head", ["sentiment", "ner"])
def test_parquet_holds_what_json_lines_hold(models, tmp_path, small, head):
    write(tmp_path)
    flags = () if head == "ner" else ("--all_probabilities",)
    for target in ("out.jsonl", "out.parquet"):
        assert predict(tmp_path, models(head), *flags, target=target).status == 0
    predicted = lines(tmp_path)
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == predicted
    if head == "sentiment":
        assert all(sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-5) for line in predicted)


@pytest.mark.parametrize("target", ["out.jsonl", "out.parquet"])
def test_a_run_that_was_killed_resumes_and_ends_the_same(models, tmp_path, small, monkeypatch, target):
    write(tmp_path)
    assert predict(tmp_path, models("native"), target="whole" + target).status == 0
    write_part, written, outputs = ResumableOutput.write, [], []

    def dies(self: ResumableOutput, number: int, *rest: object) -> None:
        written.append(number)
        outputs.append(self)  # as a notebook holds the frames of an error
        if len(written) == 3:
            raise KeyboardInterrupt
        write_part(self, number, *rest)

    monkeypatch.setattr(ResumableOutput, "write", dies)
    assert predict(tmp_path, models("native"), target=target).status == 130
    assert not (tmp_path / target).exists()
    outcome = predict(tmp_path, models("native"), target=target)
    assert outcome.status == 0
    assert "15 rows predicted" in outcome.err
    assert "20 by an earlier run" in outcome.err
    assert written == [0, 1, 2, 2, 3]
    assert (tmp_path / target).read_bytes() == (tmp_path / f"whole{target}").read_bytes()


@pytest.mark.parametrize("change", ["input", "model", "option"])
def test_parts_of_something_else_are_discarded(models, tmp_path, small, monkeypatch, change):
    write(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(ResumableOutput, "join", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        assert predict(tmp_path, models("native")).status == 130
    if change == "input":
        write(tmp_path, TEXTS[::-1])
    flags = ["--all_probabilities"] if change == "option" else []
    outcome = predict(tmp_path, models("pooled" if change == "model" else "native"), *flags)
    assert "another model, input or options; they are discarded" in outcome.err
    assert "35 rows predicted" in outcome.err


@pytest.mark.whole
def test_two_processes_write_the_same_file(models, tmp_path):
    write(tmp_path, [f"the coffee was good {i}" for i in range(4100)])  # two parts
    assert predict(tmp_path, models("native")).status == 0
    flags = ["--model_name_or_path", str(models("native")), "--input_file", "in.jsonl", "--mixed_precision", "no"]
    run = in_two_processes(tmp_path, RECIPES / "predict.py", *flags, "--output_file", "two.jsonl")
    assert run.stderr.count("4,100 rows predicted") == 1
    assert (tmp_path / "two.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()


def test_an_output_is_replaced_only_when_asked(models, tmp_path):
    write(tmp_path)
    (tmp_path / "out.jsonl").write_text("mine")
    outcome = predict(tmp_path, models("native"))
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "out.jsonl exists already; name another, or give --overwrite_output_file." in outcome.err
    assert (tmp_path / "out.jsonl").read_text() == "mine"
    assert predict(tmp_path, models("native"), "--overwrite_output_file").status == 0
    assert len(lines(tmp_path)) == 35


def test_agreement_of_half_precision_is_told(models, tmp_path):
    write(tmp_path)
    for head, what in (("native", "label"), ("ner", "tags")):
        flags = ["--mixed_precision", "bf16", "--check_precision", "20", "--overwrite_output_file"]
        outcome = predict(tmp_path, models(head), *flags)
        assert outcome.status == 0, outcome.err
        assert f"of the first 20 rows the {what} that fp32 gives" in outcome.err


FORMS = {
    "in.csv": b"id,text\n1,good\n2,Anna was\n",
    "in.tsv": b"id\ttext\n1\tgood\n2\tAnna was\n",
    "in.json": b'[{"text": "good"}, {"text": "Anna was"}]',
    "in.txt": b"good\n\nAnna was\n",
}


def options(folder: Path, source: str, **more: object) -> nt.PredictionOptions:
    return nt.PredictionOptions(
        model_name_or_path="m", output_file="out.jsonl", input_file=str(folder / source), **more
    )


@pytest.mark.parametrize("name", FORMS)
def test_texts_are_read_from_every_form(tmp_path, name):
    (tmp_path / name).write_bytes(FORMS[name])
    texts = open_texts(options(tmp_path, name, text_column_name="text"), tagged=name == "in.tsv")
    assert [text.text for text in texts] == [text.text for text in texts] == ["good", "Anna was"]
    assert (texts.count, texts.skipped) == (2, 0)


def test_a_tagger_tells_a_header_from_words(tmp_path):
    for content, expected in (
        (FORMS["in.tsv"], ["good", "Anna was"]),
        (b"text\nAnna was\n", ["Anna was"]),
        (b"text\tO\n\nAnna\tB-PER\nwas\tO\n", [["text"], ["Anna", "was"]]),
    ):
        (tmp_path / "in.tsv").write_bytes(content)
        assert [row.text for row in open_texts(options(tmp_path, "in.tsv"), tagged=True)] == expected


def test_a_tagger_reads_words_and_texts(tmp_path):
    (tmp_path / "in.conll").write_text("Anna\tB-PER\nwas\tO\n\nOslo\tB-LOC\n")
    (tmp_path / "bare.conll").write_text("Anna\nwas\n\nOslo\n")
    pq.write_table(pa.table({"text": ["x", "y"], "tokens": [["Anna", "was"], ["Oslo"]]}), tmp_path / "in.parquet")
    for name in ("in.conll", "bare.conll", "in.parquet"):
        assert [row.text for row in open_texts(options(tmp_path, name), tagged=True)] == [["Anna", "was"], ["Oslo"]]


def test_rows_are_read_no_further_than_a_part(tmp_path, monkeypatch):
    monkeypatch.setattr(predict_file, "WINDOW", 10)
    taken = []
    chunks = predict_file._chunks(iter(lambda: taken.append(0), 1))
    assert taken == []
    assert len(next(chunks)) == len(taken) == 10


BAD = {
    "missing file": ("x", ["--input_file", "inn.jsonl"], "inn.jsonl does not exist; did you mean in.jsonl?"),
    "missing column": ("x", ["--text_column_name", "txt"], "has no column 'txt' (did you mean 'text'?); its columns"),
    "missing id": ("x", ["--id_column_name", "no"], "has no column 'no'; its columns are: text, key, label."),
    "no column": ('{"a": "b"}\n', [], "has no column with a usual name for the text; its columns are: a."),
    "empty": ("", [], "in.jsonl is empty"),
    "blank": ('{"text": "a"}\n{"text": " "}\n', [], "1 row with no text (line 2). Mend them, or leave them out"),
    "broken": ('{"text": "a"}\n{"te\n', [], "1 row with broken JSON"),
    "no model": ("x", ["--model_name_or_path", "./nothing"], "./nothing"),
    "no input": ("x", ["--input_file", ""], "--input_file is missing"),
    "two inputs": ("x", ["--dataset_name", "a"], "--input_file and --dataset_name both name what to predict"),
    "bad suffix": ("x", ["--output_file", "out.csv"], "give a file with the suffix .jsonl or .parquet"),
    "unknown flag": ("x", ["--batch", "3"], "unknown option --batch"),
    "precision": ("x", ["--mixed_precision", "int8"], "--mixed_precision must be auto, no, bf16 or fp16"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(models, tmp_path, case):
    content, flags, message = BAD[case]
    write(tmp_path)
    if content != "x":
        (tmp_path / "in.jsonl").write_text(content)
    outcome = predict(tmp_path, models("native"), *flags)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1), outcome.err
    assert message in outcome.err
    assert os.listdir(tmp_path) == ["in.jsonl"]


def test_bad_rows_are_left_out_when_asked(models, tmp_path):
    write(tmp_path, ["good", " ", "bad"])
    outcome = predict(tmp_path, models("native"), "--skip_bad_rows")
    assert outcome.status == 0
    assert "Left out 1 bad row." in outcome.err
    assert [line["line"] for line in lines(tmp_path)] == [1, 3]


def test_a_tagger_has_no_probabilities_of_all_tags(models, tmp_path):
    write(tmp_path)
    assert "--all_probabilities is for classifiers" in predict(tmp_path, models("ner"), "--all_probabilities").err


def test_a_model_reads_as_its_run_has_read(reviews, training_flags, tmp_path):
    """The text stands in a column without a usual name, beside one that has one."""
    for name, path in reviews.items():
        rows = [line.split(",") for line in Path(path).read_text().splitlines()[1:]]
        (tmp_path / f"{name}.csv").write_text("body;text;label\n" + "".join(f"{a};x, y;{b}\n" for a, b in rows))
    files = [word for name in reviews for word in (f"--{name}_file", f"{name}.csv")]
    told = ["--text_column_name", "body", "--delimiter", ";", "--output_dir", "run"]
    assert run_recipe("classify", [*files, *training_flags, *told], tmp_path).status == 0
    outcome = predict(tmp_path, Path("run"), source="test.csv")
    assert outcome.status == 0, outcome.err
    assert outcome.err.startswith("As in training (run): --text_column_name body, --delimiter ';'.\n")
    scored = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert [line["label"] for line in lines(tmp_path)] == [line["predicted"] for line in scored]
    for line, again in zip(scored, lines(tmp_path), strict=True):
        assert again["probability"] == pytest.approx(line["probability"], abs=1e-5)
    given = predict(tmp_path, Path("run"), "--text_column_name", "text", "--overwrite_output_file", source="test.csv")
    assert given.err.startswith("As in training (run): --delimiter ';'.\n")
    assert len({line["probability"] for line in lines(tmp_path)}) == 1  # all texts are "x, y"
