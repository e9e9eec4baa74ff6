"""`--strategy auto` becomes one of the others, says why, and is chosen once."""

from __future__ import annotations

import json
import signal

import pytest
import yaml
from conftest import run_recipe

import nlp_transfer as nt
from nlp_transfer import choosing
from nlp_transfer.choosing import _because, _best
from nlp_transfer.progress import Progress


@pytest.fixture
def asked(monkeypatch):
    """What each short run was asked, and the scores that they are given instead of being run."""
    calls = []
    scores = {"head_then_full": 0.6, "full": 0.9, "lora": 0.5, "features": 0.89}

    def score(name, model, learned, judged, options, cache):
        calls.append((name, len(learned.data), set(learned.data["line"]), set(judged.data["line"]), options))
        return scores[name.partition(":")[0]]

    monkeypatch.setattr(choosing, "_score", score)
    return calls


def test_a_short_run_is_scored_on_rows_that_it_has_not_seen_and_no_others_are_looked_at(
    asked, checkpoint, review_splits, options
):
    model = nt.TransferModel.load(checkpoint(), nt.text_head_for(review_splits))
    before = {name: p.clone() for name, p in model.network.named_parameters()}
    choice = nt.choose_strategy(model, review_splits, options)
    assert [name for name, *_ in asked[:4]] == choosing._candidates(model.head)
    assert {name.partition(":")[0] for name, *_ in asked[4:]} == {"full", "features"}  # the others are out of reach
    assert [count for _, count, *_ in asked] == [16] * 4 + [32] * 2
    trained = set(review_splits.train.data["line"])
    for _, _, learned, judged, short in asked:
        assert not learned & judged
        assert (learned | judged) <= trained
        assert (short.num_train_epochs, short.max_train_steps) == (2, None)
    assert (choice.name, choice.strategy) == ("full", nt.strategies.Full())
    assert len(choice.reasons) == 3
    assert choice.reasons[0].startswith("auto: 64 training rows, 2 labels (32 a label), ")
    assert "after 16 rows: head_then_full 60.0, full 90.0" in choice.reasons[1]
    assert choice.reasons[2] == (
        "auto: full, +1.0 beside features:svm: a standard error or less apart, and it wins more often."
    )
    assert all((p == before[name]).all() for name, p in model.network.named_parameters())


def test_what_chance_gives_is_no_reason_to_leave_the_order():
    assert _best({"a": 0.80, "b": 0.81, "c": 0.70}, judged=400) == ["a", "b"]
    assert _best({"a": 0.70, "b": 0.81, "c": 0.70}, judged=400) == ["b"]
    assert _best({"a": 0.79, "b": 0.80, "c": 0.81}, judged=100) == ["b", "c"]
    assert _best({}, judged=100) == []
    assert _because("b", {"a": [0.5], "b": [0.9]}, 100).endswith("more than chance gives.")


def test_a_run_goes_on_with_what_it_chose(task_flags, training_flags, tmp_path):
    flags = [*task_flags["ner"], *training_flags, "--strategy", "auto", "--output_dir", "run"]
    outcome = run_recipe("ner", flags, tmp_path)
    assert outcome.status == 0, outcome.err
    written = json.loads((tmp_path / "run" / "transfer.json").read_text())
    chosen = written["auto"]
    said = [line for line in outcome.err.splitlines() if line.startswith("auto: ")]
    assert said[-3:] == chosen["reasons"]
    assert written["options"]["strategy"] == chosen["name"] != "auto"
    options = yaml.safe_load((tmp_path / "run" / "options.yaml").read_text())
    assert options["strategy"] == chosen["name"]
    options["output_dir"] = "again"
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(options))
    again = run_recipe("ner", ["--config", "again.yaml"], tmp_path)
    assert again.status == 0, again.err
    assert "auto:" not in again.err
    of_both = [json.loads((tmp_path / run / "metrics.json").read_text())["test"] for run in ("run", "again")]
    assert of_both[0] == of_both[1]


def test_a_run_that_was_stopped_does_not_choose_again(asked, task_flags, training_flags, tmp_path):
    flags = [*task_flags["classify"], *training_flags, "--strategy", "auto", "--output_dir", "run"]
    with pytest.MonkeyPatch.context() as patch:
        seen = Progress.step

        def step(self, step):
            if step.number == 3:
                signal.raise_signal(signal.SIGTERM)
            seen(self, step)

        patch.setattr(Progress, "step", step)
        assert run_recipe("classify", flags, tmp_path).status == 143
    assert len(asked) == 6
    outcome = run_recipe("classify", [*flags, "--resume"], tmp_path)
    assert outcome.status == 0, outcome.err
    assert "Strategy full, as chosen when the run began." in outcome.err
    assert "Going on from" in outcome.err
    assert len(asked) == 6
    assert json.loads((tmp_path / "run" / "transfer.json").read_text())["auto"]["name"] == "full"


def test_auto_takes_no_option_of_a_strategy_and_fit_takes_no_auto(checkpoint, review_splits, options):
    with pytest.raises(nt.OptionError, match="--lora_r is of one strategy, and --strategy auto chooses; leave it out"):
        nt.strategy_from(nt.StrategyOptions(strategy="auto", lora_r=4))
    model = nt.TransferModel.load(checkpoint(), nt.text_head_for(review_splits))
    with pytest.raises(nt.OptionError, match="the strategy auto is chosen before fit"):
        nt.fit(model, review_splits, options, strategy="auto")


def test_few_rows_are_not_parted(asked, checkpoint, review_splits, options):
    few = nt.splits_from(review_splits.train.data.select(range(24)).to_pandas()[["text", "label"]])
    choice = nt.choose_strategy(nt.TransferModel.load(checkpoint(), nt.text_head_for(few)), few, options)
    assert (choice.name, choice.options, asked) == ("features", {"classifier": "logistic"}, [])
