"""Trackers are checked before a run starts."""

from __future__ import annotations

from dataclasses import replace

import pytest

import nlp_transfer as nt


def test_a_tracker_that_is_unknown_or_not_installed_is_one_line(options, monkeypatch):
    with pytest.raises(nt.OptionError, match="must be tensorboard, wandb, mlflow or trackio; got paper"):
        nt.make_accelerator(replace(options, report_to=["paper"]))
    monkeypatch.setattr("nlp_transfer.training.accelerator.get_available_trackers", list)
    with pytest.raises(nt.OptionError, match="pip install wandb"):
        nt.make_accelerator(replace(options, report_to=["wandb"]))
