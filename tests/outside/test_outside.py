"""A head, a strategy and a metric of an outside package go through everything that a user meets, one file each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from conftest import Elements
from outside import BitFit, IronyHead, WordClassHead, praise_gap_of

import nlp_transfer as nt
from nlp_transfer.data.splits import Splits
from nlp_transfer.heads import registry
from nlp_transfer.metrics import metric_registry
from nlp_transfer.run.report.redraw import draw_reports
from nlp_transfer.run.report.wording import score_name
from nlp_transfer.strategies import STRATEGIES
from nlp_transfer.strategies.strategy_options import declare_options_of
from nlp_transfer.training import steps

HEADS = {"irony": IronyHead, "word_classes": WordClassHead}


def take_out() -> None:
    """Unregister what importing `outside` has registered: tests of other files are of what the package brings."""
    for task in HEADS:
        del registry.HEADS[task]
    del STRATEGIES["bitfit"]
    declare_options_of(STRATEGIES, "auto")


take_out()


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    """The heads and the strategy are registered while a test of this file runs."""
    for head in HEADS.values():
        nt.register_head(head)
    nt.register_strategy(BitFit)
    yield
    take_out()


@pytest.fixture(params=HEADS)
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def splits(task: str, review_splits: Splits, sentence_splits: Splits) -> Splits:
    return sentence_splits if HEADS[task].labels_words else review_splits


@pytest.fixture
def data(task: str, reviews: dict[str, str], sentences: dict[str, str]) -> nt.DataOptions:
    files = sentences if HEADS[task].labels_words else reviews
    return nt.DataOptions(**{f"{name}_file": path for name, path in files.items()})


def load(checkpoint: str, task: str, splits: Splits) -> nt.TransferModel:
    nt.set_seed(0)
    return nt.TransferModel.load(checkpoint, HEADS[task].for_splits(splits))


def trained_run(
    folder: Path, model: nt.TransferModel, splits: Splits, options: nt.TrainingOptions, strategy: str = "full"
) -> nt.TransferModel:
    accelerator = nt.make_accelerator(options, folder)
    run = nt.fit(model, splits, options, accelerator, strategy)
    report = nt.evaluate_run(model, splits, run, accelerator)
    assert report
    folder.mkdir()
    nt.write_run(folder, model, splits=splits, report=report, options=[nt.DataOptions(), options])
    return model


@pytest.mark.parametrize("strategy", ["full", "freeze", "head_then_full", "lora", "features", "bitfit"])
def test_it_trains_with_every_strategy_and_opens_again(checkpoint, task, splits, options, strategy, tmp_path):
    model = load(checkpoint(), task, splits)
    start = {name: p.detach().clone() for name, p in model.network.named_parameters()}
    run = nt.fit(model, splits, options, strategy=strategy)
    assert run.metric == model.head.best_metric
    now = dict(model.network.named_parameters())
    learned = sum(p.numel() for name, p in now.items() if name not in start or not torch.equal(p, start[name]))
    assert learned > 0
    assert strategy == "features" or run.trained_weights > 0
    model.save(tmp_path)
    texts = ["the coffee was good", "the train was late"]
    again = nt.TransferModel.load(tmp_path)
    assert type(again.head) is HEADS[task]
    assert [p.answer for p in again.predict(texts, precision="no")] == [
        p.answer for p in model.predict(texts, precision="no")
    ]


def test_its_run_has_scores_card_report_and_predictions(checkpoint, task, splits, options, with_reports, tmp_path):
    folder = tmp_path / "run"
    model = trained_run(folder, load(checkpoint(), task, splits), splits, options)
    head = model.head
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(head.headline_scores) <= set(metrics["test"])
    assert metrics["baselines"], "it has baselines of its own"
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert len(lines) == len(splits.test.data)
    assert all({"row", "gold", "predicted"} <= set(line) for line in lines)
    card = (folder / "README.md").read_text()
    assert f"pipeline_tag: {head.pipeline_tag}" in card
    assert all(f"`{name}`" in card for name in head.labels)
    found = json.loads((folder / "report.json").read_text())
    assert [score["name"] for score in found["scores"]] == list(head.headline_scores)
    assert found["slices"], "rows are sliced by its own score"
    page = (folder / "report.html").read_text()
    assert f"Report: {head.title}" in page
    ids = {attributes.get("id") for _, attributes in Elements(page).seen}
    assert ("wrong" in ids) is ("errors" in ids) is ("confusion" in found)  # sections of what its part has found
    assert ("Words by class" in page) is (task == "word_classes")
    draw_reports([folder], tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text() == page
    assert nt.verify_run(folder).difference < 1e-4


def test_a_run_of_an_outside_strategy_is_complete(checkpoint, task, splits, options, with_reports, tmp_path):
    model = trained_run(tmp_path / "run", load(checkpoint(), task, splits), splits, options, strategy="bitfit")
    assert (tmp_path / "run" / "report.html").is_file()
    assert nt.verify_run(tmp_path / "run").difference < 1e-4
    again = nt.TransferModel.load(tmp_path / "run")
    texts = ["the coffee was good"]
    assert again.predict(texts, precision="no")[0].answer == model.predict(texts, precision="no")[0].answer


def test_two_of_its_runs_stand_side_by_side(checkpoint, task, splits, options, with_reports, tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        trained_run(tmp_path / name, load(checkpoint(), task, splits), splits, replace(options, seed=seed))
    page = draw_reports([tmp_path / "a", tmp_path / "b"], tmp_path / "both.html").read_text()
    assert all(score_name(name) in page for name in HEADS[task].headline_scores)


def test_it_resumes_after_a_kill_to_the_same_weights(checkpoint, task, splits, options, tmp_path, monkeypatch, caplog):
    class KilledError(BaseException):
        """What stands for kill -9."""

    def fit(resume: str | None) -> nt.TransferModel:
        model = load(checkpoint(), task, splits)
        often = replace(options, checkpoint_every=["3", "steps"])
        nt.fit(model, splits, often, checkpoints=tmp_path / "checkpoints", resume=resume)
        return model

    update, calls = steps._update, 0

    def counted(*arguments):
        nonlocal calls
        calls += 1
        if calls == killed_at:
            raise KilledError
        return update(*arguments)

    monkeypatch.setattr(steps, "_update", counted)
    killed_at = None
    complete = fit(None)
    all_steps, calls, killed_at = calls, 0, 8
    with pytest.raises(KilledError):
        fit(None)
    calls, killed_at = 0, None
    caplog.set_level("INFO", "nlp_transfer")
    resumed = fit("")
    assert "Resuming from" in caplog.text
    assert calls == all_steps - 6  # from the checkpoint of the sixth step
    ours, theirs = complete.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_file_is_predicted(checkpoint, task, splits, options, form, tmp_path):
    model = load(checkpoint(), task, splits)
    nt.fit(model, splits, replace(options, num_train_epochs=1))
    model.save(tmp_path / "model")
    (tmp_path / "texts.txt").write_text("the coffee was good\nthe train was late\n")
    output = tmp_path / f"out.{form}"
    nt.predict_file(
        nt.PredictionOptions(
            model_name_or_path=str(tmp_path / "model"), input_file=str(tmp_path / "texts.txt"), output_file=str(output)
        )
    )
    rows = (
        pq.read_table(output).to_pylist()
        if form == "parquet"
        else [json.loads(line) for line in output.read_text().splitlines()]
    )
    columns = head_columns(model.head)
    assert [set(row) - {"line", "row"} for row in rows] == [columns, columns]


def head_columns(head: nt.TaskHead) -> set[str]:
    return set(head.prediction.output_schema(head.labels, all_probabilities=False, abstains=False))


def test_it_is_compared(checkpoint, task, data, options, tmp_path):
    splits, head = nt.read_task(task, data, nt.SentimentOptions(), nt.NEROptions())
    assert type(head) is HEADS[task]
    folder = nt.ComparisonFolder(tmp_path / "compared")
    candidates = nt.candidates_from(["freeze", "bitfit:0.5"], [checkpoint()])
    compare = nt.CompareOptions(task=task, strategies=["freeze", "bitfit:0.5"], seeds=1, workers=1)
    training = replace(options, max_train_steps=2)
    found = nt.compare(folder, candidates, splits=splits, head=head, options=compare, training=training)
    table = nt.comparison_table(found)
    assert "bitfit:0.5" in table
    assert not found.failures


def test_an_outside_metric_goes_to_the_processes_of_a_comparison(checkpoint, reviews, options, praise_gap, tmp_path):
    data = nt.DataOptions(**{f"{name}_file": path for name, path in reviews.items()})
    splits, head = nt.read_task("irony", data, nt.SentimentOptions(), nt.NEROptions())
    folder, candidates = nt.ComparisonFolder(tmp_path / "compared"), nt.candidates_from(["freeze"], [checkpoint()])
    compare = nt.CompareOptions(task="irony", strategies=["freeze"], seeds=1, workers=1, metric=praise_gap)
    found = nt.compare(
        folder, candidates, splits=splits, head=head, options=compare, training=replace(options, max_train_steps=2)
    )
    assert not found.failures
    assert found.metric == praise_gap
    nt.register_metric(praise_gap, lambda predictions, references: 0.0, tasks=["irony"])
    with pytest.raises(nt.OptionError, match="the metric 'praise_gap' cannot be sent to other processes"):
        nt.compare(nt.ComparisonFolder(tmp_path / "other"), candidates, splits=splits, head=head, options=compare)


def test_it_is_tuned(checkpoint, task, data, options, tmp_path):
    pytest.importorskip("optuna")
    splits, head = nt.read_task(task, data, nt.SentimentOptions(), nt.NEROptions())
    tuning = nt.TuningOptions(task=task, strategies=["bitfit"], trials=2, output_dir=str(tmp_path / "tuned"))
    training = replace(options, max_train_steps=2, num_train_epochs=None, learning_rate=None)
    model = nt.ModelOptions(model_name_or_path=checkpoint())
    tuned = nt.tune(
        tuning, splits, head=head, model=model, data=data, task_options=head.task_options(),
        strategy=nt.StrategyOptions(), training=training, cache=nt.CacheOptions(),
    )  # fmt: skip
    assert tuned.command is None  # the recipe of the class that it inherits from would train that class
    assert "nt.fit" in tuned.next_step()
    best = yaml.safe_load((tmp_path / "tuned" / "best.yaml").read_text())
    assert best["strategy"] == "bitfit"
    assert 0 <= best["bias_decay"] <= 1


def test_its_data_is_checked(checkpoint, task, data):
    kind = HEADS[task].reads
    assert nt.task_of(data, task) == kind
    splits, unreadable = nt.read_for_checks(data, kind)
    report = nt.check_data(splits, kind, more=unreadable)
    assert [len(part.rows.data) for part in report.parts] == [64, 16, 16]


def test_an_outside_strategy_trains_what_it_says_alone(checkpoint, review_splits, options):
    model = load(checkpoint(), "irony", review_splits)
    before = {name: p.detach().clone() for name, p in model.encoder.base.named_parameters()}
    nt.fit(model, review_splits, options, strategy=BitFit(bias_decay=0.0))
    changed = {n for n, p in model.encoder.base.named_parameters() if not torch.equal(p, before[n])}
    assert changed
    assert all(name.endswith("bias") for name in changed)
    assert "bitfit" in STRATEGIES


@pytest.fixture
def praise_gap() -> Iterator[str]:
    """A metric of an outside package, registered while a test runs."""
    nt.register_metric("praise_gap", praise_gap_of, tasks=["irony"], greater_is_better=False)
    yield "praise_gap"
    del metric_registry._METRICS["praise_gap"]


def test_an_outside_metric_is_scored_reported_and_chooses_the_best_weights(
    checkpoint, review_splits, options, praise_gap, with_reports, tmp_path
):
    options = replace(options, metric_for_best_model=praise_gap)
    trained_run(tmp_path / "run", load(checkpoint(), "irony", review_splits), review_splits, options)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    judged = [entry["validation_praise_gap"] for entry in metrics["train"]["history"] if "validation_loss" in entry]
    assert metrics["train"]["metric"] == praise_gap
    assert metrics["validation"][praise_gap] == pytest.approx(min(judged))  # less of it is better
    shown = {score["name"]: score for score in json.loads((tmp_path / "run" / "report.json").read_text())["scores"]}
    assert shown[praise_gap]["lower_is_better"]
    assert shown[praise_gap]["model"]["score"] == pytest.approx(metrics["test"][praise_gap])
    assert "praise gap" in (tmp_path / "run" / "report.html").read_text()
