"""The commands of the README and of the manual: each names a recipe and options that exist, and runs in short form."""

from __future__ import annotations

import csv
import importlib
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import RECIPES, Outcome, review_lines, run_recipe, sentence_lines, training_flags

import nlp_transfer as nt
from nlp_transfer.system.command import recipes

__all__ = ["training_flags"]

ROOT = RECIPES.parent
MANUAL = (RECIPES / "README.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")

TRAINING = ("classify", "sentiment", "ner")


def fenced(text: str) -> Iterator[str]:
    """The commands in blocks without a language, and in those of `sh`."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
        commands = (line for line in block.splitlines() if re.match(r"(nlp-transfer|accelerate launch|python) ", line))
        yield from commands if language in ("", "sh") else ()


def recipe_of(command: str) -> tuple[str, list[str]]:
    """The recipe that a command starts, and its options."""
    words = shlex.split(command)
    if words[0] == "nlp-transfer":
        return words[1], words[2:]
    at, path = next((at, word) for at, word in enumerate(words) if word.endswith(".py"))
    return path.removeprefix("recipes/").removesuffix(".py"), words[at + 1 :]


COMMANDS = list(dict.fromkeys([*fenced(README), *fenced(MANUAL)]))
OF_RECIPES = [command for command in COMMANDS if not command.startswith("nlp-transfer cache")]


class ParsedError(Exception):
    """The options of a recipe are read; the rest of it is not run."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the commands name, in tiny."""
    folder = tmp_path_factory.mktemp("manual")
    lines = review_lines(48)
    for name in ("tickets", "later"):
        with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["text", "team", "tags", "late", "rude", "reply"])
            for i, (text, label) in enumerate(lines):
                rows.writerow([text, label, ("late", "late;rude", "rude")[i % 3], i % 2, i // 2 % 2, lines[-i][0]])
    with open(folder / "texts.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "text"], *((i, text) for i, (text, _) in enumerate(lines[:8]))])
    (folder / "labels.yaml").write_text("praise:\n- it was good\n- great\ncomplaint:\n- it was bad\n- awful\n")
    with open(folder / "raw.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], *([f"{text} {i}"] for i, (text, _) in enumerate(lines))])
    with open(folder / "back.csv", "w", newline="", encoding="utf-8") as file:
        back = ([f"{text} {i}", label] for i, (text, label) in enumerate(lines[:24]))
        csv.writer(file).writerows([["text", "label"], *back])
    stars = {"praise": 5, "complaint": 1}
    reviews = [{"text": text, "stars": 3 if i % 5 == 0 else stars[label]} for i, (text, label) in enumerate(lines)]
    (folder / "reviews.jsonl").write_text("".join(json.dumps(row) + "\n" for row in reviews))
    (folder / "products.txt").write_text("".join(f"{text}\n" for text, _ in lines))
    for name in ("train", "test"):
        sentences = ("".join(f"{word}\t{tag}\n" for word, tag in line) + "\n" for line in sentence_lines(32))
        (folder / f"{name}.conll").write_text("".join(sentences))
    spans = [{"text": f"Anna was in Oslo {i}.", "entities": [[0, 3, "PER"], [12, 16, "LOC"]]} for i in range(24)]
    (folder / "spans.jsonl").write_text("".join(json.dumps(row) + "\n" for row in spans))
    numbers = [{"tokens": ["Anna", "was", "in", "Oslo", str(i)], "tags": [1, 0, 0, 3, 0]} for i in range(24)]
    (folder / "numbers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in numbers))
    return folder


def test_every_recipe_has_a_section():
    sections = set(re.findall(r"^## (\w+)$", MANUAL, re.M))
    assert set(recipes()) <= sections
    for name in recipes():
        assert any(recipe_of(command)[0] == name for command in fenced(MANUAL)), f"no command of {name}"


def test_links_lead_somewhere():
    headings = re.findall(r"^## (.+)$", MANUAL, re.M)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for text, home in ((README, ROOT), (MANUAL, RECIPES)):
        for link in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text):
            path, _, anchor = link.partition("#")
            assert (home / path).exists(), link
            assert not anchor or anchor in anchors, link


def test_ci_finds_its_two_commands_in_the_readme():
    lines = README.splitlines()
    assert 'pip install ".[quickstart]" && accelerate launch recipes/classify.py' in lines
    assert 'pip install -e ".[test]" && pytest' in lines
    assert len(lines) <= 130


@pytest.mark.parametrize("command", OF_RECIPES)
def test_a_command_names_a_recipe_and_options_that_exist(command, folder, monkeypatch):
    name, flags = recipe_of(command)
    if name == "verify":
        assert flags == ["runs/classify"]
        return
    if name in ("list", "copy"):
        return
    if "--config" in flags:
        (folder / "best.yaml").write_text("learning_rate: 1.0e-4\n")
        flags = ["--config", "best.yaml"]
    parse = nt.parse

    def only_parse(*arguments, **options):
        parse(*arguments, **options)
        raise ParsedError

    monkeypatch.setattr(nt, "parse", only_parse)
    if name.startswith("benchmarks/"):  # whose dataclasses need a module that is registered
        script = name.rpartition("/")[2]
        monkeypatch.syspath_prepend(RECIPES / "benchmarks")  # where a script finds the files beside it
        monkeypatch.setattr(sys, "argv", [f"{script}.py", *flags])
        with pytest.raises(ParsedError):
            importlib.import_module(script).main()
        return
    with pytest.raises(ParsedError):
        pytest.fail(run_recipe(name, flags, folder).err)


def short(name: str, flags: list[str], tiny: list[str]) -> list[str]:
    """The same options, with a tiny encoder and two steps; the last of two values of an option counts."""
    flags = (
        [*flags, "--processes", "1"] if "--processes" in flags else flags
    )  # tests/training/test_dying.py has several
    steps = ["--max_train_steps", "2", "--mixed_precision", "no"]
    encoder = tiny[tiny.index("--model_name_or_path") + 1]
    if name in TRAINING:
        return [*flags, *tiny, *steps, "--overwrite_output_dir", "true"]
    if name == "compare":
        few = ["--strategies", "freeze", "--seeds", "1", "--workers", "1", "--fractions", "1.0"]
        return [*flags, *tiny, *steps, *few, "--overwrite_output_dir", "true"]
    if name == "tune":
        return [*flags, "--model_name_or_path", encoder, *steps, "--trials", "1"]  # it searches learning rates
    if name == "select_encoder":
        return [*flags, "--encoders", encoder]
    if name == "check_data":
        return [*flags, "--model_name_or_path", encoder]
    if name == "zero_shot":
        return [*flags, "--model_name_or_path", encoder, "--overwrite_output_dir", "true"]
    if name == "label":
        is_first = flags[0] == "next" and "runs/ner" not in flags
        return [*flags, *(["--model_name_or_path", encoder, "--rows", "20"] if is_first else [])]
    if name == "predict":
        return [*flags, "--overwrite_output_file", "true", "--mixed_precision", "no"]
    if name == "export":
        return [*flags, "--overwrite_output_dir", "true"]
    return flags


def run_short(commands: list[str], folder: Path, tiny: list[str]) -> Iterator[tuple[str, Outcome]]:
    for command in commands:
        name, flags = recipe_of(command)
        yield command, run_recipe(name, short(name, flags, tiny), folder)


# Those have tests of their own, in tests/serving and in test_score_engines.py.
OWN = ("serve", "score_ray", "score_spark")
ALL = [c for c in fenced(MANUAL) if c.startswith("nlp-transfer") and recipe_of(c)[0] in {*recipes()} - {*OWN}]
QUICK = ("classify", "zero_shot", "ner", "predict", "report", "verify")
FIRST = [next(c for c in ALL if recipe_of(c)[0] == name) for name in QUICK]


@pytest.mark.usefixtures("with_reports")
def test_the_first_command_of_what_is_quick_runs(folder, training_flags):
    for command, outcome in run_short(FIRST, folder, training_flags):
        assert outcome.status == 0, f"{command}: {outcome.err}"
    assert len((folder / "out.jsonl").read_text().splitlines()) == 8


@pytest.mark.whole
@pytest.mark.usefixtures("with_reports")
def test_every_command_runs_from_the_top_to_the_bottom(folder, training_flags):
    for command, outcome in run_short(ALL, folder, training_flags):
        assert outcome.status == 0, f"{command}: {outcome.err}"
    assert (folder / "compared.html").is_file()
    assert (folder / "runs" / "tune" / "best.yaml").is_file()


@pytest.mark.usefixtures("other_accelerators")
def test_the_python_of_the_readme_runs(checkpoint, folder, monkeypatch):
    (source,) = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)
    source = source.replace("all-MiniLM-L6-v2", checkpoint()).replace("nt.TrainingOptions()", "SHORT")
    monkeypatch.chdir(folder)
    names = {"SHORT": nt.TrainingOptions(max_train_steps=2)}
    exec(compile(source, "README.md", "exec"), names)
    assert names["run"].steps > 0
