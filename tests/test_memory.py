"""How much memory training takes is about what it is told to take, and what is free is known in a container too."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import nlp_transfer as nt
from nlp_transfer import memory
from nlp_transfer.memory import free_memory, training_memory

MEASURE = """
import gc, sys
from pathlib import Path
import nlp_transfer as nt
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.machine import peak_memory
from nlp_transfer.memory import training_memory

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
    weights, least = encoder.parameter_count, training_memory(encoder, [5, 9], 1, "bf16")
    a_token = encoder.depth * (34 * encoder.width + 16 * encoder.config.num_attention_heads * 9)
    assert least == 22 * weights + 9 * a_token
    assert training_memory(encoder, [5, 9], 2, "bf16") == least + 9 * a_token
    assert training_memory(encoder, [5, 9], 32, "bf16") == least + 9 * a_token  # there are no more rows
    assert training_memory(encoder, [5, 10], 1, "bf16") > least + a_token
    adapters = 9 * encoder.depth * 34 * encoder.width
    assert training_memory(encoder, [5, 9], 1, "bf16", all_weights=False) == least - 16 * weights + adapters
    assert training_memory(encoder, [5, 9], 1, "no") == least - 2 * weights + adapters


def test_a_container_has_no_more_than_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    whole = free_memory()
    assert whole > 10**8
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 300000\n")
    (tmp_path / "memory.current").write_text("500000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(torch.device("cpu")) > 10**8
    (tmp_path / "memory.max").write_text("1000000\n")
    assert free_memory() == 800_000
