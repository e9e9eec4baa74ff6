"""An exported folder is opened without torch, answers in the same words, and says in one line what is wrong with it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import onnx
import pytest

import nlp_transfer as nt
from nlp_transfer.runtime import Model, load

sys.path.insert(0, str(Path(__file__).parents[1] / "exporting"))  # the tiny runs are made there
from made_exports import LONG, SENTENCES, TEXTS, tiny_model, tiny_run

HEAVY = ("torch", "transformers", "datasets", "accelerate", "peft", "scipy", "sklearn", "pandas", "pyarrow", "onnx")


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory) -> Path:
    return an_export(checkpoint(), nt.TextClassificationHead(["z", "a"]), tmp_path_factory.mktemp("runtime"))


def an_export(encoder: str, head: nt.TaskHead, folder: Path, max_length: int | None = None) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nlp_transfer.exporting.speed._SECONDS", 0.001)
        patch.setattr("nlp_transfer.exporting.speed._TURNS", 1)
        run = tiny_run(folder / "run", tiny_model(encoder, head, max_length))
        return nt.export_run(run, nt.ExportOptions(forms=["fp32"])).folder


@pytest.fixture
def damaged(exported, tmp_path) -> Path:
    """A copy of the export, to be damaged."""
    return Path(shutil.copytree(exported, tmp_path / "exported"))


@pytest.mark.parametrize("head", ["texts", "words"])
def test_an_export_is_opened_and_answers_where_torch_is_not_installed(checkpoint, tmp_path, head):
    made = {"texts": nt.TextClassificationHead(["z", "a"]), "words": nt.NERHead(["PER", "LOC"])}[head]
    folder = an_export(checkpoint(), made, tmp_path)
    code = f"""
import json, sys, time
for name in {HEAVY!r}:
    sys.modules[name] = None  # importing it is an ImportError, as where it is not installed
started = time.perf_counter()
import nlp_transfer.runtime
model = nlp_transfer.runtime.load({str(folder)!r})
first = model.predict({SENTENCES!r})
print(f"import and first answer: {{time.perf_counter() - started:.2f}} s", file=sys.stderr)
loaded = [name for name in {HEAVY!r} if sys.modules[name] is not None]
assert not loaded, loaded
print(json.dumps([repr(one) for one in first]))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    print(run.stderr)
    assert json.loads(run.stdout) == [repr(one) for one in load(folder).predict(SENTENCES)]


def test_importing_the_room_loads_nothing_that_it_does_not_need():
    code = f"import sys, nlp_transfer.runtime; loaded = set({HEAVY!r}) & set(sys.modules); assert not loaded, loaded"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stderr) == (0, "")


def test_a_model_says_what_it_is(exported):
    model = load(exported)
    assert isinstance(model, Model)
    assert (model.task, model.labels, model.metadata["form"]) == ("classification", ("z", "a"), "fp32")
    assert repr(model) == "Model(classification: 2 labels, fp32)"
    assert set(model.metadata["versions"]) >= {"nlp_transfer", "onnxruntime", "tokenizers"}


def test_no_texts_are_no_predictions_and_one_text_is_refused(exported):
    model = load(exported)
    assert model.predict([]) == []
    with pytest.raises(TypeError, match=r"write predict\(\[text\]\)"):
        model.predict("good")
    with pytest.raises(nt.DataError, match=r"^text 2: this model was trained on single texts; got"):
        model.predict(["good", ("good", "bad")])


def test_batches_of_any_size_and_more_texts_than_are_sorted_together_come_back_in_order(exported, monkeypatch):
    model = load(exported)
    whole = model.predict([*TEXTS, LONG])
    monkeypatch.setattr("nlp_transfer.runtime.exported_model._WINDOW", 4)
    for size in (1, 3, 100):
        parts = model.predict([*TEXTS, LONG], batch_size=size)
        assert [one.label for one in parts] == [one.label for one in whole]
        assert [one.probability for one in parts] == pytest.approx([one.probability for one in whole], abs=1e-5)


def test_threads_may_share_a_model(checkpoint, tmp_path):
    """The tokenizer's truncation is a state, which one text sets and another lifts."""
    model = load(an_export(checkpoint(), nt.TextClassificationHead(["z", "a"], long_texts="window"), tmp_path, 12))
    texts = [[LONG], ["good"], ["the coffee was bad and the train was sad and the hotel was ugly"]] * 6
    alone = [model.predict(some) for some in texts]
    answers: dict[int, list[nt.Prediction]] = {}

    def answer(number: int) -> None:
        for place in range(number, len(texts), 3):
            answers[place] = model.predict(texts[place])

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[place] for place in range(len(texts))] == alone


def test_a_folder_that_is_no_export_is_refused(tmp_path, exported):
    for folder in (tmp_path, tmp_path / "missing", exported.parent / "model"):
        line = rf"^{folder} holds no export \(no runtime.json\); make one with: nlp-transfer export RUN\.$"
        with pytest.raises(nt.ModelError, match=line):
            load(folder)


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / "runtime.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_export_of_another_version_is_refused(damaged):
    rewrite(damaged, format=2, versions={"nlp_transfer": "9.0"})
    line = r"was exported by nlp_transfer 9\.0 in format 2, and this version \(.+\) reads format 1; export the run"
    with pytest.raises(nt.ModelError, match=line):
        load(damaged)


def test_a_decoder_that_this_version_lacks_is_refused(damaged):
    description = json.loads((damaged / "runtime.json").read_text())
    rewrite(damaged, decoder=description["decoder"] | {"kind": "irony"})
    with pytest.raises(
        nt.ModelError, match=r"^the export decodes 'irony', which this version cannot \(it knows .*label"
    ):
        load(damaged)
    rewrite(damaged, decoder=description["decoder"] | {"colour": "red"})
    with pytest.raises(nt.ModelError, match=r"^the export's 'label' decoder has other fields than this version's: "):
        load(damaged)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "export.json"])
def test_a_damaged_or_missing_file_is_told_by_its_checksum(damaged, name):
    content = (damaged / name).read_bytes()
    (damaged / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    line = rf"{name} is not the file that was exported: its checksum differs; copy the folder again, or export the run"
    with pytest.raises(nt.ModelError, match=line):
        load(damaged)
    (damaged / name).unlink()
    with pytest.raises(nt.ModelError, match=rf"lacks {name}; copy the folder again, or export the run again\.$"):
        load(damaged)


def test_what_describes_the_export_may_be_damaged_too(damaged):
    (damaged / "runtime.json").write_text("{")
    with pytest.raises(
        nt.ModelError, match=r"runtime.json is damaged; copy the folder again, or export the run again\.$"
    ):
        load(damaged)


def test_a_network_that_onnxruntime_cannot_run_is_told_in_one_line(damaged):
    """An operator of another runtime, as a newer one may have it."""
    network = onnx.load(str(damaged / "model.onnx"))
    network.graph.node[5].op_type = "OfTomorrow"
    onnx.save(network, str(damaged / "model.onnx"))
    with pytest.raises(
        nt.ModelError,
        match=r"^onnxruntime [\d.]+ cannot run .*model.onnx: it lacks the operator OfTomorrow; install the",
    ):
        load(damaged, check=False)
    (damaged / "tokenizer.json").write_text("{}")
    with pytest.raises(nt.ModelError, match=r"tokenizer.json is no tokenizer that tokenizers reads"):
        load(damaged, check=False)


def test_a_missing_package_is_named_with_the_command_that_installs_it(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        nt.ModelError, match=r"needs the package onnxruntime; pip install onnxruntime tokenizers numpy$"
    ):
        load(exported)


def test_a_form_that_was_not_kept_is_refused(exported):
    with pytest.raises(nt.ModelError, match=r"was not exported as int8; it holds fp32\.$"):
        load(exported, form="int8")


def test_int8_for_a_processor_with_other_instructions_is_warned_of(damaged, monkeypatch, caplog):
    rewrite(damaged, form="int8", has_int8_products=True)
    monkeypatch.setattr("nlp_transfer.runtime.exported_model.has_int8_products", lambda: False)
    load(damaged)
    assert "was quantised for a processor with instructions for int8, which this one lacks" in caplog.text
    caplog.clear()
    rewrite(damaged, form="int8", has_int8_products=False)
    load(damaged)
    assert caplog.text == ""
