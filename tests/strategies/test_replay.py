"""A source is learned beside the target, and is gone when the run ends."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import review_lines, run_recipe, sentence_lines
from forking import in_two_processes
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

import nlp_transfer as nt
from nlp_transfer.data.splits import Splits
from nlp_transfer.strategies import Replay

SOURCES = ("source.csv", "source.conll", "source.txt")


def write_rows(folder):
    """Target files of 61 rows, which leave one over for two processes, and a source of each kind."""
    reviews, sentences = review_lines(80), sentence_lines(80)
    for name, part in (("target", slice(0, 61)), ("source", slice(21, 80))):
        (folder / f"{name}.csv").write_text("text,label\n" + "".join(f"{t},{label}\n" for t, label in reviews[part]))
        text = "".join("".join(f"{w}\t{tag}\n" for w, tag in s) + "\n" for s in sentences[part])
        (folder / f"{name}.conll").write_text(text)
    (folder / "source.txt").write_text("".join(f"{text}\n" for text, _ in reviews[21:]))


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A folder with `write_rows`."""
    folder = tmp_path_factory.mktemp("rows")
    write_rows(folder)
    return folder


def train(folder, checkpoint, task, strategy, size=6, accumulation=1):
    """Two epochs in fp32 without dropout; the last weights are kept."""
    path = str(folder / ("target.conll" if task == "ner" else "target.csv"))
    splits = replace(nt.load_splits(nt.DataOptions(train_file=path, validation_file=path), task), validation=None)
    if task == "ner":
        head, splits = nt.NERHead.for_splits(splits)
    else:
        head = nt.TextClassificationHead.for_splits(splits)
    nt.set_seed(0)
    model = nt.TransferModel.load(checkpoint, head)
    options = nt.TrainingOptions(
        num_train_epochs=2, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation,
        learning_rate=1e-3, mixed_precision="no", logging_steps=1,
    )  # fmt: skip
    return model, nt.fit(model, splits, options, strategy=strategy)


def weights(model):
    return {name: p.detach().clone() for name, p in model.network.named_parameters()}


def losses(result):
    return [line["loss"] for line in result.history]


def largest_difference(mine, theirs):
    assert set(mine) == set(theirs)
    return max((mine[name] - theirs[name]).abs().max().item() for name in mine)


@pytest.mark.thinned(0.3)
@pytest.mark.parametrize("task", ["classification", "ner"])
@pytest.mark.parametrize("source", SOURCES)
def test_accumulation_changes_nothing(rows, checkpoint, source, task):
    """A global batch of 6, and a last one of 1, which leaves parts without a row."""
    whole, result = train(rows, checkpoint(), task, Replay(str(rows / source)))
    parts, other = train(rows, checkpoint(), task, Replay(str(rows / source)), size=2, accumulation=3)
    assert losses(other) == pytest.approx(losses(result), abs=1e-5)
    assert largest_difference(weights(parts), weights(whole)) < 1e-5


@pytest.mark.parametrize("source", ["source.conll", "source.txt"])
def test_the_source_is_learned(rows, checkpoint, source):
    _, result = train(rows, checkpoint(), "classification", Replay(str(rows / source)))
    _, alone = train(rows, checkpoint(), "classification", "full")
    of_source = [both - target for both, target in zip(losses(result), losses(alone), strict=True)]
    assert sum(of_source[-4:]) < 0.95 * sum(of_source[:4])


def test_a_source_that_weighs_nothing_changes_nothing(rows, checkpoint):
    full, result = train(rows, checkpoint(), "classification", "full")
    replayed, other = train(rows, checkpoint(), "classification", Replay(str(rows / "source.txt"), source_weight=0))
    assert losses(other) == pytest.approx(losses(result), abs=1e-6)
    assert largest_difference(weights(replayed), weights(full)) < 1e-6
    heavy, _ = train(rows, checkpoint(), "classification", Replay(str(rows / "source.txt"), source_weight=2))
    assert largest_difference(weights(heavy), weights(full)) > 1e-3


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("task", ["classification", "ner"])
def test_what_is_saved_is_the_target_alone(rows, checkpoint, tmp_path, source, task):
    model, _ = train(rows, checkpoint(), task, Replay(str(rows / source)))
    model.save(tmp_path)
    auto = AutoModelForTokenClassification if task == "ner" else AutoModelForSequenceClassification
    network, info = auto.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    ids = torch.tensor([model.tokenizer("the coffee was good")["input_ids"]])
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(ids).logits, model.network.eval()(ids).logits)


def test_the_best_weights_are_those_of_the_target(review_splits, checkpoint, options, rows):
    model = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead.for_splits(review_splits))
    result = nt.fit(model, review_splits, options, strategy=Replay(str(rows / "source.conll")))
    assert result.trained_weights == sum(p.numel() for p in model.network.parameters())
    again = nt.fit(model, Splits(*(review_splits.train, review_splits.validation), None), options, strategy="full")
    assert again.best_score is not None  # the network is whole, and trains on


@pytest.mark.whole
def test_two_processes_learn_as_one(rows, checkpoint, tmp_path):
    write_rows(tmp_path)
    in_two_processes(tmp_path, Path(__file__), str(tmp_path), checkpoint())
    for source in SOURCES:
        model, result = train(tmp_path, checkpoint(), "classification", Replay(str(tmp_path / source)))
        theirs = load_file(tmp_path / f"{source}.safetensors")
        assert largest_difference(weights(model), theirs) < 1e-5
        assert json.loads((tmp_path / f"{source}.json").read_text()) == pytest.approx(losses(result), abs=1e-5)


def test_a_source_of_scores_is_cut_as_the_target_is(training_flags, tmp_path):
    texts = [text for text, _ in review_lines(51)]
    for name, step in (("train", 0.03), ("source", 0.035)):
        lines = "".join(f"{text},{-0.8 + step * i:.3f}\n" for i, text in enumerate(texts))
        (tmp_path / f"{name}.csv").write_text(f"text,score\n{lines}")
    flags = ["--train_file", "train.csv", *training_flags, "--strategy", "replay", "--source_file", "source.csv"]
    levels = ["--levels", "low", "mid", "high", "--level_edges", "-0.35", "0.35"]
    outcome = run_recipe("sentiment", [*flags, *levels], tmp_path)
    assert outcome.status == 0, outcome.err
    assert "Source source.csv: 51 rows, 3 labels (high, low, mid, cut at -0.35, 0.35 as the target's).\n" in outcome.err
    (tmp_path / "words.csv").write_text("text,label\n" + "".join(f"{t},{label}\n" for t, label in review_lines(40)))
    outcome = run_recipe("classify", ["--train_file", "words.csv", *flags[2:]], tmp_path)
    assert outcome.status == 2
    assert "error: source.csv: column 'score' holds scores, not labels; cut them into levels" in outcome.err


def test_a_recipe_says_what_it_replays(task_flags, training_flags, rows, tmp_path):
    flags = [*task_flags["classify"], *training_flags, "--max_train_steps", "2", "--strategy", "replay"]
    outcome = run_recipe("classify", [*flags, "--source_file", str(rows / "source.conll")], tmp_path)
    assert outcome.status == 0, outcome.err
    labels = "O, B-LOC, I-LOC, B-PER, I-PER"
    assert f"Source {rows / 'source.conll'}: 59 rows, 5 labels ({labels}).\n" in outcome.err


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--strategy", "replay"], "error: --strategy replay needs the rows that it replays: --source_file FILE, "),
        (["--strategy", "replay", "--source_file", "x.csv", "--source_weight", "-1"], "--source_weight must be 0 or"),
        (["--strategy", "replay", "--source_file", "x.csv"], "error: x.csv does not exist; check the path."),
        (["--source_file", "x.csv"], "error: --source_file is an option of --strategy replay, not of full;"),
    ],
)
def test_what_cannot_be_replayed_is_one_line(checkpoint, tmp_path, flags, line):
    outcome = run_recipe("classify", ["--model_name_or_path", checkpoint(), *flags], tmp_path)
    assert outcome.status == 2
    assert line in outcome.err.splitlines()[-1]
    assert os.listdir(tmp_path) == []


def main(folder: Path, checkpoint: str) -> None:
    """What each of the two processes does: train on every source, and let the first one write what came out."""
    for source in SOURCES:
        model, result = train(folder, checkpoint, "classification", Replay(str(folder / source)), size=3)
        if os.environ["RANK"] == "0":
            save_file(weights(model), folder / f"{source}.safetensors")
            (folder / f"{source}.json").write_text(json.dumps(losses(result)))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
