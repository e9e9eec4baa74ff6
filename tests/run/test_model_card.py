"""The model card describes the model, and escapes all text in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import nlp_transfer as nt
from nlp_transfer.data.splits import Splits
from nlp_transfer.evaluation.evaluate_run import Report
from nlp_transfer.run.model_card import model_card
from nlp_transfer.types import RunResult

SCORES = {"accuracy": 0.75, "macro_f1": 0.6, "f1_strict": 0.7, "precision_strict": 0.8, "recall_strict": 0.62}
SCORES |= {"f1_lenient": 0.71, "mae_steps": 0.25, "quadratic_kappa": 0.5}
RUN = RunResult(metric="accuracy", best_score=0.75, best_epoch=1.0, steps=8, seconds=2.0, rows_per_second=32.0)


def card(
    checkpoint: Callable[..., str], splits: Splits, head: nt.TaskHead, split: str = "test", base: str | None = None
) -> str:
    baselines = {name: {**SCORES, "accuracy": 0.3} for name in ("majority", "tfidf_svm")}
    report = Report(head, {split: SCORES}, baselines, (), (), split, 16, RUN)
    return model_card(nt.TransferModel.load(checkpoint(), head), splits, report, base)


def tables(text: str) -> list[list[list[str]]]:
    """The cells of each Markdown table, as a reader that follows GitHub's rules finds them."""
    cells: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            cells[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif cells[-1]:
            cells.append([])
    return cells[:-1]


def outside_of_code(text: str) -> str:
    """What is left for Markdown to act upon: no blocks and no spans of code."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", text)


def test_it_says_what_the_model_is_and_how_it_scored(checkpoint, review_splits):
    head = nt.TextClassificationHead(["complaint", "praise"])
    text = card(checkpoint, review_splits, head, base="all-MiniLM-L6-v2")
    assert "Fine-tuned from `all-MiniLM-L6-v2`." in text
    assert "`complaint`, `praise`" in text
    scores, data = tables(text)
    assert scores == [
        ["", "accuracy", "macro_f1"],
        ["---"] * 3,
        ["this model", "0.7500", "0.6000"],
        ["majority label", "0.3000", "0.6000"],
        ["TF-IDF + linear SVM", "0.3000", "0.6000"],
    ]
    assert [row[:3] for row in data[2:]] == [
        ["train", "64", "`train.csv`"],
        ["validation", "16", "`validation.csv`"],
        ["test", "16", "`test.csv`"],
    ]
    assert data[2][3] == f"`{review_splits.train.sha256[:16]}`"
    assert "## Scores on the test split (16 rows)" in text
    assert "no test split" not in text


def test_it_says_whether_probabilities_are_calibrated(checkpoint, review_splits):
    head = nt.TextClassificationHead.for_splits(review_splits)
    uncalibrated = "they are not calibrated"
    assert uncalibrated in card(checkpoint, review_splits, head)
    head.temperature = 1.5
    text = card(checkpoint, review_splits, head)
    assert "Divide logits by 1.5000" in text
    assert uncalibrated not in text


def test_its_front_matter_is_what_the_hub_reads(checkpoint, review_splits, sentence_splits):
    ner, tagged = nt.NERHead.for_splits(sentence_splits)
    classification = nt.TextClassificationHead(["complaint", "praise"])
    for head, splits, tag in (
        (classification, review_splits, "text-classification"),
        (ner, tagged, "token-classification"),
    ):
        text = card(checkpoint, splits, head)
        matter = yaml.safe_load(text.split("---\n")[1])
        assert matter == {"library_name": "transformers", "pipeline_tag": tag, "tags": ["nlp_transfer"]}


def test_it_says_when_the_scores_are_of_the_rows_that_chose_the_weights(checkpoint, review_splits):
    splits = replace(review_splits, test=None)
    text = card(checkpoint, splits, nt.TextClassificationHead(["complaint", "praise"]), split="validation")
    assert "## Scores on the validation split" in text
    assert "There was no test split" in text
    assert [row[0] for row in tables(text)[1][2:]] == ["train", "validation"]


@pytest.mark.parametrize(
    ("head", "needed"),
    [
        (nt.TextClassificationHead(["complaint", "praise"]), False),
        (nt.SentimentHead(["complaint", "praise"]), False),
        (nt.TextClassificationHead(["complaint", "praise"], pooling="mean"), True),
        (nt.SentimentHead(["complaint", "praise"], hidden=[8]), True),
    ],
)
def test_it_asks_for_our_package_only_where_it_is_needed(checkpoint, review_splits, head, needed):
    assert ("import nlp_transfer" in card(checkpoint, review_splits, head)) is needed


@pytest.mark.parametrize(
    "label",
    [
        "<script>alert(1)</script>",
        "a|b",
        "a `b` c",
        "``x",
        "`",
        "[go](http://x)",
        "![](http://x)",
        "one\n\n# two",
        "a\r---\r",
        "**b** <!-- x",
    ],
)
def test_labels_and_file_names_are_text_and_nothing_else(checkpoint, review_splits, label):
    def renamed(part: nt.Rows) -> nt.Rows:
        return replace(part, source=label)

    text = card(checkpoint, review_splits.each(renamed), nt.TextClassificationHead(["plain", label]), base=label)
    plain = card(checkpoint, review_splits, nt.TextClassificationHead(["plain", "other"]), base="name")
    # Hash prefixes and names are code; whatever they hold, what Markdown sees of the card is the same.
    assert outside_of_code(text) == outside_of_code(plain)
    assert [list(map(len, table)) for table in tables(text)] == [[3] * 5, [4] * 5]


def test_folders_of_this_machine_stay_private_and_hub_ids_whole(checkpoint, review_splits):
    head = nt.TextClassificationHead(["complaint", "praise"])
    local = card(checkpoint, review_splits, head, base=checkpoint())
    assert str(Path(checkpoint()).parent) not in local
    assert f"`{Path(checkpoint()).name}`" in local
    hub = replace(review_splits, train=replace(review_splits.train, source="some/dataset"))
    assert "`some/dataset`" in card(checkpoint, hub, head, base="google-bert/bert-base-uncased")
    assert "`google-bert/bert-base-uncased`" in card(checkpoint, hub, head, base="google-bert/bert-base-uncased")
