"""The command names a recipe only where the recipe trains that head."""

from __future__ import annotations

import pytest

import nlp_transfer as nt
from nlp_transfer.experiments.training_command import training_command
from nlp_transfer.heads import HEADS


class MoodHead(nt.TextClassificationHead):
    """A head of another package, which inherits the name of a recipe."""

    task = "mood"


@pytest.mark.parametrize(
    ("task", "command"),
    [
        ("multi_label", "nlp-transfer classify --config 'my best.yaml'"),
        ("ner", "nlp-transfer ner --config 'my best.yaml'"),
        ("mood", None),
    ],
)
def test_a_command_is_that_of_a_head_of_the_package(task, command, monkeypatch):
    monkeypatch.setitem(HEADS, "mood", MoodHead)
    assert training_command(task, ["--config", "my best.yaml"]) == command
