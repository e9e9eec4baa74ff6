"""A scorer travels as a path, loads once, and gives what recipes/predict.py writes."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import run_recipe
from contract_cases import HEADS, lively
from random_models import models

import nlp_transfer as nt
from nlp_transfer.evaluation import scorer as scorer_module
from nlp_transfer.evaluation.predictor import ModelSource

__all__ = ["lively", "models"]

TEXTS = ["good", "the coffee was bad, and the train was sad", "a zebra", "Anna was in Oslo. " * 30, "bad"] * 7


@pytest.fixture(autouse=True)
def _nothing_is_loaded(monkeypatch) -> None:
    monkeypatch.setattr(scorer_module, "_loaded", {})


def columns(head: str) -> dict[str, list]:
    rows = {"key": list(range(len(TEXTS))), "text": TEXTS}
    return rows | ({"other": TEXTS[::-1]} if head == "pairs" else {})


def second(head: str) -> dict[str, str]:
    return {"text_pair_column_name": "other"} if head == "pairs" else {}


@pytest.mark.parametrize("head", HEADS)
def test_a_batch_gets_the_columns_that_the_recipe_writes(models, tmp_path, head):
    rows = columns(head)
    pq.write_table(pa.table(rows), tmp_path / "in.parquet")
    flags = ["--model_name_or_path", str(models(head)), "--input_file", "in.parquet", "--mixed_precision", "no"]
    flags += ["--text_pair_column_name", "other"] if head == "pairs" else []
    assert run_recipe("predict", [*flags, "--output_file", "out.parquet"], tmp_path).status == 0
    written = pq.read_table(tmp_path / "out.parquet").drop_columns(["row"])

    scorer = nt.Scorer(models(head), precision="no", batch_size=5, **second(head))
    table = scorer.table(pa.table(rows))
    assert table.select(rows).to_pydict() == rows
    scored = table.drop_columns(list(rows))
    assert scored.schema == written.schema == scorer.schema()
    assert_alike(scored.to_pydict(), written.to_pydict())
    for batch in (rows, {name: np.array(values, dtype=object) for name, values in rows.items()}, pd.DataFrame(rows)):
        given = scorer(batch)
        assert list(given) == [*rows, *scored.column_names]
        assert_alike({name: given[name] for name in scored.column_names}, scored.to_pydict())


def assert_alike(one: object, other: object) -> None:
    """Equal, but that numbers may differ by the last of their six digits."""
    if isinstance(one, dict):
        assert list(one) == list(other)
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_alike(a, b)
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=1.01e-6, rel=1e-6)
    else:
        assert one == other


def test_it_pickles_as_a_path_and_loads_once_in_a_process(models, monkeypatch):
    loads = []
    open_model = ModelSource.open
    monkeypatch.setattr(ModelSource, "open", lambda *given: loads.append(given) or open_model(*given))
    scorer = nt.Scorer(models("native"), precision="no")
    first = scorer({"text": TEXTS})
    sent = pickle.dumps(scorer)
    assert len(sent) < 1000
    for _ in range(3):
        assert pickle.loads(sent)({"text": TEXTS}) == first
    assert nt.Scorer(models("native"), precision="no", abstain_below=0.5)({"text": ["good"]})["abstained"]
    assert len(loads) == 1
    nt.Scorer(models("native"), precision="no", max_length=8)({"text": TEXTS})
    assert len(loads) == 2


def test_a_model_that_was_written_anew_is_loaded_anew(models, tmp_path):
    shutil.copytree(models("native"), tmp_path / "run")
    scorer = nt.Scorer(tmp_path / "run", precision="no")
    before = scorer({"text": TEXTS})["probability"]
    model = nt.TransferModel.load(tmp_path / "run")
    with torch.no_grad():
        model.network.classifier.weight.mul_(-2)
    model.save(tmp_path / "run")
    assert scorer({"text": TEXTS})["probability"] != before
    assert len(scorer_module._loaded) == 1


def test_threads_are_bounded_while_it_computes_and_left_as_they_were(models, monkeypatch):
    seen = []
    predict = nt.TransferModel.predict
    monkeypatch.setattr(
        nt.TransferModel, "predict", lambda *given: seen.append(torch.get_num_threads()) or predict(*given)
    )
    before = torch.get_num_threads()
    nt.Scorer(models("native"), threads=before + 1)({"text": ["good"]})
    assert (seen, torch.get_num_threads()) == ([before + 1], before)


def test_probabilities_of_all_labels_and_abstention(models):
    plain = nt.Scorer(models("native"), precision="no")({"text": TEXTS})
    least = sorted({*plain["probability"]})[1]
    scorer = nt.Scorer(models("native"), precision="no", all_probabilities=True, abstain_below=least - 5e-7)
    given = scorer({"text": TEXTS})
    assert [*given] == ["text", "label", "probability", "abstained", "best_guess", "probabilities"]
    assert given["best_guess"] == plain["label"]
    assert given["abstained"] == [probability < least - 5e-7 for probability in plain["probability"]]
    assert {*given["abstained"]} == {True, False}
    kept = zip(given["label"], given["abstained"], given["best_guess"], strict=True)
    assert all(label == (None if abstained else guess) for label, abstained, guess in kept)
    assert all(sum(each.values()) == pytest.approx(1, abs=1e-5) for each in given["probabilities"])


@pytest.mark.parametrize("bad", [None, " ", "\ud83d", float("nan"), {"a": 1}])
def test_a_row_without_a_text_is_named_or_skipped(models, bad):
    rows = {"text": ["good", bad, "bad"]}
    with pytest.raises(nt.DataError, match=r"^row 2 of the batch has .*; mend it, or skip bad rows\.$"):
        nt.Scorer(models("native"))(rows)
    given = nt.Scorer(models("native"), precision="no", skip_bad_rows=True)(rows)
    alone = nt.Scorer(models("native"), precision="no")({"text": ["good", "bad"]})
    assert given["label"] == [alone["label"][0], None, alone["label"][1]]
    assert given["probability"][1] is None
    empty = nt.Scorer(models("native"), skip_bad_rows=True).table(pa.table({"text": [" "]}))
    assert empty.to_pylist() == [{"text": " ", "label": None, "probability": None}]
    assert nt.Scorer(models("native"))({"text": []}) == {"text": [], "label": [], "probability": []}


def test_lists_of_words_are_read_from_every_kind_of_column(models):
    words = [["Anna", "was", "in", "Oslo"], ["Boris"]]
    scorer = nt.Scorer(models("ner"), precision="no")
    tags = scorer({"tokens": words})["tags"]
    assert [len(row) for row in tags] == [4, 1]
    arrays = np.empty(2, dtype=object)
    arrays[:] = [np.array(row) for row in words]
    assert scorer({"tokens": arrays})["tags"] == scorer.table(pa.table({"tokens": words}))["tags"].to_pylist() == tags


def test_columns_that_would_be_replaced_are_refused_unless_the_new_ones_have_a_prefix(models):
    rows = {"text": ["good"], "label": ["praise"]}
    with pytest.raises(
        nt.DataError, match="the rows have a column 'label' already, which the predictions would replac"
    ):
        nt.Scorer(models("native"))(rows)
    assert list(nt.Scorer(models("native"), prefix="predicted_")(rows)) == [
        "text", "label", "predicted_label", "predicted_probability",
    ]  # fmt: skip


def test_the_columns_of_the_training_are_taken(finished, tmp_path):
    run, _ = finished("classify")
    folder = shutil.copytree(run, tmp_path / "run")
    given = nt.Scorer(folder, precision="no")({"text": ["good"]})
    options = (folder / "options.yaml").read_text().replace("text_column_name: null", "text_column_name: body")
    (folder / "options.yaml").write_text(options)
    scorer = nt.Scorer(folder, precision="no")
    assert scorer({"text": ["bad bad"], "body": ["good"]})["label"] == given["label"]
    assert scorer({"text": ["good"]})["label"] == given["label"]  # a batch without it has a column of a usual name
    assert json.loads((folder / "transfer.json").read_text())["labels"] == list(scorer.predictor.labels)


BAD = {
    "no folder": (lambda m: nt.Scorer("./nothing"), "./nothing"),
    "no run": (lambda m: nt.Scorer(m("native").parent), "is no run: it holds neither model/ nor runtime.json"),
    "a file": (lambda m: nt.Scorer(m("native") / "config.json"), "is a file; name the folder of a run"),
    "no column": (lambda m: nt.Scorer(m("native"), text_column_name="txt"), "the batch has no column 'txt' (did you"),
    "pairs": (lambda m: nt.Scorer(m("pairs")), "trained on pairs of texts; name the second ones with --text_pair_"),
    "no pairs": (lambda m: nt.Scorer(m("native"), text_pair_column_name="text"), "trained on single texts; leave"),
    "tagger": (lambda m: nt.Scorer(m("ner"), abstain_below=0.5), "--abstain_below needs one confidence for each row"),
    "number": (lambda m: nt.Scorer(m("regression"), all_probabilities=True), "--all_probabilities is for classifiers"),
    "threshold": (lambda m: nt.Scorer("x", abstain_below=0.0), "abstain_below must be more than 0, and 1 at most"),
    "threads": (lambda m: nt.Scorer("x", threads=0), "threads must be more than 0; got 0."),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_scored_is_one_line(models, case):
    make, message = BAD[case]
    with pytest.raises(nt.UserError) as error:
        make(models)({"text": ["good"]})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_exported_model_scores_as_its_run(finished, reviews, tmp_path):
    pytest.importorskip("nlp_transfer.runtime", reason="there is no export yet")
    pytest.importorskip("onnxruntime")
    run, _ = finished("classify")
    folder = shutil.copytree(run, tmp_path / "run")
    flags = ["--forms", "fp32", "--validation_file", reviews["validation"]]
    outcome = run_recipe("export", [str(folder), *flags], tmp_path)
    assert outcome.status == 0, outcome.err
    exported = nt.Scorer(folder / "exported", all_probabilities=True)
    assert exported.predictor.form == "onnxruntime, fp32"
    trained = nt.Scorer(folder, precision="no", all_probabilities=True)
    assert exported.schema() == trained.schema()
    assert_alike(pickle.loads(pickle.dumps(exported))({"text": TEXTS}), trained({"text": TEXTS}))
    for option, message in (
        ({"calibrated": False}, "keeps its calibration"),
        ({"max_length": 9}, "keeps its max_length"),
    ):
        with pytest.raises(nt.OptionError, match=message):
            nt.Scorer(folder / "exported", **option)({"text": ["good"]})
