"""A saved model is compared with the trained one in a process without nlp_transfer, and a difference is an error."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import transformers
from conftest import run_recipe
from safetensors.torch import load_file, save_file

import nlp_transfer as nt
import nlp_transfer.run.fresh_process
from nlp_transfer.run import verify_run, waiting_process


@pytest.fixture
def trained(checkpoint, review_splits, tmp_path):
    """A saved model, and its reference logits from before it was saved."""
    nt.set_seed(0)
    model = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead.for_splits(review_splits))
    reference = json.loads(json.dumps(verify_run.reference_logits(model, review_splits.test.data)))
    model.save(tmp_path / "model")
    return tmp_path / "model", reference


def in_a_fresh_process(request):
    """The answers, and whether anything of ours was imported."""
    script = inspect.getsource(nlp_transfer.run.fresh_process) + '\nprint("nlp_transfer" in sys.modules)'
    child = subprocess.run([sys.executable, "-c", script], input=json.dumps(request), capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    *_, answers, ours = child.stdout.splitlines()
    return json.loads(answers), ours == "True"


def test_what_was_saved_is_what_was_trained_in_a_process_without_us(trained, monkeypatch):
    results = []
    fresh = lambda request: results.append(in_a_fresh_process(request)) or nullcontext(lambda: results[0][0])  # noqa: E731
    monkeypatch.setattr(verify_run, "_fresh_process", fresh)
    verification = verify_run.verify_saved(*trained)
    assert verification.difference < 1e-5
    assert verification.rows == len({row["row"] for row in trained[1]["rows"]}) > 1
    assert not results[0][1], "the model was opened with our package loaded"


@pytest.mark.whole
def test_an_adapter_on_the_bundled_encoder_opens_where_no_hub_is(review_splits, tmp_path, monkeypatch):
    model = nt.TransferModel.load("all-MiniLM-L6-v2", nt.TextClassificationHead.for_splits(review_splits))
    options = nt.TrainingOptions(max_train_steps=1, mixed_precision="no")
    nt.fit(model, replace(review_splits, validation=None), options, strategy="lora")
    reference = verify_run.reference_logits(model, review_splits.test.data)
    model.save(tmp_path / "model")
    base = json.loads((tmp_path / "model" / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert base == "sentence-transformers/all-MiniLM-L6-v2"
    monkeypatch.undo()  # in a fresh process
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    assert verify_run.verify_saved(tmp_path / "model", reference).difference < 1e-4


def test_an_adapter_is_verified_on_the_revision_that_it_was_trained_on(trained, monkeypatch):
    folder, reference = trained
    config = {"base_model_name_or_path": "team/encoder", "revision": "v2"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").unlink()
    requests, opened = [], []

    def from_pretrained(name, **how):
        opened.append((name, how["revision"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(verify_run.Checkpoint, "find", lambda name, **how: SimpleNamespace(source=name))
    monkeypatch.setattr(verify_run, "_fresh_process", lambda request: requests.append(request) or nullcontext(dict))
    with verify_run.verify_in_background(folder, reference):
        base = requests[0]["base"]
    monkeypatch.setattr(transformers.AutoModelForSequenceClassification, "from_pretrained", from_pretrained)
    with pytest.raises(KeyboardInterrupt):
        nlp_transfer.run.fresh_process.load_network(str(folder), "AutoModelForSequenceClassification", False, base)
    assert opened == [("team/encoder", "v2")]


def test_a_changed_weight_is_noticed(trained):
    folder, reference = trained
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"][0] += 3e-4
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        nt.ModelError, match=r"is not the trained one: a logit differs by 0\.0003, the tolerance is 1e-04"
    ):
        verify_run.verify_saved(folder, reference)
    assert verify_run.verify_saved(folder, reference | {"tolerance": 1e-2}).difference == pytest.approx(3e-4, abs=1e-5)


@pytest.mark.parametrize("logits", [[[0.0]], [[float("nan"), 0.0]]])
def test_logits_of_another_shape_and_nan_are_noticed(trained, monkeypatch, logits):
    folder, reference = trained
    fresh = lambda request: nullcontext(lambda: {"logits": logits * len(request["inputs"])})  # noqa: E731
    monkeypatch.setattr(verify_run, "_fresh_process", fresh)
    with pytest.raises(nt.ModelError, match="is not the trained one"):
        verify_run.verify_saved(folder, reference)


def test_a_folder_that_does_not_open_says_why(trained, monkeypatch):
    monkeypatch.undo()  # in a fresh process, which is what fails
    folder, reference = trained
    (folder / "config.json").write_text("{")
    with pytest.raises(nt.ModelError, match=r"does not open in a fresh process with transformers .*not a valid JSON"):
        verify_run.verify_saved(folder, reference)


def test_the_fresh_process_works_beside_a_run_and_does_not_outlive_it(trained, monkeypatch):
    monkeypatch.undo()  # in a fresh process
    begun, start = [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **how: begun.append(start(*args, **how)) or begun[0])
    with verify_run.verify_in_background(*trained):
        assert begun[0].poll() is None  # it works already
    assert begun[0].poll() is not None


def test_a_run_that_saves_another_model_fails_and_leaves_nothing(task_flags, training_flags, tmp_path, monkeypatch):
    save = nt.TransferModel.save

    def with_a_fault(self: nt.TransferModel, folder: Path) -> None:
        save(self, folder)
        weights = load_file(folder / "model.safetensors")
        save_file({k: v.neg() for k, v in weights.items()}, folder / "model.safetensors", {"format": "pt"})

    monkeypatch.setattr(nt.TransferModel, "save", with_a_fault)
    outcome = run_recipe("classify", [*task_flags["classify"], *training_flags, "--output_dir", "run"], tmp_path)
    assert outcome.status == 2
    assert "is not the trained one" in outcome.err.splitlines()[-1]
    assert os.listdir(tmp_path) == []


def test_what_lies_where_the_user_is_is_not_taken_for_a_library(trained, tmp_path, monkeypatch):
    monkeypatch.undo()  # in a fresh process
    (tmp_path / "tokenize.py").write_text("open('sprung', 'w')\nraise SystemExit('not this one')\n")
    monkeypatch.chdir(tmp_path)
    folder, reference = trained
    (folder / "config.json").write_text("{")
    with pytest.raises(nt.ModelError, match="not a valid JSON"):
        verify_run.verify_saved(folder, reference)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"trust_remote_code": True}, "runs code of its own; read that code, then allow it with --trust_remote_code"),
        ({"auto_class": "pipeline"}, r"transfer\.json names pipeline to load the model, which no head uses"),
    ],
)
def test_a_folder_does_not_say_what_code_runs(trained, tmp_path, changed, message):
    folder, reference = trained
    (tmp_path / "transfer.json").write_text(json.dumps({"verification": reference | changed}))
    outcome = run_recipe("verify", ["model"], tmp_path)
    assert outcome.status == 2
    assert re.search(message, outcome.err)
    (tmp_path / "transfer.json").write_text(json.dumps({"verification": reference}))
    (folder / "a.pkl").write_bytes(b"")
    with pytest.raises(nt.ModelError, match=r"holds a\.pkl, a pickle"):
        nt.verify_run(folder)


@pytest.mark.parametrize("recipe", ["classify", "ner"])
def test_a_run_can_be_verified_later(finished, recipe):
    folder, outcome = finished(recipe)
    assert "The saved model gives the trained model's logits of" in outcome.err
    assert nt.verify_run(folder) == nt.verify_run(folder / "model")
    reference = json.loads((folder / "transfer.json").read_text())["verification"]
    assert all(len(w["logits"]) == len(w["inputs"]["input_ids"]) for w in reference["rows"]) == (recipe == "ner")


def test_a_folder_without_a_run_is_one_line(trained, tmp_path):
    with pytest.raises(nt.ModelError, match=r"holds no transfer\.json with reference logits"):
        nt.verify_run(trained[0])
    (tmp_path / "transfer.json").write_text("{}")
    with pytest.raises(nt.ModelError, match="the run was not completed"):
        nt.verify_run(trained[0])
    outcome = run_recipe("verify", [], tmp_path)
    assert (outcome.status, outcome.err) == (
        2,
        "error: name the folder of a run, as in: nlp-transfer verify runs/classify.\n",
    )


def test_the_process_that_waits_is_taken_once_and_ends_with_the_run(trained, monkeypatch, tmp_path):
    monkeypatch.undo()  # in a fresh process
    with nt.RunFolder(tmp_path / "run", verify=True) as folder:
        (early,) = waiting_process._waiting
        assert verify_run.verify_saved(*trained).difference < 1e-5
        assert early.poll() is not None
        assert waiting_process._waiting == []
        (folder.path / "transfer.json").write_text("{}")
    with nt.RunFolder(tmp_path / "other", verify=True):
        (unused,) = waiting_process._waiting
    assert unused.poll() is not None
    assert waiting_process._waiting == []


def test_the_process_that_waits_ends_where_nobody_asks_it_anything(monkeypatch):
    monkeypatch.undo()
    waiting = waiting_process.started()
    stdout, _ = waiting.communicate(timeout=120)  # closes its stdin, as the end of the run would
    assert (waiting.returncode, stdout) == (0, "")
