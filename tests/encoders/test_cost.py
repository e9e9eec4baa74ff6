"""A training takes about the memory estimated, a container has its limit, and FLOPs are as torch counts them."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from conftest import tiny_config
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel

import nlp_transfer as nt
from nlp_transfer.encoders import cost
from nlp_transfer.encoders.cost import free_memory, training_flops, training_memory

MEASURE = """
import gc, sys
from pathlib import Path
import nlp_transfer as nt
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.system.hardware import peak_memory
from nlp_transfer.encoders.cost import training_memory

def held():
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) * 1024

file, strategy = sys.argv[1:]
splits = nt.load_splits(nt.DataOptions(train_file=file), "classification")
model = nt.TransferModel.load("all-MiniLM-L6-v2", nt.text_head_for(splits))
inputs = TokenInputs(model.encode(splits.train.data), model.pad_id)
told = training_memory(model.encoder, inputs.lengths, 32, "no", strategy == "full")
gc.collect()
before = held()
options = nt.TrainingOptions(per_device_train_batch_size=32, mixed_precision="no", max_train_steps=2)
nt.fit(model, splits, options, strategy=strategy)
print((peak_memory() - before + 4 * model.encoder.parameter_count) / told)
"""


@pytest.mark.whole
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux what a process has held")
@pytest.mark.parametrize("strategy", ["full", "lora"])
def test_training_takes_about_what_is_told(tmp_path, strategy):
    words = ["the", "coffee", "was", "good", "and", "the", "train", "was", "late", "again"] * 18
    rows = "".join(f"{' '.join(words)} {i},{'ab'[i % 2]}\n" for i in range(72))
    (tmp_path / "rows.csv").write_text(f"text,label\n{rows}")
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "rows.csv"), strategy], capture_output=True, text=True
    )
    assert measured.returncode == 0, measured.stderr
    assert 0.6 < float(measured.stdout) < 1.4


def test_memory_follows_weights_rows_tokens_and_digits(checkpoint):
    encoder = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead(["a", "b"])).encoder
    encoder.config._attn_implementation = "sdpa"
    encoder.config.attention_probs_dropout_prob = 0.1
    weights, least = encoder.parameter_count, training_memory(encoder, [5, 9], 1, "bf16")
    states, scores = 34 * encoder.width, encoder.config.num_attention_heads * 9
    assert least == 22 * weights + 9 * encoder.depth * (states + 16 * scores)
    a_row = least - 22 * weights
    assert training_memory(encoder, [5, 9], 2, "bf16") == least + a_row
    assert training_memory(encoder, [5, 9], 32, "bf16") == least + a_row  # there are no more rows
    assert training_memory(encoder, [5, 10], 1, "bf16") > least + a_row / 9
    adapters = 9 * encoder.depth * states
    assert training_memory(encoder, [5, 9], 1, "bf16", all_weights=False) == least - 16 * weights + adapters
    assert training_memory(encoder, [5, 9], 1, "no") == least - 2 * weights + adapters
    without_scores = least - 9 * encoder.depth * 16 * scores
    assert training_memory(encoder, [5, 9], 1, "bf16", on_gpu=True) == without_scores
    encoder.config._attn_implementation = "flash_attention_2"
    assert training_memory(encoder, [5, 9], 1, "bf16") == without_scores
    encoder.config._attn_implementation = "eager"
    assert training_memory(encoder, [5, 9], 1, "bf16", on_gpu=True) == least + 9 * encoder.depth * 16 * scores
    encoder.config._attn_implementation, encoder.config.attention_probs_dropout_prob = "sdpa", 0.0
    assert training_memory(encoder, [5, 9], 1, "bf16") == without_scores


@pytest.mark.parametrize(
    ("limit", "used", "told", "files"),
    [
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
    ],
    ids=["cgroup v2", "cgroup v1"],
)
def test_a_container_has_no_more_than_its_limit(tmp_path, monkeypatch, limit, used, told, files):
    monkeypatch.setattr(cost, "_CGROUP", tmp_path)
    assert free_memory() > 10**8
    (tmp_path / "memory").mkdir()
    (tmp_path / told).write_text(f"anon 5\n{files} 300000\n")
    (tmp_path / used).write_text("500000\n")
    (tmp_path / limit).write_text("max\n")
    assert free_memory(torch.device("cpu")) > 10**8
    (tmp_path / limit).write_text("1000000\n")
    assert free_memory() == 800_000


LENGTHS = [3, 5]
# A layer of width 32: four maps of 32 x 32 and two of 32 x 64, for 3 + 5 tokens; and attention in rows of 3 and 5.
MAPS, ATTENTION = 2 * (4 * 32 * 32 + 2 * 32 * 64) * 8, 4 * 32 * (9 + 25)


@pytest.fixture
def encoder():
    return nt.Encoder(AutoModel.from_config(tiny_config("bert", 50)))


def test_all_weights_take_three_passes(encoder):
    assert training_flops(encoder, LENGTHS) == 2 * 3 * (MAPS + ATTENTION)


def test_frozen_layers_take_one_pass_or_none(encoder):
    encoder.freeze(1)
    assert training_flops(encoder, LENGTHS) == (1 + 3) * (MAPS + ATTENTION)
    assert training_flops(encoder, LENGTHS, first_layer=1) == 3 * (MAPS + ATTENTION)
    encoder.freeze(2)
    assert training_flops(encoder, LENGTHS) == 2 * (MAPS + ATTENTION)
    assert training_flops(encoder, LENGTHS, first_layer=2) == 0


def test_frozen_weights_among_trained_ones_take_two(encoder):
    still = encoder.layers[0].intermediate.dense.weight  # 64 x 32
    still.requires_grad = False
    assert training_flops(encoder, LENGTHS) == 2 * 3 * (MAPS + ATTENTION) - 2 * 64 * 32 * 8


def test_shared_layers_count_as_often_as_they_run():
    apart, shared = (nt.Encoder(AutoModel.from_config(tiny_config(family, 50))) for family in ("bert", "albert"))
    assert training_flops(shared, LENGTHS) == training_flops(apart, LENGTHS)


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta"])
def test_torch_counts_the_same(family):
    config = tiny_config(family, 50)
    network = AutoModel.from_config(config, attn_implementation="eager")
    network.pooler = None  # which is not counted
    with FlopCounterMode(display=False) as counter:
        network(input_ids=torch.ones(2, 7, dtype=torch.long))[0].sum().backward()
    assert training_flops(nt.Encoder(network), [7, 7]) == counter.get_total_flops()
