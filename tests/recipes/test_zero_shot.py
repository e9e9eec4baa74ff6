"""The zero-shot recipe makes a run folder from descriptions and raw texts, with labelled test rows and without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from conftest import PLACES, run_recipe, tiny_config, word_tokenizer
from transformers import AutoModelForSequenceClassification, pipeline

import nlp_transfer as nt

DESCRIPTIONS = {
    "sport": ["a report of a match", "the team won the game", "a player scored a goal"],
    "food": ["a recipe for a meal", "how to cook something tasty", "the soup needs salt"],
}
SENTENCES = {
    "sport": ["the {} keeper saved a penalty in {}", "{} lost the final to the club of {}", "fans in {} cheered {}"],
    "food": [
        "fry the onions of {} in oil from {}",
        "the bread of {} is baked in {}",
        "{} cheese tastes like {} butter",
    ],
}
LEFT = {
    "README.md", "metrics.json", "model", "options.yaml", "predictions.jsonl", "report.html", "report.json",
    "train_predictions.jsonl", "transfer.json",
}  # fmt: skip


def labelled_lines() -> list[tuple[str, str]]:
    pairs = [(one, other) for one in PLACES for other in PLACES[:2] if one != other]
    return [(form.format(*pair), name) for pair in pairs for name, forms in SENTENCES.items() for form in forms]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Descriptions, raw texts and test rows in the folder of a test, and the flags that name them."""
    lines = labelled_lines()
    (tmp_path / "labels.yaml").write_text(yaml.safe_dump(DESCRIPTIONS))
    (tmp_path / "raw.csv").write_text("text\n" + "".join(f"{text}\n" for text, _ in lines[:60]))
    (tmp_path / "test.csv").write_text("text,label\n" + "".join(f"{text},{name}\n" for text, name in lines[60:]))
    return ["--labels_file", "labels.yaml", "--text_file", "raw.csv"]


@pytest.mark.usefixtures("with_reports")
def test_descriptions_and_raw_texts_become_a_run(files, tmp_path):
    outcome = run_recipe("zero_shot", [*files, "--test_file", "test.csv"], tmp_path)
    assert outcome.status == 0, outcome.err
    run = tmp_path / "runs" / "zero_shot"
    assert {path.name for path in run.iterdir()} == LEFT
    heading, model, chance, names = outcome.out.splitlines()
    assert heading.startswith("test (24 rows)")
    assert float(model.split()[-2]) > 0.9
    assert (chance.split()[0], names[:18]) == ("chance", "nearest label name")
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["baselines"]) == {"chance", "label_names"}
    assert 0.5 <= metrics["label_free"]["expected_accuracy"] <= 1
    assert "hardly tells" not in outcome.err

    texts = [text for text, _ in labelled_lines()[:60]]
    written = [json.loads(line) for line in (run / "train_predictions.jsonl").read_text().splitlines()]
    assert [line["line"] for line in written] == list(range(2, 62))
    opened = pipeline("text-classification", model=str(run / "model"))(texts)
    assert [answer["label"] for answer in opened] == [line["label"] for line in written]
    assert "without a labelled row" in (run / "README.md").read_text().replace("\n", " ")
    assert "Learned without a labelled row" in (run / "report.html").read_text()
    assert nt.verify_run(run).difference < 1e-3


@pytest.mark.usefixtures("with_reports")
def test_without_test_rows_nothing_is_scored_and_everything_else_is_there(files, tmp_path):
    outcome = run_recipe("zero_shot", [*files, "--output_dir", "run"], tmp_path)
    assert outcome.status == 0, outcome.err
    assert outcome.out == "Nothing was scored: there is no --test_file with labels.\n"
    assert "Expected to be right, without having seen a label" in outcome.err
    assert {path.name for path in (tmp_path / "run").iterdir()} == LEFT - {"predictions.jsonl"}
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert set(metrics) == {"baselines", "label_free", "train"}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Nothing was scored: no row has a label." in page
    assert 'id="scores"' not in page
    assert "None: there were no rows with labels" in (tmp_path / "run" / "README.md").read_text()
    assert nt.verify_run(tmp_path / "run").rows == 32

    nt.draw_reports([tmp_path / "run"])
    other = run_recipe("zero_shot", [*files, "--output_dir", "other", "--report", "true"], tmp_path)
    assert other.status == 0
    with pytest.raises(nt.DataError, match="is a run without scored rows"):
        nt.draw_reports([tmp_path / "run", tmp_path / "other"], tmp_path / "both.html")


def test_probabilities_say_what_is_expected_and_the_same_command_gives_the_same(files, tmp_path):
    flags = [*files, "--no_report", "--output_dir"]
    for name in ("one", "two"):
        assert run_recipe("zero_shot", [*flags, name], tmp_path).status == 0
    one, two = ((tmp_path / name / "train_predictions.jsonl").read_bytes() for name in ("one", "two"))
    assert one == two
    lines = [json.loads(line) for line in one.splitlines()]
    mean = sum(line["probability"] for line in lines) / len(lines)
    expected = json.loads((tmp_path / "one" / "metrics.json").read_text())["label_free"]["expected_accuracy"]
    assert mean == pytest.approx(expected, abs=0.02)


def test_names_alone_are_enough_for_any_encoder(checkpoint, files, tmp_path):
    """A head of the encoder's family has more than a linear layer: the network gets mean pooling in its place."""
    flags = ["--label_names", "sport,food", *files[2:], "--model_name_or_path", checkpoint(), "--output_dir", "run"]
    outcome = run_recipe("zero_shot", flags, tmp_path)
    assert outcome.status == 0, outcome.err
    assert nt.TransferModel.load(tmp_path / "run").head.pooling == "mean"
    assert "two or more for each let the expected accuracy be told better" in outcome.err
    repeated = run_recipe("zero_shot", ["--config", "run/options.yaml", "--output_dir", "again"], tmp_path)
    assert repeated.status == 0, repeated.err


def test_labels_that_the_encoder_cannot_tell_apart_are_told_of(checkpoint, files, tmp_path):
    """A random network knows nothing of what texts mean."""
    outcome = run_recipe("zero_shot", [*files, "--model_name_or_path", checkpoint(), "--output_dir", "run"], tmp_path)
    assert outcome.status == 0, outcome.err
    (warning,) = [line for line in outcome.err.splitlines() if "hardly tells these labels apart" in line]
    assert "where chance is 50%" in warning
    lines = [json.loads(line) for line in (tmp_path / "run" / "train_predictions.jsonl").read_text().splitlines()]
    assert sum(line["probability"] for line in lines) / len(lines) < 0.72
    assert "hardly tells these labels apart" in (tmp_path / "run" / "README.md").read_text()


def test_of_many_texts_a_sample_is_learned_from_and_all_are_predicted(checkpoint, files, tmp_path):
    flags = [*files, "--model_name_or_path", checkpoint(), "--sample", "20", "--output_dir", "run"]
    outcome = run_recipe("zero_shot", flags, tmp_path)
    assert outcome.status == 0, outcome.err
    assert "Learning from 20 of the 60 raw texts, drawn at random (--sample)." in outcome.err
    assert len((tmp_path / "run" / "train_predictions.jsonl").read_text().splitlines()) == 60


def test_predicting_reads_the_column_that_was_named(files, tmp_path):
    raw = (tmp_path / "raw.csv").read_text()
    (tmp_path / "raw.csv").write_text("message,text\n" + "".join(f"{t},other\n" for t in raw.splitlines()[1:]))
    flags = [*files, "--text_column_name", "message", "--output_dir", "run"]
    assert run_recipe("zero_shot", flags, tmp_path).status == 0
    predict = ["--model_name_or_path", "run", "--input_file", "raw.csv", "--output_file", "out.jsonl"]
    outcome = run_recipe("predict", predict, tmp_path)
    assert outcome.status == 0, outcome.err
    assert "--text_column_name message" in outcome.err


def test_a_teacher_is_asked_and_trusted_no_further_than_it_agrees(files, tmp_path):
    """A random network, whose answers have nothing to do with the texts."""
    tokenizer, labels = word_tokenizer(), ["contradiction", "neutral", "entailment"]
    config = tiny_config("bert", len(tokenizer))
    config.id2label, config.label2id = dict(enumerate(labels)), {name: i for i, name in enumerate(labels)}
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / "nli")
    tokenizer.save_pretrained(tmp_path / "nli")
    flags = [*files, "--teacher", "nli", "--teacher_texts", "30", "--no_report", "--output_dir", "run"]
    outcome = run_recipe("zero_shot", flags, tmp_path)
    assert outcome.status == 0, outcome.err
    assert "Asking the teacher about 30 raw texts." in outcome.err
    assert "The teacher is left out" in outcome.err or "The teacher counts for" in outcome.err
    written = [json.loads(line) for line in (tmp_path / "run" / "train_predictions.jsonl").read_text().splitlines()]
    names = [name for _, name in labelled_lines()[:60]]
    assert sum(line["label"] == name for line, name in zip(written, names, strict=True)) > 50


BAD = {
    "one label": (["labels.yaml names one label, 'a'; name two or more"], {"labels.yaml": "a: b\n"}, []),
    "same description": (["'a' and 'b' have the same description"], {"labels.yaml": "a: x\nb: X\n"}, []),
    "empty description": (["the description of the label 'b' is empty"], {"labels.yaml": "a: x\nb:\n"}, []),
    "no labels file": (["cannot read labels.yml"], {}, ["--labels_file", "labels.yml"]),
    "both kinds of labels": (["--labels_file and --label_names both name the labels"], {}, ["--label_names", "a,b"]),
    "empty text": (
        ["raw.csv has 1 row with no text (line 3)", "--skip_bad_rows"], {"raw.csv": "n,text\n1,a\n2,\n"}, [],
    ),
    "fewer texts than labels": (["raw.csv has 1 raw text for 2 labels"], {"raw.csv": "text\na\n"}, []),
    "another column alone": (
        ["raw.csv has no column with a usual name for the text; its columns are: body"],
        {"raw.csv": "body\na\nb\n"}, [],
    ),
    "wrong column": (["raw.csv has no column 'bodi' (did you mean 'body'?)"], {"raw.csv": "body\na\n"},
                     ["--text_column_name", "bodi"]),
    "no rows": (["raw.csv holds", "no rows"], {"raw.csv": "text\n"}, []),
    "empty file": (["raw.csv is empty"], {"raw.csv": ""}, []),
    "no raw texts": (["rwa.csv does not exist", "did you mean raw.csv?"], {}, ["--text_file", "rwa.csv"]),
    "unknown test label": (
        ["test.csv has one label that labels.yaml lacks: 'foood' (line 2; did you mean 'food'?)"],
        {"test.csv": "text,label\na,foood\nb,sport\n"}, ["--test_file", "test.csv"],
    ),
    "unknown test label beside names": (
        ["test.csv has 1 row with a label beside the 2 of --label_names (line 3)"],
        {"test.csv": "text,label\na,food\nb,sprot\n"}, ["--test_file", "test.csv", "--labels_file", "",
                                                       "--label_names", "sport,food"],
    ),
    "test rows without labels": (
        ["test.csv has no column with a usual name for the label"], {"test.csv": "text\na\n"},
        ["--test_file", "test.csv"],
    ),
    "label column of nothing": (["--label_column_name names a column of --test_file"], {},
                                ["--label_column_name", "x"]),
    "template without a place": (["--teacher_template has no {}"], {}, ["--teacher_template", "about sport"]),
    "no teacher": (["--teacher ./nothing does not open as an NLI model"], {}, ["--teacher", "./nothing"]),
    "no encoder": (["./nothing"], {}, ["--model_name_or_path", "./nothing"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line_and_leaves_nothing(checkpoint, files, tmp_path, case):
    says, contents, flags = BAD[case]
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    before = set(tmp_path.rglob("*"))
    outcome = run_recipe("zero_shot", [*files, "--model_name_or_path", checkpoint(), *flags], tmp_path)
    assert outcome.status == 2, outcome.err
    assert outcome.out == ""
    errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert errors == outcome.err.splitlines()[-1:]
    for words in says:
        assert words in errors[0]
    assert set(tmp_path.rglob("*")) == before


def test_bad_rows_are_left_out_when_asked_and_blank_lines_are_no_texts(checkpoint, files, tmp_path):
    (tmp_path / "raw.csv").write_text("n,text\n1,a\n2,\n3,b\n")
    (tmp_path / "raw.txt").write_text("a\n\n \nb\n")
    flags = [*files[:2], "--model_name_or_path", checkpoint()]
    skipping = ["--text_file", "raw.csv", "--skip_bad_rows", "--output_dir", "run"]
    outcome = run_recipe("zero_shot", [*flags, *skipping], tmp_path)
    assert outcome.status == 0, outcome.err
    assert "raw.csv: left out 1 bad row (line 3)." in outcome.err
    outcome = run_recipe("zero_shot", [*flags, "--text_file", "raw.txt", "--output_dir", "lines"], tmp_path)
    assert outcome.status == 0, outcome.err
    written = (tmp_path / "lines" / "train_predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in written] == [1, 4]


def test_ids_of_labels_have_the_names_that_were_given(checkpoint, files, tmp_path):
    (tmp_path / "test.csv").write_text("text,label\na goal,0\na meal,1\n")
    flags = ["--label_names", "sport,food", *files[2:], "--test_file", "test.csv", "--model_name_or_path", checkpoint()]
    assert run_recipe("zero_shot", [*flags, "--output_dir", "run"], tmp_path).status == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert [line["gold"] for line in lines] == ["sport", "food"]
