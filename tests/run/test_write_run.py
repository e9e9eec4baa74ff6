"""What a run leaves is complete, agrees with the model that it saved, and repeats the run."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from conftest import run_recipe
from safetensors.torch import load_file
from transformers import AutoModelForTokenClassification, pipeline

import nlp_transfer as nt
from nlp_transfer.evaluation.evaluate_run import Report
from nlp_transfer.run.write_run import write_run
from nlp_transfer.types import RunResult

RECIPES = ("classify", "sentiment", "ner")
MAIN_SCORES = {
    "classify": ("accuracy", "macro_f1", "mcc"),
    "sentiment": ("accuracy", "macro_f1", "macro_recall", "mae_steps", "quadratic_kappa"),
    "ner": ("f1_strict", "f1_lenient", "macro_f1_strict", "precision_strict", "recall_strict"),
}


def strict_json(path: Path) -> Any:
    def refuse(word: str) -> NoReturn:
        raise AssertionError(f"{path} holds {word}, which is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", RECIPES)
def test_metrics_hold_every_split_the_baselines_and_what_training_cost(finished, name):
    metrics = strict_json(finished(name)[0] / "metrics.json")
    assert set(metrics) == {"validation", "test", "baselines", "train"}
    assert set(metrics["baselines"]) == ({"gazetteer"} if name == "ner" else {"majority", "tfidf_svm"})
    for scores in (metrics["validation"], metrics["test"], *metrics["baselines"].values()):
        for score in MAIN_SCORES[name]:
            assert isinstance(scores[score], float)
    train = metrics["train"]
    assert train["steps"] == 16  # two epochs of 64 rows in batches of 8
    assert train["seconds"] > 0
    assert train["rows_per_second"] > 0
    assert train["best_epoch"] in (1.0, 2.0)
    assert train["metric"] == nt.TransferModel.load(finished(name)[0]).head.best_metric


@pytest.mark.parametrize("name", RECIPES)
def test_transfer_json_says_how_the_model_came_about(finished, name, reviews, sentences):
    folder, _ = finished(name)
    transfer = strict_json(folder / "transfer.json")
    assert transfer["task"] == {"classify": "classification"}.get(name, name)
    assert transfer["preprocessing"]["max_length"] == nt.TransferModel.load(folder).max_length
    assert set(transfer["versions"]) >= {"nlp_transfer", "python", "torch", "transformers", "datasets", "accelerate"}
    files = sentences if name == "ner" else reviews
    assert {part: data["source"] for part, data in transfer["data"].items()} == files
    assert {part: data["rows"] for part, data in transfer["data"].items()} == {
        "train": 64,
        "validation": 16,
        "test": 16,
    }
    assert len({data["sha256"] for data in transfer["data"].values()}) == 3
    assert transfer["scores"]["test"].items() <= strict_json(folder / "metrics.json")["test"].items()
    assert transfer["options"]["learning_rate"] == 3e-3


@pytest.mark.parametrize("name", RECIPES)
def test_labels_are_the_same_everywhere_and_in_the_same_order(finished, name):
    folder, _ = finished(name)
    labels = strict_json(folder / "transfer.json")["labels"]
    config = strict_json(folder / "model" / "config.json")
    assert [config["id2label"][str(i)] for i in range(len(labels))] == labels
    assert config["label2id"] == {label: i for i, label in enumerate(labels)}
    assert list(nt.TransferModel.load(folder).head.labels) == labels
    if name != "ner":
        assert labels == ["complaint", "praise"]


@pytest.mark.parametrize("name", ["classify", "sentiment"])
def test_predictions_are_those_of_a_plain_pipeline(finished, reviews, name):
    folder, _ = finished(name)
    with open(reviews["test"], encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lines = lines_of(folder / "predictions.jsonl")
    assert [line["row"] for line in lines] == list(range(len(rows)))
    assert [line["gold"] for line in lines] == [row["label"] for row in rows]
    pipe = pipeline("text-classification", model=str(folder / "model"), dtype=torch.float32)
    for line, answer in zip(lines, pipe([row["text"] for row in rows]), strict=True):
        assert line["predicted"] == answer["label"]
        assert abs(line["probability"] - answer["score"]) < 1e-4
    right = sum(line["gold"] == line["predicted"] for line in lines) / len(lines)
    assert right == strict_json(folder / "metrics.json")["test"]["accuracy"]


def test_polarity_goes_with_the_label(finished):
    for line in lines_of(finished("sentiment")[0] / "predictions.jsonl"):
        sign = 1 if line["predicted"] == "praise" else -1
        assert abs(line["polarity"] - sign * (2 * line["probability"] - 1)) < 1e-6


def test_tags_and_spans_of_a_tagger_are_written_by_word(finished, sentences):
    folder, _ = finished("ner")
    model = nt.TransferModel.load(folder)
    gold = [block.splitlines() for block in Path(sentences["test"]).read_text().strip().split("\n\n")]
    lines = lines_of(folder / "predictions.jsonl")
    assert [line["row"] for line in lines] == list(range(len(gold)))
    for line, tagged in zip(lines, gold, strict=True):
        assert [f"{word}\t{tag}" for word, tag in zip(line["words"], line["gold"], strict=True)] == tagged
        (again,) = model.predict([line["words"]], precision="no")
        assert line["predicted"] == list(again.tags)
        assert line["probability"] == pytest.approx(again.probabilities, abs=1e-4)
        for span in line["spans"]:
            assert " ".join(line["words"])[span["start"] : span["end"]] == span["text"]


@pytest.mark.parametrize("name", RECIPES)
def test_the_options_repeat_the_run(finished, tmp_path, name):
    folder, _ = finished(name)
    assert run_recipe(name, ["--config", str(folder / "options.yaml"), "--output_dir", "again"], tmp_path).status == 0
    again = tmp_path / "again"
    for part in ("validation", "test", "baselines"):
        assert strict_json(again / "metrics.json")[part] == strict_json(folder / "metrics.json")[part]
    assert (again / "predictions.jsonl").read_bytes() == (folder / "predictions.jsonl").read_bytes()
    assert (again / "model" / "model.safetensors").read_bytes() == (folder / "model" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", RECIPES)
def test_all_files_may_be_read_alike(finished, name):
    folder, _ = finished(name)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert folder / "model" / "model.safetensors" in files
    assert len({path.stat().st_mode for path in files}) == 1


def test_weights_are_saved_in_fp32(finished):
    weights = load_file(finished("classify")[0] / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


def test_a_tagger_opens_as_a_plain_transformers_model(finished):
    folder, _ = finished("ner")
    network = AutoModelForTokenClassification.from_pretrained(folder / "model")
    assert type(network).__name__ == "BertForTokenClassification"
    pipe = pipeline("token-classification", model=str(folder / "model"), aggregation_strategy="simple")
    for entity in pipe("Anna was in Oslo ."):
        assert entity["entity_group"] in ("PER", "LOC")


def test_without_test_rows_everything_is_of_validation(tmp_path, training_flags, reviews):
    flags = [*training_flags, "--train_file", reviews["train"], "--validation_file", reviews["validation"]]
    outcome = run_recipe("classify", [*flags, "--output_dir", "run"], tmp_path)
    assert outcome.status == 0
    assert "No test rows" in outcome.err
    assert outcome.out.startswith("validation (16 rows)")
    metrics = strict_json(tmp_path / "run" / "metrics.json")
    assert set(metrics) == {"validation", "baselines", "train"}
    assert "no test split" in (tmp_path / "run" / "README.md").read_text()
    gold = [row["gold"] for row in lines_of(tmp_path / "run" / "predictions.jsonl")]
    assert gold == [line.rsplit(",", 1)[1] for line in Path(reviews["validation"]).read_text().splitlines()[1:]]


def test_names_that_are_not_utf8_can_be_written_down(checkpoint, review_splits, tmp_path):
    """A file's name is bytes; such names must not cost a user the run."""
    odd = nt.DataOptions(train_file="caf\udce9.csv")
    head = nt.TextClassificationHead(["complaint", "praise"])
    model = nt.TransferModel.load(checkpoint(), head)
    scores = {"accuracy": 0.5, "macro_f1": 0.5}
    run = RunResult(metric="accuracy", best_score=0.5, best_epoch=1.0, steps=1, seconds=1.0, rows_per_second=1.0)
    report = Report(model.head, {"test": scores}, {"majority": scores}, (), (), "test", 16, run)
    splits = review_splits.each(lambda rows: nt.Rows(**{**vars(rows), "source": "caf\udce9.csv"}))
    write_run(tmp_path, model, splits, report, [odd])
    assert strict_json(tmp_path / "transfer.json")["data"]["train"]["source"] == "caf\udce9.csv"
    assert nt.parse([nt.DataOptions], None, ["--config", str(tmp_path / "options.yaml")]) == (odd,)
    assert "caf\\udce9.csv" in (tmp_path / "README.md").read_text()


def test_test_rows_without_labels_are_predicted_and_not_scored(tmp_path, task_flags, training_flags):
    (tmp_path / "bare.csv").write_text("text\nthe train was late\nit was fine\n")
    flags = task_flags["classify"]
    flags = [*flags[: flags.index("--test_file")], "--test_file", "bare.csv", *training_flags]
    outcome = run_recipe("classify", [*flags, "--output_dir", "run"], tmp_path)
    assert outcome.status == 0, outcome.err
    assert "none of the 2 test rows has a label; they are predicted, and not scored" in outcome.err
    assert "test" not in strict_json(tmp_path / "run" / "metrics.json")
    rows = lines_of(tmp_path / "run" / "test_predictions.jsonl")
    assert [row["line"] for row in rows] == [2, 3]
    model = nt.TransferModel.load(tmp_path / "run")
    assert [row["label"] for row in rows] == [p.label for p in model.predict(["the train was late", "it was fine"])]
