"""Rows and head of a task are those of its recipe, for any head that is registered."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

import nlp_transfer as nt
from nlp_transfer.config import ClassificationOptions
from nlp_transfer.experiments.task_rows import read_task, task_options_from
from nlp_transfer.heads import HEADS

NONE = (nt.SentimentOptions(), nt.NEROptions())


@dataclass
class IronyOptions(ClassificationOptions):
    """Options with a default that those of other tasks do not have."""

    pooling: str = "mean"
    tone: list[str] = field(default_factory=lambda: ["dry"])


class IronyHead(nt.TextClassificationHead):
    """A head of an outside package."""

    task = "irony"
    task_options = IronyOptions

    @classmethod
    def load_task(cls, data, options, seed=0):
        splits = nt.load_splits(data, cls.reads, seed)
        return splits, cls.for_splits(splits, pooling=options.pooling)


@pytest.fixture
def irony(monkeypatch):
    monkeypatch.setitem(HEADS, "irony", IronyHead)


@pytest.mark.parametrize(("task", "kind"), [("irony", IronyHead), ("classification", nt.TextClassificationHead)])
def test_a_task_is_that_of_a_registered_head(task, kind, irony, reviews):
    splits, head = read_task(task, nt.DataOptions(train_file=reviews["train"]), *NONE)
    assert type(head) is kind
    assert len(splits.train.data) + len(splits.validation.data) == 64


def test_options_go_to_the_tasks_that_have_them(irony):
    given = nt.SentimentOptions(hidden=[8])
    assert task_options_from("irony", given, nt.NEROptions()) == IronyOptions(hidden=[8], pooling="mean")
    assert task_options_from("ner", nt.SentimentOptions(), nt.NEROptions(tag_scheme="BIOES")).tag_scheme == "BIOES"
    said = "--levels is of --task sentiment, not of irony; leave it out"
    with pytest.raises(nt.OptionError, match=said):
        task_options_from("irony", nt.SentimentOptions(levels=["a", "b"]), nt.NEROptions())
    said = "--pooling is of --task classification and irony and multi_label and regression and sentiment, not of ner"
    with pytest.raises(nt.OptionError, match=said):
        task_options_from("ner", nt.SentimentOptions(pooling="max"), nt.NEROptions())


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(nt.OptionError, match="did you mean sentiment"):
        read_task("sentiments", nt.DataOptions(), *NONE)
