"""Probabilities come true, labels stay what they are, and what was fitted goes where the model goes."""

from __future__ import annotations

import json
import logging

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import review_lines, run_recipe

import nlp_transfer as nt
from nlp_transfer.decoding.probabilities import softmax
from nlp_transfer.metrics.temperature import LEAST_ERRORS, LEAST_ROWS, fitted_scaling, platt_scaling_of, temperature_of


def drawn(items=4000, labels=4, seed=0):
    """Logits, and answers that are drawn with just their probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2.0, size=(items, labels))
    answers = (softmax(logits).cumsum(axis=1) > rng.random((items, 1))).argmax(axis=1)
    return logits.astype(np.float32), answers


def as_outputs(logits):
    return [row[None] for row in logits]


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_a_factor_on_logits_that_were_right(factor):
    logits, answers = drawn()
    found = temperature_of(factor * logits, answers)
    assert found == pytest.approx(factor, rel=0.06)

    def loss(temperature):
        return -np.log(softmax(factor * logits, temperature)[np.arange(len(answers)), answers]).mean()

    assert loss(found) <= min(loss(found * by) for by in (0.7, 0.99, 1.01, 1.4))


@pytest.mark.parametrize(("a", "b"), [(0.5, 1.0), (2.0, -1.5)])
def test_platt_scaling_undoes_what_was_done_to_each_logit(a, b):
    rng = np.random.default_rng(0)
    true = rng.normal(scale=2.0, size=6000)
    there = rng.random(6000) < 1 / (1 + np.exp(-true))
    assert platt_scaling_of((true - b) / a, there) == (pytest.approx(a, rel=0.08), pytest.approx(b, abs=0.12))


def test_scaling_keeps_the_order_even_where_logits_point_the_wrong_way():
    there = np.arange(400) % 2 == 0
    a, _ = platt_scaling_of(np.where(there, -3.0, 3.0), there)
    assert 0 < a < 1


LOGITS, ANSWERS = drawn(items=300, labels=5)
HEADS = {
    "classification": (nt.TextClassificationHead(list("abcde")), [list("abcde")[i] for i in ANSWERS]),
    "sentiment": (nt.SentimentHead(list("12345")), [list("12345")[i] for i in ANSWERS]),
    "multi_label": (nt.MultiLabelHead(list("abcde")), [[list("abcde")[i]] for i in ANSWERS]),
}


@pytest.mark.parametrize("kind", HEADS)
def test_a_tuned_head_says_the_same_labels_with_other_probabilities(kind):
    head, labels = HEADS[kind]
    outputs = as_outputs(3 * LOGITS)
    head.tune(outputs, {"label": labels})
    again = type(head)(**json.loads(json.dumps(head.options())))
    plain = again.uncalibrated()
    assert again.decode(outputs, {}) == head.decode(outputs, {})
    name = "labels" if kind == "multi_label" else "label"
    after, before = again.decode(outputs, {}), plain.decode(outputs, {})
    assert [getattr(p, name) for p in after] == [getattr(p, name) for p in before]
    doubts = [np.mean([min(q, 1 - q) for p in found for q in p.probabilities.values()]) for found in (after, before)]
    assert doubts[0] > 1.3 * doubts[1]
    assert again.calibration()
    assert plain.calibration() == {}
    assert getattr(again, "temperature", None) == again.calibration().get("temperature")


def test_the_thresholds_that_are_told_part_calibrated_probabilities_as_the_labels_do():
    head = nt.MultiLabelHead(list("abcde"))
    head.tune(as_outputs(3 * LOGITS), {"label": HEADS["multi_label"][1]})
    least = head.calibration()["thresholds"]
    assert least != head.thresholds
    for found in head.decode(as_outputs(3 * LOGITS), {}):
        assert found.labels == tuple(name for name, p in found.probabilities.items() if p >= least[name])


def test_a_rare_label_is_scaled_with_all_the_others():
    noisy = LOGITS + np.random.default_rng(0).normal(size=LOGITS.shape)
    there = LOGITS > 0
    there[:, 3:] = (np.arange(300) < 3)[:, None]
    scaling = fitted_scaling(noisy, there, list("abcde"))
    assert scaling["d"] == scaling["e"]
    assert len({tuple(pair) for pair in scaling.values()}) == 4


def test_a_tagger_keeps_its_tags_and_their_order():
    head = nt.NERHead(["PER", "LOC"])
    rng = np.random.default_rng(0)
    outputs = [rng.normal(scale=4, size=(6, 5)).astype(np.float32) for _ in range(100)]
    rows = {"words": [list("abcdef")] * 100}
    before = head.decode(outputs, rows)
    tags = [["O"] * 6 for _ in range(100)]
    head.tune(outputs, rows | {"tags": tags})
    after = head.decode(outputs, rows)
    assert head.temperature > 1
    assert [p.tags for p in after] == [p.tags for p in before]
    assert nt.NERHead(**head.options()).decode(outputs, rows) == after
    few = nt.NERHead(["PER", "LOC"])
    few.tune(outputs[:99], {name: column[:99] for name, column in (rows | {"tags": tags}).items()})
    assert few.temperature is None  # 594 words, but 99 sentences
    assert np.mean([q for p in after for q in p.probabilities]) < np.mean([q for p in before for q in p.probabilities])


@pytest.mark.parametrize(
    ("rows", "wrong", "line"),
    [
        (LEAST_ROWS - 1, 50, "this needs at least 100 validation rows; got 99."),
        (
            300,
            LEAST_ERRORS - 1,
            "this needs at least 10 wrong validation rows; got 9 of 300; about 333 would have as many.",
        ),
        (300, 0, "this needs at least 10 wrong validation rows; got 0 of 300; more than 3,000 would have as many."),
    ],
)
def test_too_few_rows_or_errors_are_logged_and_nothing_is_fitted(caplog, rows, wrong, line):
    head = nt.TextClassificationHead(["a", "b"], temperature=2.0)
    outputs = as_outputs(np.tile(np.float32([1, 0]), (rows, 1)))
    with caplog.at_level(logging.INFO, "nlp_transfer"):
        head.tune(outputs, {"label": ["b"] * wrong + ["a"] * (rows - wrong)})
    assert caplog.messages == [f"Probabilities are not calibrated: {line}"]
    assert head.temperature is None


def test_what_cannot_be_is_refused():
    for options in ({"temperature": 0.0}, {"temperature": float("inf")}):
        with pytest.raises(nt.OptionError, match="temperature must be more than 0"):
            nt.TextClassificationHead(["a", "b"], **options)
    for pair in ([0.0, 1.0], [1.0]):
        with pytest.raises(nt.OptionError, match="scaling must be a and b"):
            nt.MultiLabelHead(["a", "b"], scaling={"a": pair})


@pytest.fixture(scope="module")
def run(checkpoint, training_flags, tmp_path_factory):
    """The folder of a run of classify.py whose validation rows are wrongly labelled by a sixth."""
    folder = tmp_path_factory.mktemp("calibrated")
    lines = review_lines(240)
    for i in range(64, 240, 6):
        lines[i] = (lines[i][0], "praise" if lines[i][1] == "complaint" else "complaint")
    for name, part in {"train": lines[:64], "validation": lines[64:224], "test": lines[224:]}.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": t, "label": n}) + "\n" for t, n in part))
    files = [part for name in ("train", "validation", "test") for part in (f"--{name}_file", f"{name}.jsonl")]
    outcome = run_recipe(
        "classify", [*files, *training_flags, "--num_train_epochs", "4", "--output_dir", "run"], folder
    )
    assert outcome.status == 0, outcome.err
    assert "Probabilities are calibrated on 160 validation rows: temperature" in outcome.err
    return folder / "run"


def test_a_run_keeps_the_temperature_wherever_it_is_opened(run):
    kept = json.loads((run / "transfer.json").read_text())["calibration"]["temperature"]
    texts = [text for text, _ in review_lines(8)]
    for place in (run, run / "model"):
        model = nt.TransferModel.load(place)
        assert model.head.temperature == kept != 1
    p = model.predict(texts, precision="no")
    plain = model.predict(texts, precision="no", calibrated=False)
    assert [a.label for a in p] == [a.label for a in plain]
    odds = np.array([[np.log(a.probability / (1 - a.probability)) for a in found] for found in (p, plain)])
    np.testing.assert_allclose(odds[0] * kept, odds[1], rtol=1e-6)
    for place in (run, run / "model"):
        assert f"Divide logits by {kept:.4f} to calibrate them." in (place / "README.md").read_text()


def test_what_was_fitted_to_other_weights_is_forgotten(run, review_splits, options):
    model = nt.TransferModel.load(run)
    options.max_train_steps = 1
    nt.fit(model, nt.Splits(review_splits.train, None, review_splits.test), options)
    assert model.head.temperature is None


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_nothing_is_said_of_a_row_that_is_less_sure_than_asked(run, tmp_path, form):
    texts = [text for text, _ in review_lines(30)]
    (tmp_path / "in.txt").write_text("\n".join(texts))
    model = nt.TransferModel.load(run)
    found = model.predict(texts, precision="no")
    least = float(np.median([p.probability for p in found]))
    flags = ["--model_name_or_path", str(run), "--input_file", "in.txt", "--mixed_precision", "no"]

    def ask(*more):
        target = tmp_path / f"out{len(list(tmp_path.iterdir()))}.{form}"
        outcome = run_recipe("predict", [*flags, "--output_file", target.name, *more], tmp_path)
        assert outcome.status == 0, outcome.err
        if form == "parquet":
            return pq.read_table(target).to_pylist(), outcome.err
        return [json.loads(line) for line in target.read_text().splitlines()], outcome.err

    lines, said = ask("--abstain_below", str(least))
    marked = [p.abstained for p in model.predict(texts, precision="no", abstain_below=least)]
    assert 0 < sum(marked) < 30
    assert "Probabilities are calibrated." in said
    assert f"Abstained on {sum(marked)} of these 30 rows: probability below" in said
    assert [line["abstained"] for line in lines] == marked
    assert [line["label"] for line in lines] == [None if m else p.label for m, p in zip(marked, found, strict=True)]
    assert [line["best_guess"] for line in lines] == [p.label for p in found]
    lines, said = ask("--calibrated", "false")
    assert "not calibrated" in said
    assert not {"abstained", "best_guess"} & set(lines[0])
    assert [line["probability"] for line in lines] == pytest.approx(
        [p.probability for p in model.predict(texts, precision="no", calibrated=False)], abs=2e-6
    )


def test_a_text_with_several_labels_is_as_sure_as_its_least_sure_one():
    found = nt.MultiLabelPrediction(("a",), {"a": 0.9, "b": 0.3, "c": 0.05})
    assert found.certainty == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("head", "why"),
    [(nt.NERHead(["PER"]), "gives each span a score"), (nt.RegressionHead("stars"), "this model gives a number")],
)
def test_abstaining_is_for_classifiers(checkpoint, head, why):
    with pytest.raises(nt.OptionError, match=why):
        nt.TransferModel.load(checkpoint(), head).predict(["good"], abstain_below=0.5)


def test_a_probability_to_abstain_below_is_one(run):
    with pytest.raises(nt.OptionError, match="abstain_below must be more than 0, and 1 at most; got 80"):
        nt.TransferModel.load(run).predict(["good"], abstain_below=80)
