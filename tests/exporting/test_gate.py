"""What a form may lose, and which layers stay in fp32 so that it loses no more."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import pytest
import torch
from conftest import BAD, GOOD, THINGS
from contract_cases import lively  # noqa: F401 (a fixture)
from made_exports import short_turns, tiny_model, tiny_run  # noqa: F401 (a fixture)

import nlp_transfer as nt
from nlp_transfer.exporting.export_run import export_run
from nlp_transfer.exporting.gate import Budget, Comparison
from nlp_transfer.exporting.quantization import layer_errors, layers_of
from nlp_transfer.runtime import load

OUTLIER = "encoder.layer.1.output.dense"


def clear_texts(model: nt.TransferModel) -> list[str]:
    """Texts of whose labels the model is sure: those that no rounding of an ordinary layer changes."""
    texts = [f"the {thing} was {a} and {b}" for thing, a, b in itertools.product(THINGS, GOOD, BAD)]
    predictions = model.predict(texts, precision="no")
    by_label: dict[str, list[tuple[float, str]]] = {}
    for text, one in zip(texts, predictions, strict=True):
        by_label.setdefault(one.label, []).append((one.probability, text))
    assert len(by_label) == 2
    return [text for sure in by_label.values() for _, text in sorted(sure, reverse=True)[:40]]


@pytest.fixture
def with_outliers(lively, tmp_path) -> Path:  # noqa: F811
    """A run of which one layer gets one enormous number, that it does not read, beside those that it does read.

    In fp32 that changes nothing; in int8 it leaves the others no steps. So does int8 with multilingual MiniLM.
    """
    model = tiny_model(lively("bert"), nt.TextClassificationHead(["z", "a"], pooling="mean"))
    layer = model.encoder.base.encoder.layer[1]
    with torch.no_grad():
        layer.output.dense.weight.mul_(10.0)  # so that what comes out of it matters
        layer.output.dense.weight[:, 0] = 0.0
        layer.intermediate.dense.bias[0] = 5000.0
        logits = torch.tensor(
            [[math.log(p) for p in one.probabilities.values()] for one in model.predict(["good", "bad", "the train"])]
        )
        model.network.classifier.bias -= logits.mean(dim=0).float()
    return tiny_run(tmp_path / "run", model, clear_texts(model))


def test_a_layer_that_int8_destroys_stays_in_fp32(with_outliers):
    blind = export_run(with_outliers, nt.ExportOptions(least_agreement=1e-9, budget=100))
    assert blind.forms[-1].name == "int8"
    assert not blind.forms[-1].fp32_layers
    assert blind.forms[-1].comparison.agreement < 80  # of two labels: near random

    export = export_run(with_outliers, nt.ExportOptions(take="int8", overwrite_output_dir=True))
    int8 = export.forms[-1]
    assert [name.removeprefix("backbone.") for name in int8.fp32_layers] == [OUTLIER]
    assert int8.comparison.agreement >= 99
    assert export.taken == "int8"
    texts = clear_texts(nt.TransferModel.load(with_outliers))
    opened = load(export.folder)
    labels = [one.label for one in nt.TransferModel.load(with_outliers).predict(texts, precision="no")]
    assert sum(a.label == b for a, b in zip(opened.predict(texts), labels, strict=True)) >= 0.99 * len(texts)


def test_the_layer_with_outliers_is_the_most_fragile(with_outliers, tmp_path):
    export_run(with_outliers, nt.ExportOptions(forms=["fp32"]))
    path = with_outliers / "exported" / "model.onnx"
    layers = layers_of(path)
    errors = layer_errors(path, layers, load(path.parent).batch(["the coffee was good", "sad"]), False)
    worst = max(layers, key=lambda layer: errors[layer])
    assert worst.name.endswith(OUTLIER)
    assert errors[worst] > 0.5 > 10 * sorted(errors.values())[-2]


def test_every_linear_layer_and_embedding_has_its_name(with_outliers):
    export_run(with_outliers, nt.ExportOptions(forms=["fp32"]))
    names = [layer.name.removeprefix("backbone.") for layer in layers_of(with_outliers / "exported" / "model.onnx")]
    parts = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
             "intermediate.dense", "output.dense")  # fmt: skip
    linear = {f"encoder.layer.{i}.{part}" for i in range(2) for part in parts}
    assert linear <= set(names)
    assert "embeddings.word_embeddings" in names
    assert len(names) == len(set(names))


def test_int8_is_refused_where_half_of_the_layers_are_not_enough(with_outliers, monkeypatch, caplog):
    monkeypatch.setattr("nlp_transfer.exporting.gate._MOST_KEPT", 0.0)
    order = lambda *_: {layer: -i for i, layer in enumerate(layers_of(_[0]))}  # noqa: E731
    monkeypatch.setattr("nlp_transfer.exporting.gate.layer_errors", order)  # the wrong layer first
    export = export_run(with_outliers)
    assert export.taken == "fp32"
    int8 = export.forms[-1]
    assert (int8.file, int8.speed) == (None, None)
    assert not (export.folder / "model-int8.onnx").exists()
    assert list(load(export.folder).metadata["forms"]) == ["fp32"]
    refused = next(record.getMessage() for record in caplog.records if "refused" in record.getMessage())
    assert "with 1 of " in refused
    assert "the most fragile layer is " in refused
    measured = json.loads((export.folder / "export.json").read_text())
    assert measured["forms"][-1]["fault"] in refused
    for options in (nt.ExportOptions(take="int8"), nt.ExportOptions(forms=["int8"])):
        options.output_dir = str(with_outliers / "other")
        with pytest.raises(
            nt.ModelError, match=r"^int8 is refused: with 1 of .*; take fp32 \(--forms fp32\), or allow"
        ):
            export_run(with_outliers, options)
        assert not (with_outliers / "other").exists()


def compared(score: float, agreement: float, score_of_run: float = 0.9) -> Comparison:
    return Comparison(score, score_of_run, agreement, 0.0, 0.0)


def test_what_is_over_the_budget_is_said():
    budget = Budget(points=0.5, agreement=99.0)
    assert compared(0.895, 99.0).fault(budget) == ""
    assert compared(1.0, 100.0).fault(budget) == ""
    assert compared(0.894, 99.5).fault(budget) == "it loses 0.60 points of the score, and may lose 0.5"
    assert compared(0.9, 98.9).fault(budget) == "98.9% of labels agree with the run's, and 99% must"
    assert compared(math.nan, 100.0).fault(budget)
    assert compared(0.9, math.nan).fault(budget)
    assert compared(math.nan, 100.0, math.nan).fault(budget) == ""  # as of constant references
