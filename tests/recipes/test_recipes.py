"""Each recipe runs from end to end, and says in one line what it cannot use."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
import yaml
from conftest import RECIPES, review_lines, run_recipe, sentence_lines
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import nlp_transfer as nt
from nlp_transfer.training import steps

LEFT = {
    "README.md", "metrics.json", "model", "options.yaml", "predictions.jsonl", "transfer.json", "model/README.md",
    "model/config.json", "model/model.safetensors", "model/tokenizer.json", "model/tokenizer_config.json",
    "reference_rows.jsonl",
}  # fmt: skip
TASKS = ("classify", "ner", "sentiment")

REVIEWS = "text,label\n" + "".join(f"{text},{label}\n" for text, label in review_lines(16))
SENTENCES = "".join("".join(f"{w}\t{t}\n" for w, t in sentence) + "\n" for sentence in sentence_lines(16))


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("name", TASKS)
def test_a_run_leaves_everything_and_prints_the_table(finished, name):
    folder, outcome = finished(name)
    assert tree(folder) == LEFT
    assert os.listdir(folder.parent) == ["run"]
    heading, model, *baselines = outcome.out.splitlines()
    assert heading.startswith("test (16 rows)")
    assert model.startswith("this model")
    assert len(baselines) == (1 if name == "ner" else 2)
    assert outcome.err.splitlines()[-1] == "The run is in run."
    assert "error" not in outcome.err


@pytest.mark.parametrize("name", TASKS)
def test_a_run_learns_what_can_be_learned(task_flags, training_flags, tmp_path, name):
    outcome = run_recipe(name, [*task_flags[name], *training_flags, "--num_train_epochs", "6"], tmp_path)
    assert outcome.status == 0
    metrics = json.loads((tmp_path / "runs" / name / "metrics.json").read_text())
    assert metrics["test"]["f1_strict" if name == "ner" else "accuracy"] > 0.9


def test_a_run_may_train_on_every_row(reviews, training_flags, tmp_path):
    files = ["--train_file", reviews["train"], "--test_file", reviews["test"], "--validation_split_percentage", "0"]
    outcome = run_recipe("classify", [*files, *training_flags], tmp_path)
    assert outcome.status == 0, outcome.err
    metrics = json.loads((tmp_path / "runs" / "classify" / "metrics.json").read_text())
    assert "validation" not in metrics
    assert metrics["train"]["best_epoch"] is None
    assert "weights are those of the last step" in (tmp_path / "runs" / "classify" / "README.md").read_text()


def test_saved_models_open_as_their_cards_say(finished, task_flags, training_flags, tmp_path):
    """In a new process, which first cannot import nlp_transfer, and then does so for the head that needs it."""
    flags = [*task_flags["classify"], *training_flags, "--pooling", "mean", "--hidden", "16", "--output_dir", "run"]
    assert run_recipe("classify", flags, tmp_path).status == 0
    models = {name: str(finished(name)[0] / "model") for name in ("classify", "ner")}
    card = (tmp_path / "run" / "README.md").read_text().split("```python\n")[1].split("```")[0]
    code = f"""
import json, sys
sys.modules["nlp_transfer"] = None
from transformers import pipeline
texts = {[text for text, _ in review_lines(96)[80:]]!r}
classify = pipeline("text-classification", model={models["classify"]!r})
ner = pipeline("token-classification", model={models["ner"]!r})
native = [answer["label"] for answer in classify(texts)]
entities = [answer["entity"] for answer in ner("Anna was in Oslo .")]
del sys.modules["nlp_transfer"]
{card}
print(json.dumps([native, entities, [answer["label"] for answer in pipe(texts)]]))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "run", capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    native, entities, ours = json.loads(run.stdout)
    assert native == predicted_labels(finished("classify")[0])
    assert ours == predicted_labels(tmp_path / "run")
    assert set(entities) <= {"B-PER", "I-PER", "B-LOC", "I-LOC"}


def predicted_labels(folder: Path) -> list[str]:
    return [json.loads(line)["predicted"] for line in (folder / "predictions.jsonl").read_text().splitlines()]


def test_precision_of_training_does_not_reach_the_scores(task_flags, training_flags, tmp_path, reviews):
    """Trained in bf16, scored and saved in fp32: the file says what anyone else will get."""
    flags = [*task_flags["classify"], *training_flags, "--mixed_precision", "bf16", "--output_dir", "run"]
    assert run_recipe("classify", flags, tmp_path).status == 0
    model = nt.TransferModel.load(tmp_path / "run")
    texts = [line.rsplit(",", 1)[0] for line in Path(reviews["test"]).read_text().splitlines()[1:]]
    lines = (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()
    for line, again in zip(lines, model.predict(texts, precision="no"), strict=True):
        assert abs(json.loads(line)["probability"] - again.probability) < 1e-5


def test_a_scale_is_cut_from_scores(training_flags, tmp_path):
    lines = [f"{text},{-0.8 + 0.1 * i}" for i, (text, _) in enumerate(review_lines(17))]
    (tmp_path / "train.csv").write_text("text,score\n" + "\n".join(3 * lines) + "\n")
    flags = ["--train_file", "train.csv", "--levels", "low", "mid", "high", "--level_edges", "-0.35", "0.35"]
    outcome = run_recipe("sentiment", [*flags, *training_flags, "--output_dir", "run"], tmp_path)
    assert outcome.status == 0, outcome.err
    transfer = json.loads((tmp_path / "run" / "transfer.json").read_text())
    assert transfer["labels"] == ["low", "mid", "high"]
    assert transfer["head"]["edges"] == [-0.35, 0.35]


@pytest.mark.parametrize("name", TASKS)
def test_a_run_is_overwritten_only_when_asked(finished, training_flags, task_flags, tmp_path, name):
    shutil.copytree(finished(name)[0], tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    flags = [*task_flags[name], *training_flags, "--output_dir", "run", "--max_train_steps", "1"]
    outcome = run_recipe(name, flags, tmp_path)
    assert outcome.status == 2
    assert outcome.err == "error: --output_dir run already holds a run; name another, or give --overwrite_output_dir.\n"
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    assert run_recipe(name, [*flags, "--overwrite_output_dir"], tmp_path).status == 0
    assert tree(tmp_path) == {"run", "run/notes.txt"} | {f"run/{path}" for path in LEFT}
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["train"]["steps"] == 1


class Bad(NamedTuple):
    """Files that differ from good ones, flags that differ from the usual, and what is said of them."""

    says: Sequence[str]
    files: Mapping[str, str | bytes] = {}
    flags: Sequence[str] = ()


TEXT_FLAGS = ("--train_file", "train.csv", "--validation_file", "dev.csv", "--test_file", "test.csv")
BAD_TEXT = {
    "missing file": Bad(["trian.csv does not exist", "did you mean train.csv?"], flags=["--train_file", "trian.csv"]),
    "missing test file": Bad(["gone.csv does not exist"], flags=["--test_file", "gone.csv"]),
    "wrong column": Bad(
        ["train.csv has no column 'lable'", "its columns are: text, label"], flags=["--label_column_name", "lable"]
    ),
    "wrong text column": Bad(
        ["train.csv has no column 'body'", "its columns are: text, label"], flags=["--text_column_name", "body"]
    ),
    "empty file": Bad(["train.csv is empty"], {"train.csv": ""}),
    "no rows": Bad(["train.csv holds", "no rows"], {"train.csv": "text,label\n"}),
    "empty test file": Bad(["test.csv is empty"], {"test.csv": ""}),
    "not UTF-8": Bad(["train.csv", "line 18", "UTF-8"], {"train.csv": REVIEWS.encode() + b"caf\xe9,praise\n"}),
    "ragged rows": Bad(["train.csv", "line 18"], {"train.csv": REVIEWS + "a,b,c\n"}),
    "broken line": Bad(
        ["train.jsonl", "line 2"],
        {"train.jsonl": '{"text": "a", "label": "x"}\n{"text": "b", "lab\n{"text": "c", "label": "y"}\n'},
        ["--train_file", "train.jsonl"],
    ),
    "no text": Bad(["1 row with no text (line 18)", "--skip_bad_rows"], {"train.csv": REVIEWS + ",praise\n"}),
    "no label": Bad(
        ["7 rows with no label (lines 18, 19, 20, 21, 22 ...)", "--skip_bad_rows"],
        {"train.csv": REVIEWS + 7 * "fine,\n"},
    ),
    "bad test row": Bad(["test.csv", "line 18"], {"test.csv": REVIEWS + "fine,\n"}),
    "one label": Bad(["one label 'praise'"], {"train.csv": "text,label\n" + 9 * "fine,praise\n"}),
    "unseen in validation": Bad(["dev.csv (validation)", "'blame' (line 18)"], {"dev.csv": REVIEWS + "fine,blame\n"}),
    "unseen in test": Bad(["test.csv (test)", "'blame' (line 18)"], {"test.csv": REVIEWS + "fine,blame\n"}),
    "fewer rows than labels": Bad(
        ["2 training rows for 3 labels"],
        {"train.csv": "text,label\na,praise\nb,complaint\n", "dev.csv": "text,label\na,praise\nb,other\n"},
    ),
    "unknown form": Bad(["train.doc"], {"train.doc": "text"}, ["--train_file", "train.doc"]),
}
CONLL_FLAGS = ("--train_file", "train.conll", "--validation_file", "dev.conll", "--test_file", "test.conll")
BAD_CONLL = {
    "missing file": Bad(["trian.conll does not exist", "train.conll?"], flags=["--train_file", "trian.conll"]),
    "wrong column": Bad(["has no column 'tag'", "its columns are: words, tags"], flags=["--label_column_name", "tag"]),
    "empty file": Bad(["train.conll is empty"], {"train.conll": ""}),
    "no words": Bad(["train.conll holds no words"], {"train.conll": "\n\n"}),
    "not UTF-8": Bad(["train.conll", "UTF-8"], {"train.conll": SENTENCES.encode() + b"caf\xe9\tO\n"}),
    "missing tag": Bad(
        ["a word that has no tag", "--skip_bad_rows"], {"train.conll": SENTENCES + "Anna\tB-PER\nwas\n"}
    ),
    "ragged": Bad(["3 columns where line 1 has 2"], {"train.conll": SENTENCES + "Anna\tx\tB-PER\n"}),
    "no entity": Bad(["every tag is O"], {"train.conll": "Anna\tO\nwas\tO\n\nin\tO\n"}),
    "unknown tags": Bad(["unknown tag scheme", "'PER'"], {"train.conll": "Anna\tPER\nBerg\tI-PER\nwas\tO\n"}),
    "numbers": Bad(
        ["its tags are numbers (0 to 3)", "--tag_names"], {"train.conll": "Anna\t1\nwas\t0\nin\t0\nOslo\t3\n"}
    ),
    "unknown scheme": Bad(["IOB3", "BILOU"], flags=["--tag_scheme", "IOB3"]),
    "unknown label scheme": Bad(["IOB3", "BILOU"], flags=["--label_scheme", "IOB3"]),
    "unseen in validation": Bad(["dev.conll (validation)", "'ORG'"], {"dev.conll": SENTENCES + "Acme\tB-ORG\n"}),
    "unseen in test": Bad(["test.conll (test)", "'ORG'"], {"test.conll": SENTENCES + "Acme\tB-ORG\n"}),
    "broken line": Bad(
        ["train.jsonl", "line 2"],
        {"train.jsonl": '{"tokens": ["a"], "tags": ["B-PER"]}\n{"tokens": ["a"], "ta\n'},
        ["--train_file", "train.jsonl"],
    ),
    "unequal lists": Bad(
        ["2 words and 1 tags"],
        {"train.jsonl": '{"tokens": ["a", "b"], "tags": ["B-PER"]}\n'},
        ["--train_file", "train.jsonl"],
    ),
}
BAD_ANYWHERE = {
    "too long": Bad(["max_length 10000", "positions"], flags=["--max_length", "10000"]),
    "too short": Bad(["max_length 2 leaves no room"], flags=["--max_length", "2"]),
    "full folder": Bad(["--output_dir full is not empty"], {"full/notes.txt": "mine"}, ["--output_dir", "full"]),
    "file as folder": Bad(
        ["--output_dir notes.txt is not a folder"], {"notes.txt": "me"}, ["--output_dir", "notes.txt"]
    ),
    "no such place": Bad(["cannot write to --output_dir"], {"notes.txt": "me"}, ["--output_dir", "notes.txt/run"]),
    "unknown flag": Bad(
        ["unknown option --lerning_rate; did you mean --learning_rate?"], flags=["--lerning_rate", "1"]
    ),
    "unknown key": Bad(["run.yaml has an unknown option 'sed'"], {"run.yaml": "sed: 3"}, ["--config", "run.yaml"]),
    "no such config": Bad(["cannot read --config run.yaml"], flags=["--config", "run.yaml"]),
    "no such encoder": Bad(["./nothing"], flags=["--model_name_or_path", "./nothing"]),
    "no weights": Bad(["./empty"], {"empty/notes.txt": ""}, ["--model_name_or_path", "./empty"]),
    "unknown score": Bad(["--metric_for_best_model bleu"], flags=["--metric_for_best_model", "bleu"]),
    "unknown tracker": Bad(["--report_to must be tensorboard", "got pigeon"], flags=["--report_to", "pigeon"]),
}
BAD_TEXT_FORMS = {
    "ragged semicolons": Bad(
        ["1 field where the header has 2 (line 3)"], {"train.csv": "text;label\na;praise\nb, c\n"}
    ),
    "wrong delimiter": Bad(
        ["no column with a usual name for the text; its columns are: text,label"], flags=["--delimiter", "tab"]
    ),
    "delimiter of two": Bad(["--delimiter must be one character"], flags=["--delimiter", "::"]),
    "damaged Arrow": Bad(["a.arrow is damaged or not Arrow"], {"a.arrow": "ARROW1"}, ["--train_file", "a.arrow"]),
    "damaged set": Bad(["set/state.json is damaged"], {"set/state.json": "{"}, ["--train_file", "set"]),
    "folder of nothing": Bad(
        ["set is a folder that holds no folder per label"], {"set/a": "x"}, ["--train_file", "set"]
    ),
    "folder with an empty text": Bad(
        ["1 row with no text (file pos/b.txt)"],
        {"set/pos/a.txt": "fine", "set/pos/b.txt": "", "set/neg/a.txt": "dull"},
        ["--train_file", "set"],
    ),
    "columns of CoNLL": Bad(["--conll_columns is for NER"], flags=["--conll_columns", "0,1"]),
}
MARKED = '{"text": "Anna was in Oslo", "label": [[0, 4, "PER"], [12, 16, "LOC"]]}\n'
BAD_TAGGED_FORMS = {
    "no such CoNLL column": Bad(["has 2 columns, so none is 3"], flags=["--conll_columns", "0,3"]),
    "one CoNLL column twice": Bad(["names one column twice"], flags=["--conll_columns", "1,1"]),
    "half a word": Bad(
        [
            "a.jsonl has 1 span that does not align with words",
            "line 2: PER [0, 3] 'Ann' in 'Anna was in Oslo' cuts a word",
            "--misaligned snap",
        ],
        {"a.jsonl": MARKED + MARKED.replace("[0, 4,", "[0, 3,")},
        ["--train_file", "a.jsonl"],
    ),
    "no span": Bad(
        ["neither [start, end, type]"],
        {"a.jsonl": MARKED + '{"text": "x", "label": [7]}\n'},
        ["--train_file", "a.jsonl"],
    ),
    "unknown manner": Bad(["--misaligned must be strict, snap or drop"], flags=["--misaligned", "grow"]),
    "half of brat": Bad(
        ["1 row with no .ann beside it (file b.txt)"],
        {"set/a.txt": "Anna", "set/a.ann": "T1\tPER 0 4\tAnna\n", "set/b.txt": "x"},
        ["--train_file", "set"],
    ),
    "another text in brat": Bad(
        ["a span whose text is not what stands there (file a.txt)"],
        {"set/a.txt": "Anna", "set/a.ann": "T1\tPER 0 4\tAnne\n"},
        ["--train_file", "set"],
    ),
    "no DocBin": Bad(["a.spacy"], {"a.spacy": "x"}, ["--train_file", "a.spacy"]),
}
CASES = [
    *(("classify", case, bad) for case, bad in BAD_TEXT_FORMS.items()),
    *(("ner", case, bad) for case, bad in BAD_TAGGED_FORMS.items()),
    *((name, case, bad) for name in ("classify", "sentiment") for case, bad in BAD_TEXT.items()),
    *(("ner", case, bad) for case, bad in BAD_CONLL.items()),
    *((name, case, bad) for name in TASKS for case, bad in BAD_ANYWHERE.items()),
    (
        "classify",
        "unknown pooling",
        Bad(["--pooling must be", "got middle"], flags=["--pooling", "middle"]),
    ),
    ("classify", "no units", Bad(["at least one unit"], flags=["--hidden", "0"])),
    ("sentiment", "missing level", Bad(["--levels lacks", "praise"], flags=["--levels", "complaint", "neutral"])),
    ("sentiment", "scores that are none", Bad(["'praise'", "--level_edges"], flags=["--level_edges", "-0.5"])),
    ("sentiment", "too many edges", Bad(["--level_edges"], flags=["--level_edges", "-0.5", "0.5"])),
]


def lay_out(folder: Path, name: str, files: Mapping[str, str | bytes] = {}) -> list[str]:
    """Write good files, and others in their place; the flags that name them."""
    good: dict[str, str | bytes] = {"train.csv": REVIEWS, "dev.csv": REVIEWS, "test.csv": REVIEWS}
    if name == "ner":
        good = {"train.conll": SENTENCES, "dev.conll": SENTENCES, "test.conll": SENTENCES}
    for path, content in (good | dict(files)).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)
    scale = ["--levels", "complaint", "praise"] if name == "sentiment" else []
    return [*(CONLL_FLAGS if name == "ner" else TEXT_FLAGS), *scale]


@pytest.mark.parametrize(("name", "case", "bad"), CASES, ids=[f"{name}-{case}" for name, case, _ in CASES])
def test_bad_input_gets_one_line_and_leaves_nothing(training_flags, tmp_path, name, case, bad):
    flags = [*lay_out(tmp_path, name, bad.files), *training_flags, *bad.flags]
    before = tree(tmp_path)
    outcome = run_recipe(name, flags, tmp_path)
    assert outcome.status == 2, outcome.err
    assert outcome.out == ""
    assert [line for line in outcome.err.splitlines() if line.startswith("error: ")] == outcome.err.splitlines()[-1:]
    assert "Traceback" not in outcome.err
    for words in bad.says:
        assert words in outcome.err.splitlines()[-1]
    assert tree(tmp_path) == before


def test_the_good_files_are_good(training_flags, tmp_path):
    """Else the cases above would prove nothing."""
    for name in TASKS:
        flags = [*lay_out(tmp_path, name), *training_flags, "--max_train_steps", "1"]
        outcome = run_recipe(name, flags, tmp_path)
        assert outcome.status == 0, outcome.err


@pytest.mark.whole
@pytest.mark.parametrize("name", TASKS)
def test_bad_input_is_refused_by_the_command_as_well(tmp_path, name):
    command = [sys.executable, str(RECIPES / f"{name}.py"), "--train_file", "gone.csv"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "error: gone.csv does not exist; check the path.\n"
    assert tree(tmp_path) == set()


@pytest.mark.parametrize(
    ("name", "row"), [("classify", "fine,\n"), ("sentiment", ",praise\n"), ("ner", "Anna\tB-PER\nwas\n")]
)
def test_bad_rows_are_left_out_when_asked(training_flags, tmp_path, name, row):
    kind = "train.conll" if name == "ner" else "train.csv"
    flags = lay_out(tmp_path, name, {kind: (SENTENCES if name == "ner" else REVIEWS) + row})
    flags += [*training_flags, "--max_train_steps", "1", "--output_dir", "run", "--skip_bad_rows"]
    outcome = run_recipe(name, flags, tmp_path)
    assert outcome.status == 0, outcome.err
    assert f"{kind}: left out 1 bad row (line" in outcome.err
    train = json.loads((tmp_path / "run" / "transfer.json").read_text())["data"]["train"]
    assert (train["rows"], train["skipped"]) == (16, 1)


@pytest.mark.parametrize("name", TASKS)
def test_no_room_is_told_before_training(training_flags, tmp_path, monkeypatch, name):
    flags = [*lay_out(tmp_path, name), *training_flags]
    before = tree(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    outcome = run_recipe(name, flags, tmp_path)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith(f"error: no room on disk for --output_dir runs/{name}: ")
    assert tree(tmp_path) == before


def test_a_disk_that_fills_up_while_saving_leaves_nothing(training_flags, tmp_path, monkeypatch):
    def full(self: nt.TransferModel, folder: Path) -> None:
        Path(folder).mkdir()
        raise OSError(28, "No space left on device", str(folder))

    flags = [*lay_out(tmp_path, "classify"), *training_flags, "--max_train_steps", "1"]
    before = tree(tmp_path)
    monkeypatch.setattr(nt.TransferModel, "save", full)
    outcome = run_recipe("classify", flags, tmp_path)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith("error: no room left on disk (")
    assert tree(tmp_path) == before


def test_a_run_that_is_interrupted_leaves_nothing(training_flags, tmp_path, monkeypatch):
    def interrupted(*_: object) -> Callable[[], None]:
        raise KeyboardInterrupt

    flags = [*lay_out(tmp_path, "classify"), *training_flags]
    before = tree(tmp_path)
    monkeypatch.setattr(steps, "_backward", interrupted)
    outcome = run_recipe("classify", flags, tmp_path)
    assert (outcome.status, outcome.err.splitlines()[-1]) == (130, "error: interrupted.")
    assert tree(tmp_path) == before


def weights_of(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


@pytest.mark.whole
def test_a_run_that_was_killed_goes_on(finished, task_flags, training_flags, tmp_path):
    """The command itself, killed once its third checkpoint is there; what it had half written is not in the way."""
    flags = [*task_flags["classify"], *training_flags, "--strategy", "full", "--output_dir", "run"]
    flags += ["--checkpoint_every", "1", "steps"]
    command = [sys.executable, str(RECIPES / "classify.py"), *flags]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # as the tests have: sums differ with their number
    with subprocess.Popen(command, cwd=tmp_path, env=one_thread, stderr=subprocess.DEVNULL) as run:
        while not (tmp_path / "run" / "checkpoints" / "step-00000003").exists() and run.poll() is None:
            time.sleep(0.001)
        run.kill()
        assert run.wait() == -signal.SIGKILL
    outcome = run_recipe("classify", flags, tmp_path)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith(
        "error: --output_dir run holds a run that was stopped; give --resume"
    )
    outcome = run_recipe("classify", [*flags, "--resume"], tmp_path)
    assert outcome.status == 0, outcome.err
    assert "Resuming from" in outcome.err
    assert weights_of(tmp_path / "run") == weights_of(finished("classify")[0])
    assert tree(tmp_path) == {"run"} | {f"run/{path}" for path in LEFT}
    options = yaml.safe_load((tmp_path / "run" / "options.yaml").read_text())
    assert (options["resume"], options["checkpoint_every"]) == (None, ["1", "steps"])
    again = run_recipe("classify", ["--resume", "run", *task_flags["classify"]], tmp_path)
    assert (again.status, again.out, again.err) == (0, "", "The run in run has ended; there is nothing to resume.\n")


def test_a_run_that_is_told_to_stop_goes_on_with_its_logs(finished, task_flags, training_flags, tmp_path, monkeypatch):
    flags = [*task_flags["ner"], *training_flags, "--output_dir", "run", "--report_to", "tensorboard"]
    update, calls = steps._update, 0

    def told_to_stop(trainer: steps.Trainer) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 11:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(steps, "_update", told_to_stop)
        outcome = run_recipe("ner", flags, tmp_path)
    assert outcome.status == 143
    assert outcome.err.splitlines()[-1] == "error: stopped by SIGTERM after step 11; --resume continues from there."
    assert os.listdir(tmp_path / "run" / "checkpoints") == ["step-00000011"]
    outcome = run_recipe("ner", ["--resume", "run/checkpoints/step-00000011", *flags[:-4], *flags[-2:]], tmp_path)
    assert outcome.status == 0, outcome.err
    assert weights_of(tmp_path / "run") == weights_of(finished("ner")[0])
    assert os.listdir(tmp_path) == ["run"]
    events = EventAccumulator(str(tmp_path / "run" / "logs" / "nlp_transfer")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [8, 10, 16]
