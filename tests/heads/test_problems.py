"""Several labels, numbers and pairs from a file to a run folder, and from there to predictions, as a user goes."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
from conftest import BAD, GOOD, THINGS, run_recipe
from transformers import AutoConfig


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The same rows with labels as columns, and as pairs with a score."""
    folder = tmp_path_factory.mktemp("problems")
    rows = []
    for i in range(60):
        words = (GOOD, BAD)[i % 2]
        rows.append((f"the {THINGS[i % 8]} was", f"{words[i // 2 % 8]} and {words[i // 3 % 8]}", i % 2 == 0, i % 8 < 3))
    with open(folder / "marked.csv", "w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["text", "praise", "travel"])
        lines.writerows([f"{a} {b}", int(good), int(thing)] for a, b, good, thing in rows)
    with open(folder / "pairs.jsonl", "w") as file:
        for i, (a, b, good, _) in enumerate(rows):
            file.write(json.dumps({"a": a, "b": b, "score": (4 if good else 1) + i / 70}) + "\n")
    return folder


MARKED = ["--train_file", "marked.csv", "--label_columns", "praise,travel"]
PAIRS = ["--train_file", "pairs.jsonl", "--text_column_name", "a", "--text_pair_column_name", "b"]

LEVELS = ["--levels", "a", "b", "--level_edges", "2"]


def ran(files, training_flags, name, *flags):
    out = str(files / name)
    outcome = run_recipe("classify", [*flags, *training_flags, "--output_dir", out], files)
    assert outcome.status == 0, outcome.err
    return out, outcome


def predicted(files, run, file, *flags):
    out = files / f"{file}.out.jsonl"
    shared = ["--model_name_or_path", run, "--input_file", file, "--output_file", str(out), "--mixed_precision", "no"]
    outcome = run_recipe("predict", [*shared, *flags], files)
    assert outcome.status == 0, outcome.err
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_several_labels_in_windows(files, training_flags):
    flags = ["--class_weights", "balanced", "--loss", "focal", "--sampling", "balanced", "--long_texts", "window"]
    run, outcome = ran(files, training_flags, "several", *MARKED, *flags, "--max_length", "6")
    assert "A text may have several labels (praise, travel)." in outcome.err
    assert "are longer than 6 tokens, and 0.0% of all tokens are not read (--long_texts window)" in outcome.err
    heading = outcome.out.splitlines()[0].split()
    assert heading[-5:] == ["micro_f1", "macro_f1", "samples_f1", "hamming_loss", "lrap"]
    assert AutoConfig.from_pretrained(f"{run}/model").problem_type == "multi_label_classification"
    lines = predicted(files, run, "marked.csv", "--all_probabilities")
    assert len(lines) == 60
    least = json.loads((files / "several" / "transfer.json").read_text())["head"]["thresholds"]
    for line in lines:
        likely = {name: p for name, p in line["probabilities"].items() if p >= least[name] - 1e-5}
        assert set(line["labels"]) <= set(likely)
        assert line["probability"] == [line["probabilities"][name] for name in line["labels"]]
    card = (files / "several" / "README.md").read_text()
    assert "whose probability is at least its threshold" in card
    assert "read in overlapping windows" in card


def test_a_number_for_pairs(files, training_flags):
    run, outcome = ran(files, training_flags, "number", *PAIRS)
    assert "Column 'score' holds numbers, so this is a regression" in outcome.err
    assert "mean of train" in outcome.out
    assert AutoConfig.from_pretrained(f"{run}/model").problem_type == "regression"
    lines = predicted(files, run, "pairs.jsonl", "--text_pair_column_name", "b", "--text_column_name", "a")
    assert [set(line) for line in lines] == [{"line", "value"}] * 60
    card = (files / "number" / "README.md").read_text()
    assert 'pipe({"text": "Some text.", "text_pair": "Its second text."}, truncation=True)' in card
    shutil.copytree(files / run / "model", files / "alone")  # what remembers no columns
    for model, flags, message in (
        ("alone", [], "trained on pairs of texts; name the second ones with --text_pair_column_name"),
        (run, ["--text_pair_column_name", "b", "--all_probabilities"], "this model gives a number"),
    ):
        arguments = ["--model_name_or_path", model, "--input_file", "pairs.jsonl", "--output_file", "no.jsonl", *flags]
        outcome = run_recipe("predict", arguments, files)
        assert outcome.status == 2
        assert message in outcome.err.splitlines()[-1]
        assert not (files / "no.jsonl").exists()


@pytest.mark.parametrize(
    ("recipe", "flags", "message"),
    [
        ("classify", [*MARKED[:3], "praise,travl"], "no column 'travl' (did you mean 'travel'?)"),
        ("classify", [*PAIRS, "--loss", "focal"], "--loss is for labels"),
        ("classify", [*PAIRS, "--long_texts", "head_tail"], "is for single texts"),
        ("classify", [*PAIRS, "--sampling", "balanced"], "--sampling balanced draws rows by label"),
        ("classify", [*MARKED, "--loss", "logit_adjusted"], "for several use --class_weights or --loss focal"),
        ("classify", [*MARKED, "--label_smoothing", "0.1"], "leave it out where texts have several"),
        ("classify", [*MARKED, "--restart_on_collapse", "1"], "looks for one label predicted for every row"),
        (
            "classify",
            [*MARKED, "--class_weights", "even"],
            "--class_weights must be none, balanced or effective_number",
        ),
        ("sentiment", MARKED, "several labels are for: nlp-transfer classify"),
        (
            "sentiment",
            [*PAIRS, "--problem", "regression", "--levels", "a", "b", "--level_edges", "2"],
            "give one of them",
        ),
        ("ner", MARKED, "--label_columns is for texts with labels"),
    ],
)
def test_what_cannot_be_is_one_line(files, training_flags, recipe, flags, message):
    outcome = run_recipe(recipe, [*flags, *training_flags, "--output_dir", "bad"], files)
    assert outcome.status == 2, outcome.err
    assert message in outcome.err.splitlines()[-1], outcome.err
    assert not (files / "bad").exists()
