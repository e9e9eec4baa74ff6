"""The page of a run shows all findings, is self-contained, describes pictures in words too, and escapes all text."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate import Accelerator
from conftest import Elements, review_lines, run_recipe, sentence_lines
from datasets import Dataset

import nlp_transfer as nt
from nlp_transfer.metrics.calibration_error import expected_calibration_error
from nlp_transfer.run.report import write_report
from nlp_transfer.run.report.confusion_matrix import MOST_LABELS, matrix_picture
from nlp_transfer.run.report.wording import verdict
from nlp_transfer.run.write_run import write_run

pytestmark = pytest.mark.usefixtures("with_reports")

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'></text></svg>&amp; $x_1$ {{ 7 * 7 }}"
TASKS = ("classification", "sentiment", "multi_label", "regression", "ner")


def rows_of(task: str) -> list[dict[str, Any]]:
    """Forty rows of a task, with what could be taken for code in texts and labels."""
    if task == "ner":
        return [
            {"words": [EVIL, *(word for word, _ in sentence)], "tags": [f"B-{EVIL}", *(tag for _, tag in sentence)]}
            for sentence in sentence_lines(40)
        ]
    label: Callable[[int, str], Any] = {
        "classification": lambda i, name: name + EVIL,
        "sentiment": lambda i, name: name + EVIL,
        "multi_label": lambda i, name: [[], [name], [name, EVIL]][i % 3],
        "regression": lambda i, name: i / 7,
    }[task]
    return [{"text": f"{text} {EVIL}", "label": label(i, name)} for i, (text, name) in enumerate(review_lines(40))]


@pytest.fixture(scope="module")
def reported(checkpoint, tmp_path_factory) -> Callable[[str], Path]:
    """`reported(task)` is a folder with what an untrained model's report leaves."""
    made: dict[str, Path] = {}

    def make(task: str) -> Path:
        if task in made:
            return made[task]
        rows = rows_of(task)
        parts = [Dataset.from_list(part) for part in (rows[:24], rows[24:30], rows[30:])]
        splits = nt.splits_from(*parts, task="ner" if task == "ner" else "classification")
        if task == "ner":
            head, splits = nt.NERHead.for_splits(splits)
        else:
            head = nt.text_head_for(splits)
        if task == "sentiment":
            head = nt.SentimentHead(list(head.labels))
        nt.set_seed(0)
        model = nt.TransferModel.load(checkpoint(), head)
        history = tuple(
            {"step": i, "epoch": i / 2, **({f"validation_{head.best_metric}": 0.1 * i} if i % 2 else {"loss": 1 / i})}
            for i in range(1, 9)
        )
        if task == "multi_label":
            head.scaling = {name: [2.0, -0.5] for name in head.labels}
        elif task != "regression":
            head.temperature = 0.5
        run = nt.RunResult(head.best_metric, 0.5, 2.5, 8, 2.0, 32.0, 10, history)
        report = nt.evaluate_run(model, splits, run, Accelerator(), batch_size=7)
        folder = tmp_path_factory.mktemp(task)
        given = nt.DataOptions(train_file=f"/home/me/{EVIL.replace('/', '')}.csv"), nt.TrainingOptions(verify=False)
        write_run(folder, model, splits, report, given)
        made[task] = folder
        return folder

    return make


def page_of(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def findings_in(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("task", TASKS)
def test_a_page_needs_nothing_else_and_takes_no_text_for_code(reported, task):
    page = page_of(reported(task))
    elements = Elements(page).seen
    assert not {"script", "img", "iframe", "object", "link", "form"} & {tag for tag, _ in elements}
    assert not [name for _, attributes in elements for name in attributes if name.startswith("on")]
    for tag, attributes in elements:
        for name in ("src", "href", "xlink:href", "action"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert "{{ 7 * 7 }}" in page  # as it stands in the data
    assert "/home/me" not in page
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [(attributes["href"] or "")[1:] for tag, attributes in elements if tag == "a"]
    assert set(links) <= set(ids)
    assert len(links) >= 8
    pictures = [attributes for _, attributes in elements if attributes.get("role") == "img"]
    assert len(pictures) == page.count("<svg") == page.count("</svg>") >= 4
    assert all(len(picture["aria-label"] or "") > 20 for picture in pictures)


@pytest.mark.parametrize("task", TASKS)
def test_what_is_shown_is_what_was_scored(reported, task):
    folder = reported(task)
    findings, metrics = findings_in(folder), json.loads((folder / "metrics.json").read_text())
    for score in findings["scores"]:
        of_model = score["model"]
        assert of_model["score"] == pytest.approx(metrics["test"][score["name"]])
        assert of_model["low"] - 1e-9 <= of_model["score"] <= of_model["high"] + 1e-9
        for baseline, scores in zip(score["baselines"], metrics["baselines"].values(), strict=True):
            assert baseline["score"] == pytest.approx(scores[score["name"]])
            sign = -1 if score["lower_is_better"] else 1
            gain = sign * (of_model["score"] - baseline["score"])
            assert baseline["difference"]["score"] == pytest.approx(gain)
    for grouping in findings["slices"]:
        if grouping["metric"] != "recall":
            assert sum(part["rows"] for part in grouping["slices"]) == findings["rows"] == 10
    assert findings["data"]["test"]["sha256"][:16] in page_of(folder)


def test_labels_of_the_page_are_those_of_the_metrics(reported):
    for task, name in (("classification", "f1_per_class"), ("multi_label", "f1_per_class")):
        folder = reported(task)
        scores = json.loads((folder / "metrics.json").read_text())["test"][name]
        for line in findings_in(folder)["by_label"]:
            assert line["f1"] == pytest.approx(scores.get(line["name"], 0))
    folder = reported("ner")
    of_type = json.loads((folder / "metrics.json").read_text())["test"]["per_type"]
    for line in findings_in(folder)["by_label"]:
        assert line["f1"] == pytest.approx(of_type.get(line["name"], {"f1": 0})["f1"])
        assert line["rows"] == of_type.get(line["name"], {"support": 0})["support"]


def test_calibration_is_shown_before_and_after(reported):
    for task in ("classification", "multi_label"):
        folder, rows = reported(task), rows_of(task)[30:]
        model, findings = nt.TransferModel.load(folder), findings_in(folder)
        for calibrated, key in ((True, "calibrated"), (False, "uncalibrated")):
            predicted = model.predict([row["text"] for row in rows], precision="no", calibrated=calibrated)
            if task == "classification":
                right = [p.label == row["label"] for p, row in zip(predicted, rows, strict=True)]
                expected = expected_calibration_error([p.probability for p in predicted], right)
            else:
                pairs = [(p.probabilities[name], name in row["label"])
                         for p, row in zip(predicted, rows, strict=True) for name in p.probabilities]  # fmt: skip
                expected = expected_calibration_error(*zip(*pairs, strict=True))
            assert findings[key]["ece"] == pytest.approx(expected, abs=1e-4)
        assert findings["calibrated"] != findings["uncalibrated"]
        assert "fitted to the validation rows alone" in page_of(folder)
    folder, rows = reported("ner"), rows_of("ner")[30:]
    model, findings = nt.TransferModel.load(folder), findings_in(folder)
    means = {}
    for calibrated, key in ((True, "calibrated"), (False, "uncalibrated")):
        predicted = model.predict([row["words"] for row in rows], precision="no", calibrated=calibrated)
        means[key] = np.mean([entity.score for p in predicted for entity in p.spans])
        bins = [b for b in findings[key]["bins"] if b["rows"]]
        mean = sum(b["rows"] * b["probability"] for b in bins) / sum(b["rows"] for b in bins)
        assert mean == pytest.approx(means[key], abs=1e-4)
    assert means["calibrated"] > means["uncalibrated"] + 0.01  # of a temperature of a half


def test_errors_are_those_of_wrong_rows_the_most_confident_first(reported):
    findings = findings_in(reported("classification"))
    errors = findings["errors"]
    assert len(errors) == sum(count for true, predicted, count in findings["confusion"] if true != predicted) > 0
    assert [e["probability"] for e in errors] == sorted((e["probability"] for e in errors), reverse=True)
    assert all(e["true"] != e["said"] and e["probability"] >= e["of_true"] for e in errors)
    assert all(rows_of("classification")[30 + e["row"]]["label"] == e["true"] for e in errors)


def test_a_page_is_drawn_again_and_runs_are_set_side_by_side(reported, tmp_path):
    folder, other, ner = reported("classification"), tmp_path / "other", reported("ner")
    again = run_recipe("report", [str(folder), "--output_file", "again.html"], tmp_path)
    assert (again.status, again.err) == (0, "again.html is written.\n")
    assert (tmp_path / "again.html").read_text() == page_of(folder)
    shutil.copytree(folder, other)
    assert run_recipe("report", [str(folder), str(other)], tmp_path).status == 0
    both = (tmp_path / "report.html").read_text()
    assert both.count("<strong>+0.000</strong>") == 2  # the same run, by accuracy and macro F1
    assert "cannot be compared" not in both
    data = findings_in(other)
    data["data"]["test"]["sha256"] = "of other rows"
    (other / "report.json").write_text(json.dumps(data))
    assert run_recipe("report", [str(folder), str(other)], tmp_path).status == 0
    both = (tmp_path / "report.html").read_text()
    assert "was scored on other rows" in both
    assert "<strong>+0.000</strong>" not in both
    (other / "report.json").write_text(json.dumps({"version": 1, "task": "classification"}))
    for flags, message in (
        ([], "name the folder of a run"),
        ([str(folder), str(folder)], "a run is named twice"),
        (["--output_file", "page.html", str(folder)], "the folders of runs come first, then the options"),
        (["gone"], "gone holds no run: there is no report.json"),
        ([str(folder), str(ner)], "is a run of ner and"),
        ([str(other)], "report.json lacks values of the page"),
        ([str(folder), "--output_file", "gone/page.html"], "cannot write gone/page.html: No such file"),
    ):
        refused = run_recipe("report", flags, tmp_path)
        assert refused.status == 2
        assert message in refused.err
        assert refused.err.count("\n") == 1


def test_a_report_that_fails_costs_no_one_the_run(task_flags, training_flags, tmp_path, monkeypatch, caplog):
    def fail(*_: Any) -> None:
        raise RuntimeError("no room\nfor pictures")

    monkeypatch.setattr(write_report, "run_findings", fail)
    flags = [*task_flags["classify"], *training_flags, "--max_train_steps", "1", "--output_dir"]
    with caplog.at_level(logging.WARNING):
        assert run_recipe("classify", [*flags, "run"], tmp_path).status == 0
    assert "No report.html was written: RuntimeError: no room for pictures" in caplog.text
    assert (tmp_path / "run" / "transfer.json").exists()
    assert not (tmp_path / "run" / "report.html").exists()
    monkeypatch.setattr(write_report, "write_run_report", fail)
    assert run_recipe("classify", [*flags, "plain", "--report", "false"], tmp_path).status == 0
    assert not (tmp_path / "plain" / "report.html").exists()


def test_all_of_77_labels_are_named_in_letters_that_can_be_read():
    labels = [f"label_{i}" for i in range(77)]
    picture, width = matrix_picture(labels, [(a, b, 1) for a, b in zip(labels, [*labels[1:], labels[0]], strict=True)])
    for label in labels:
        assert picture.svg.count(f">{label}</text>") == 2  # beside the rows and above the columns
    box = [float(part) for part in re.search(r'viewBox="([^"]*)"', picture.svg)[1].split()]
    sizes = [float(size) for size in re.findall(r"font-size: ([0-9.]+)px", picture.svg)]
    assert min(sizes) * width / box[2] >= 7
    assert width < 1200
    assert matrix_picture([str(i) for i in range(MOST_LABELS + 1)], []) is None
    assert matrix_picture(["a", "b"], [("a", "a", 3), ("b", "a", 1)])[1] <= 352
    assert (
        matrix_picture([f"creative-wor{i}" for i in range(6)], [("", "creative-wor0", 412)])[1] <= 368
    )  # no scrolling


@pytest.mark.parametrize(
    ("gain", "sentence"),
    [
        ((-0.2, -0.3, -0.1), "The transfer did not pay. Accuracy is 0.600 (95% 0.500 to 0.700), worse than the best"),
        ((0.0, -0.1, 0.1), "The gain over the best baseline, svm (0.600), is not significant: +0.000"),
        ((0.2, 0.1, 0.3), "better than the best baseline, svm (0.600) by 0.200 (95% 0.100 to 0.300)."),
    ],
)
def test_the_verdict_says_first_where_transfer_lost(gain, sentence):
    gap = dict(zip(("score", "low", "high"), gain, strict=True))
    baselines = [{"name": name, "score": score, "difference": gap} for name, score in (("majority", 0.1), ("svm", 0.6))]
    ours = {"score": 0.6, "low": 0.5, "high": 0.7}
    score = {"name": "accuracy", "lower_is_better": False, "model": ours, "baselines": baselines}
    assert sentence in verdict({"scores": [score]})
