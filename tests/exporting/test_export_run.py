"""An exported run answers as the run does, stands alone, and is written completely or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from conftest import FAMILIES, run_recipe
from contract_cases import HEADS, lively  # noqa: F401 (a fixture)
from made_exports import LONG, TEXTS, short_turns, texts_for, tiny_model, tiny_run  # noqa: F401 (a fixture)

import nlp_transfer as nt
from nlp_transfer.exporting import export_run as exporting
from nlp_transfer.exporting.export_run import export_run
from nlp_transfer.run.reference_rows import REFERENCE_FILE
from nlp_transfer.runtime import load


def assert_as_the_run(ours, theirs):
    """The same answers, spans and texts, and numbers within 1e-4."""
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert type(one) is type(other)
        assert_close(asdict(one), asdict(other))


def assert_close(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_close(a, b)
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=1e-4)
    else:
        assert one == other


@pytest.mark.thinned(0.05)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", HEADS)
def test_every_head_on_every_family_predicts_as_the_run_does(lively, tmp_path, head, family):  # noqa: F811
    model = tiny_model(lively(family), HEADS[head]())
    export = export_run(tiny_run(tmp_path / "run", model), nt.ExportOptions(forms=["fp32"]))
    assert export.folder == tmp_path / "run" / "exported"
    texts = texts_for(model.head)
    opened = load(export.folder)
    # In batches of the same rows: ConvBERT's convolutions read padding.
    assert_as_the_run(opened.predict(texts, batch_size=3), model.predict(texts, batch_size=3, precision="no"))
    assert opened.task == model.head.task
    assert opened.labels == model.head.labels.names


OPTIONS = {
    "windows": lambda: nt.TextClassificationHead(["z", "a", "m"], long_texts="window"),
    "greatest of windows": lambda: nt.TextClassificationHead(["z", "a"], long_texts="window", window_pooling="max"),
    "head and tail": lambda: nt.SentimentHead(["1", "2"], long_texts="head_tail"),
    "temperature": lambda: nt.TextClassificationHead(["z", "a", "m"], temperature=2.5),
    "sentiment's temperature": lambda: nt.SentimentHead(["1", "2", "3"], temperature=0.4),
    "thresholds": lambda: nt.MultiLabelHead(
        ["z", "a"], thresholds={"z": 0.9, "a": 0.1}, scaling={"z": [0.5, 1.0], "a": [2.0, -1.0]}
    ),
    "tags of another scheme": lambda: nt.NERHead(["PER", "LOC"], "BIOES", temperature=1.7),
    "windows of a number": lambda: nt.RegressionHead("stars", mean=3.0, deviation=2.0, long_texts="window"),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_what_heads_decode_by_goes_along(checkpoint, tmp_path, option):
    model = tiny_model(checkpoint(), OPTIONS[option](), max_length=12)
    opened = load(export_run(tiny_run(tmp_path / "run", model), nt.ExportOptions(forms=["fp32"])).folder)
    texts = texts_for(model.head)
    assert_as_the_run(opened.predict(texts), model.predict(texts, precision="no"))


def test_an_adapter_is_merged_first(checkpoint, reviews, training_flags, tmp_path):
    files = [part for name, path in reviews.items() for part in (f"--{name}_file", path)]
    flags = ["--strategy", "lora", "--output_dir", "run", "--per_device_eval_batch_size", "8"]
    assert run_recipe("classify", [*files, *training_flags, *flags], tmp_path).status == 0
    assert (tmp_path / "run" / "model" / "adapter_config.json").is_file()
    opened = load(export_run(tmp_path / "run", nt.ExportOptions(forms=["fp32"])).folder)
    model = nt.TransferModel.load(tmp_path / "run")
    assert_as_the_run(opened.predict(TEXTS), model.predict(TEXTS, precision="no"))


def test_abstention_is_that_of_the_run(checkpoint, tmp_path):
    model = tiny_model(checkpoint(), nt.TextClassificationHead(["z", "a"]))
    opened = load(export_run(tiny_run(tmp_path / "run", model), nt.ExportOptions(forms=["fp32"])).folder)
    middle = sorted(one.probability for one in model.predict(TEXTS, precision="no"))[len(TEXTS) // 2]
    ours = opened.predict(TEXTS, abstain_below=middle - 1e-4)
    theirs = model.predict(TEXTS, precision="no", abstain_below=middle - 1e-4)
    assert [one.abstained for one in ours] == [one.abstained for one in theirs]
    assert {one.abstained for one in ours} == {True, False}
    with pytest.raises(nt.OptionError, match=r"^abstain_below must be more than 0, and 1 at most; got 1.5\.$"):
        opened.predict(TEXTS, abstain_below=1.5)


def test_the_folder_says_what_was_measured_and_holds_what_it_names(checkpoint, tmp_path):
    model = tiny_model(checkpoint(), nt.TextClassificationHead(["z", "a"]))
    export = export_run(tiny_run(tmp_path / "run", model), nt.ExportOptions(budget=100, least_agreement=1))
    measured = json.loads((export.folder / "export.json").read_text())
    assert [form["name"] for form in measured["forms"]][-2:] == ["fp32", "int8"]
    assert measured["taken"] == export.taken
    for form in measured["forms"]:
        assert form["speed"]["alone"] > 0
        assert form["speed"]["in_batches"] > 0
        assert form["comparison"]["score_of_run"] == 1.0
    named = set(load(export.folder).metadata["files"]) | {"runtime.json"}
    assert {path.name for path in export.folder.iterdir()} == named
    assert "model.onnx" in named
    assert {load(export.folder, form=form).metadata["form"] for form in ("fp32", "int8")} == {export.taken}
    sizes = {form.name: form.bytes for form in export.forms}
    assert sizes["int8"] < sizes["fp32"]


def test_rows_may_come_from_a_file_that_is_read_as_the_run_read_its_own(finished, tmp_path, reviews):
    run = Path(shutil.copytree(finished("classify")[0], tmp_path / "run"))
    kept = [json.loads(line) for line in (run / REFERENCE_FILE).read_text().splitlines()]
    assert [row["text"] for row in kept] == [line.rpartition(",")[0] for line in validation_lines(reviews)]
    export = export_run(run, nt.ExportOptions(forms=["fp32"], validation_file=reviews["test"]))
    assert (export.rows, export.source) == (16, reviews["test"])
    (run / REFERENCE_FILE).unlink()
    with pytest.raises(nt.DataError, match=r"has kept no rows \(reference_rows.jsonl\).*; give --validation_file\.$"):
        export_run(run, nt.ExportOptions(overwrite_output_dir=True))
    assert load(run / "exported").predict(["good"])


def validation_lines(reviews):
    return Path(reviews["validation"]).read_text().splitlines()[1:]


def test_a_tagger_may_be_compared_on_a_file_in_another_scheme(finished, tmp_path, sentences):
    run = Path(shutil.copytree(finished("ner")[0], tmp_path / "run"))
    export = export_run(run, nt.ExportOptions(forms=["fp32"], validation_file=sentences["test"]))
    assert export.metric == "f1_strict"
    assert export.forms[-1].comparison.agreement == 100


@pytest.fixture
def run(checkpoint, tmp_path):
    return tiny_run(tmp_path / "run", tiny_model(checkpoint(), nt.TextClassificationHead(["z", "a"])))


def test_a_folder_that_is_no_run_is_refused(checkpoint, tmp_path):
    with pytest.raises(nt.ModelError, match=r"missing holds no run \(no transfer.json\); give the folder that"):
        export_run(tmp_path / "missing")
    with pytest.raises(nt.ModelError, match="holds no run"):
        export_run(checkpoint())
    (tmp_path / "transfer.json").write_text("{")
    with pytest.raises(nt.ModelError, match=r"transfer.json is damaged; train again\.$"):
        export_run(tmp_path)


def test_a_missing_package_is_named_with_the_command_that_installs_it(run, monkeypatch):
    monkeypatch.setattr(exporting, "_PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(
        nt.OptionError, match=r"^exporting needs no_such_package; pip install 'nlp-transfer\[export\]'\.$"
    ):
        export_run(run)


def test_a_head_of_scikit_learn_names_the_remedy(finished, reviews, training_flags, tmp_path):
    files = [part for name, path in reviews.items() for part in (f"--{name}_file", path)]
    flags = ["--strategy", "features", "--classifier", "knn", "--output_dir", "run"]
    assert run_recipe("classify", [*files, *training_flags, *flags], tmp_path).status == 0
    line = (
        "cannot be exported: its head is a classifier of scikit-learn (KNeighborsClassifier), which no ONNX network "
        "computes; train with --classifier logistic, or with another --strategy."
    )
    with pytest.raises(nt.OptionError) as error:
        export_run(tmp_path / "run")
    assert str(error.value).endswith(line)
    assert not (tmp_path / "run" / "exported").exists()


def test_an_export_that_is_there_is_replaced_only_where_that_is_asked_for(run):
    export_run(run, nt.ExportOptions(forms=["fp32"]))
    before = (run / "exported" / "runtime.json").read_bytes()
    with pytest.raises(nt.OptionError, match=r"already holds an export; name another, or --overwrite_output_dir\.$"):
        export_run(run, nt.ExportOptions(forms=["fp32"]))
    assert (run / "exported" / "runtime.json").read_bytes() == before
    (run / "exported" / "model.onnx").write_text("damaged")
    export_run(run, nt.ExportOptions(forms=["fp32"], overwrite_output_dir=True))
    assert load(run / "exported").predict(["good"])
    with pytest.raises(nt.OptionError, match=r"is not empty, and holds no export; name another folder\.$"):
        export_run(run, nt.ExportOptions(output_dir=str(run / "model"), overwrite_output_dir=True))


def test_an_error_leaves_nothing_and_an_earlier_export_as_it_was(run, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise nt.ModelError("no.")

    with monkeypatch.context() as patch:
        patch.setattr("nlp_transfer.exporting.forms.measure_speeds", fail)
        with pytest.raises(nt.ModelError):
            export_run(run)
        assert sorted(path.name for path in run.iterdir()) == ["model", REFERENCE_FILE, "transfer.json"]
    export_run(run, nt.ExportOptions(forms=["fp32"]))
    before = {path.name: path.read_bytes() for path in (run / "exported").iterdir()}
    monkeypatch.setattr("nlp_transfer.exporting.forms.measure_speeds", fail)
    with pytest.raises(nt.ModelError):
        export_run(run, nt.ExportOptions(overwrite_output_dir=True))
    assert {path.name: path.read_bytes() for path in (run / "exported").iterdir()} == before
    assert sorted(path.name for path in run.iterdir()) == ["exported", "model", REFERENCE_FILE, "transfer.json"]


def test_a_network_that_answers_otherwise_is_not_exported(run, monkeypatch):
    from nlp_transfer.exporting import forms

    def of_other_weights(model, path):
        torch.manual_seed(1)
        for weight in model.network.parameters():
            torch.nn.init.normal_(weight.data)
        write(model, path)

    write = forms.write_onnx
    monkeypatch.setattr(forms, "write_onnx", of_other_weights)
    line = (
        r"^the exported network does not answer as the run does: [\d.]+% of labels agree with the run's, and 99% must; "
    )
    with pytest.raises(nt.ModelError, match=line + r"nothing is exported\.$"):
        export_run(run)


def test_the_model_is_left_as_it_was(checkpoint, tmp_path):
    """The exporter sets the mode of what it traces."""
    from nlp_transfer.exporting.onnx_network import write_onnx

    model = tiny_model(checkpoint(), nt.TextClassificationHead(["z", "a"], pooling="mean"))
    before = model.predict([LONG], precision="no")
    write_onnx(model, tmp_path / "model.onnx")
    assert not any(module.training for module in model.network.modules())
    assert model.predict([LONG], precision="no") == before
