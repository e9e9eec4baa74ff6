"""Scores of a run and of the baselines are those of the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from accelerate import Accelerator

import nlp_transfer as nt
from nlp_transfer.data.splits import Splits
from nlp_transfer.evaluation.evaluate_run import Report
from nlp_transfer.metrics import classification_scores
from nlp_transfer.types import RunResult

RUN = RunResult(metric="accuracy", best_score=0.5, best_epoch=1.0, steps=8, seconds=2.0, rows_per_second=32.0)


def report_on(checkpoint: Callable[..., str], head: nt.TaskHead, splits: Splits) -> tuple[nt.TransferModel, Report]:
    """An untrained model and its report: scores need no training to be checked."""
    nt.set_seed(0)
    model = nt.TransferModel.load(checkpoint(), head)
    report = nt.evaluate_run(model, splits, RUN, Accelerator(), batch_size=7)
    assert report
    return model, report


def test_scores_are_those_of_what_the_model_predicts(checkpoint, review_splits):
    head = nt.TextClassificationHead.for_splits(review_splits)
    model, report = report_on(checkpoint, head, review_splits)
    assert set(report.scores) == {"validation", "test"}
    for name, rows in (("validation", review_splits.validation), ("test", review_splits.test)):
        predicted = [p.label for p in model.predict(list(rows.data["text"]))]
        expected = classification_scores(predicted, list(rows.data["label"]), list(head.labels))
        assert {k: v for k, v in report.scores[name].items() if k != "loss"} == expected
    assert (report.split, report.rows) == ("test", 16)
    assert list(report.references) == list(review_splits.test.data["label"])


def test_baselines_are_fitted_on_train_and_scored_on_the_same_rows(checkpoint, review_splits):
    three_of_praise = replace(review_splits.test, data=review_splits.test.data.select([0, 2, 4, 1]))
    splits = replace(review_splits, test=three_of_praise)
    _, report = report_on(checkpoint, nt.TextClassificationHead.for_splits(splits), splits)
    assert set(report.baselines) == {"majority", "tfidf_svm"}
    assert report.baselines["majority"]["accuracy"] == 0.75
    assert report.baselines["tfidf_svm"]["accuracy"] == 1.0  # all words of praise are in train


def test_without_test_rows_the_report_is_of_validation(checkpoint, review_splits):
    splits = replace(review_splits, test=None)
    _, report = report_on(checkpoint, nt.TextClassificationHead.for_splits(splits), splits)
    assert set(report.scores) == {"validation"}
    assert report.split == "validation"
    assert list(report.references) == list(splits.validation.data["label"])
    assert report.baselines["majority"]["accuracy"] == 0.5
    assert report.table().startswith("validation (16 rows)")


def test_baselines_hold_no_more_rows_than_that(checkpoint, review_splits, sentence_splits, monkeypatch, caplog):
    monkeypatch.setattr("nlp_transfer.evaluation.evaluate_run.MOST_BASELINE_ROWS", 40)
    caplog.set_level("INFO", "nlp_transfer")
    rows: list[int] = []
    monkeypatch.setattr(
        "nlp_transfer.heads.classification.classification_baselines",
        lambda texts, labels, others, seed: rows.append(len(texts)) or {},
    )
    _, report = report_on(checkpoint, nt.TextClassificationHead.for_splits(review_splits), review_splits)
    assert report.baselines == {}
    assert rows == [40]
    assert "The baselines learned from 40 of the 64 training rows, drawn at random." in caplog.text


@pytest.mark.parametrize("scheme", ["IOB2", "BILOU"])
def test_entities_are_scored_beside_a_gazetteer(checkpoint, sentence_splits, scheme):
    head, splits = nt.NERHead.for_splits(sentence_splits, label_scheme=scheme)
    _, report = report_on(checkpoint, head, splits)
    assert set(report.baselines) == {"gazetteer"}
    assert 0.5 < report.baselines["gazetteer"]["f1_strict"] <= 1.0
    assert report.scores["test"]["f1_strict"] < report.baselines["gazetteer"]["f1_strict"]


def test_levels_are_scored_as_levels(checkpoint, review_splits):
    head = nt.SentimentHead(["complaint", "praise"])
    _, report = report_on(checkpoint, head, review_splits)
    assert report.baselines["majority"]["mae_steps"] == 0.5
    assert "mae_steps" in report.scores["test"]


def test_one_row_and_one_label_have_scores_too(checkpoint, review_splits):
    """Kappa and MCC have nothing to divide by there."""
    one = replace(review_splits.test, data=review_splits.test.data.select([0]))
    _, report = report_on(checkpoint, nt.SentimentHead(["complaint", "praise"]), replace(review_splits, test=one))
    assert all(value == value for value in report.scores["test"].values())
    assert report.table().startswith("test (1 row)")


def test_the_table_sets_the_model_beside_the_baselines():
    table = Report(
        head=nt.TextClassificationHead(["no", "yes"]),
        scores={"test": {"accuracy": 0.91666, "macro_f1": 0.5, "mcc": 0.1}},
        baselines={"majority": {"accuracy": 0.25, "macro_f1": 0.1}, "tfidf_svm": {"accuracy": 1.0, "macro_f1": 1.0}},
        predictions=(),
        references=(),
        split="test",
        rows=1234,
        run=RUN,
    ).table()
    assert [line.split("  ", 1)[0] for line in table.splitlines()] == [
        "test (1,234 rows)",
        "this model",
        "majority label",
        "TF-IDF + linear SVM",
    ]
    assert [line.split()[-2:] for line in table.splitlines()] == [
        ["accuracy", "macro_f1"],
        ["0.9167", "0.5000"],
        ["0.2500", "0.1000"],
        ["1.0000", "1.0000"],
    ]
    assert len({len(line) for line in table.splitlines()}) == 1
