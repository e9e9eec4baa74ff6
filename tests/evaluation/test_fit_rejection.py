"""A run with --reject marks texts unlike training: in predict, in files, in its report and in an export of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import NAMES, PLACES, run_recipe

import nlp_transfer as nt
from nlp_transfer.evaluation.fit_rejection import _left_out, auroc
from nlp_transfer.run.report.write_report import write_run_report
from nlp_transfer.runtime import load

UNKNOWN = [f"{a} met {b} in {c}" for a, b, c in zip(NAMES, NAMES[::-1], PLACES, strict=True)]


@pytest.fixture(scope="module")
def rejecting(task_flags, training_flags, tmp_path_factory):
    """A run on the tiny reviews, and what it said."""
    folder = tmp_path_factory.mktemp("rejecting")
    (folder / "unknown.txt").write_text("".join(f"{text}\n" for text in UNKNOWN))
    flags = ["--reject", "--unknown_file", "unknown.txt", "--output_dir", "run", "--num_train_epochs", "4"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nlp_transfer.run.write_run.write_run_report", write_run_report)
        outcome = run_recipe("classify", [*task_flags["classify"], *training_flags, *flags], folder)
    assert outcome.status == 0, outcome.err
    return folder / "run", outcome


def test_the_run_says_how_well_unknown_texts_are_told(rejecting):
    folder, outcome = rejecting
    findings = json.loads((folder / "transfer.json").read_text())["rejection"]
    assert findings["method"] in ("mahalanobis", "energy")
    assert set(findings["auroc_of_left_out_labels"]) == {"mahalanobis", "energy"}
    assert (findings["split"], findings["rows"], findings["unknown"]["rows"]) == ("test", 16, 8)
    assert 0 <= findings["unknown"]["auroc"] <= 1
    assert f"Unknown texts are told by {findings['method']} (AUROC with labels left out: " in outcome.err
    assert "Of 8 rows of unknown.txt " in outcome.err
    headings = [table["heading"] for table in json.loads((folder / "report.json").read_text())["tables"]]
    assert any(heading.startswith("Unknown texts, told by") for heading in headings)


def test_the_threshold_keeps_the_share_that_was_asked_for(rejecting, reviews):
    model = nt.TransferModel.load(rejecting[0])
    texts = [line.rpartition(",")[0] for line in Path(reviews["validation"]).read_text().splitlines()[1:]]
    known = [one.known for one in model.predict(texts, precision="no")]
    assert sum(known) == 15  # of 16, where 95% are to be kept


def test_a_file_of_predictions_has_the_column(rejecting, tmp_path):
    (tmp_path / "in.txt").write_text("the coffee was good\nAnna met Boris in Oslo\n")
    model = nt.TransferModel.load(rejecting[0])
    expected = [one.known for one in model.predict(["the coffee was good", "Anna met Boris in Oslo"], precision="no")]
    for name in ("out.jsonl", "out.parquet"):
        flags = ["--model_name_or_path", str(rejecting[0]), "--input_file", "in.txt", "--output_file", name]
        assert run_recipe("predict", [*flags, "--mixed_precision", "no"], tmp_path).status == 0
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["known"] for line in lines] == expected
    assert pq.read_table(tmp_path / "out.parquet")["known"].to_pylist() == expected


@pytest.mark.parametrize("method", ["mahalanobis", "energy"])
def test_an_export_marks_what_the_run_marks(rejecting, tmp_path, monkeypatch, method):
    monkeypatch.setattr("nlp_transfer.exporting.speed._SECONDS", 0.001)
    monkeypatch.setattr("nlp_transfer.evaluation.fit_rejection.METHODS", (method,))
    model = nt.TransferModel.load(rejecting[0])
    splits = nt.load_splits(
        nt.DataOptions(**{name: value for name, value in options_of(rejecting[0]).items() if name.endswith("_file")}),
        "classification",
    )
    assert nt.fit_rejection(model, splits, nt.RejectionOptions(reject=True)).method == method
    run = tmp_path / "run"
    model.save(run / "model")
    for name in ("transfer.json", "reference_rows.jsonl"):
        (run / name).write_bytes((rejecting[0] / name).read_bytes())
    export = nt.export_run(run, nt.ExportOptions(forms=["fp32"]))
    texts = ["the coffee was good", "the train was sad and cold", *UNKNOWN]
    ours, theirs = load(export.folder).predict(texts), nt.TransferModel.load(run).predict(texts, precision="no")
    assert [one.known for one in ours] == [one.known for one in theirs]
    assert all(one.known is not None for one in ours)
    assert [one.probability for one in ours] == pytest.approx([one.probability for one in theirs], abs=1e-4)
    (export.folder / "rejection.npz").unlink()
    with pytest.raises(nt.ModelError, match=r"lacks rejection.npz; copy the folder again"):
        load(export.folder)


def options_of(folder):
    values = yaml.safe_load((folder / "options.yaml").read_text())
    return {name: values[name] for name in ("train_file", "validation_file", "test_file")}


def test_both_methods_tell_labels_that_lie_apart_and_none_tells_noise():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 20)
    states = 8 * np.eye(12)[labels] + random.normal(size=(200, 12))
    apart = _left_out(states, labels, states, labels)
    assert min(apart.values()) > 0.8
    noise = _left_out(random.normal(size=(200, 12)), labels, random.normal(size=(200, 12)), labels)
    assert all(0.3 < value < 0.7 for value in noise.values())


@pytest.mark.parametrize("labels", [1, 2])
def test_few_labels_leave_something_to_compare_with_or_nothing_is_compared(labels):
    random = np.random.default_rng(0)
    ids = np.arange(40) % labels
    states = 5 * ids[:, None] + random.normal(size=(40, 4))
    aurocs = _left_out(states, ids, states, ids)
    assert set(aurocs) == (set() if labels == 1 else {"mahalanobis", "energy"})


def test_auroc_counts_pairs():
    assert auroc(np.array([1.0, 2.0]), np.array([3.0, 1.5])) == 0.75


def test_what_cannot_be_told_is_refused_before_training(sentences, reviews, task_flags, training_flags, tmp_path):
    lines = {
        ("--unknown_file", "x.txt"): "--unknown_file measures --reject; give both, or neither.",
        (
            "--reject",
            "--problem",
            "multi_label",
            "--label_delimiter",
            ";",
        ): "--reject is for texts with one label; leave",
        ("--reject", "--reject_keeps", "100"): "--reject_keeps must be more than 0 and less than 100; got 100.",
    }
    for flags, line in lines.items():
        outcome = run_recipe("classify", [*task_flags["classify"], *training_flags, *flags], tmp_path)
        assert outcome.status == 2, outcome.err
        assert outcome.err.splitlines()[-1].startswith(f"error: {line}"), outcome.err
        assert "Training" not in outcome.err
    files = ["--train_file", reviews["train"], "--test_file", reviews["test"], "--validation_split_percentage", "0"]
    outcome = run_recipe("classify", [*files, *training_flags, "--reject"], tmp_path)
    assert outcome.err.splitlines()[-1].startswith("error: --reject needs validation rows for its threshold; leave")


def test_a_classifier_of_scikit_learn_is_refused_in_one_line(task_flags, training_flags, tmp_path):
    flags = ["--reject", "--strategy", "features", "--classifier", "knn"]
    outcome = run_recipe("classify", [*task_flags["classify"], *training_flags, *flags], tmp_path)
    line = "error: --reject goes by what the last layer of a network reads, and this classifier of scikit-learn"
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith(line), outcome.err
    assert not (tmp_path / "runs").exists()
