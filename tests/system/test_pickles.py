"""Nothing in a model folder runs code: a pickle is refused by name, and of torch's files weights alone are read."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import nlp_transfer as nt


class Trap:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, ("sprung",)


@pytest.fixture
def copied(checkpoint, tmp_path, monkeypatch):
    """A folder with a tiny BERT, to be spoilt; traps spring beside it."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(checkpoint(), tmp_path / "bert"))


def pickled(value: object, protocol: str) -> bytes:
    if protocol in "25":
        return pickle.dumps(value, int(protocol))
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=protocol == "zip")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "protocol"),
    [("vectors.pkl", "2"), ("a.joblib", "zip"), ("deep/down.PICKLE", "5"), ("vocab.txt", "2"), ("no_suffix", "legacy")],
)
def test_a_pickle_in_a_model_folder_is_refused_by_name(copied, name, protocol):
    (copied / name).parent.mkdir(exist_ok=True)
    (copied / name).write_bytes(pickled(Trap(), protocol))
    for head in (None, nt.TextClassificationHead(["no", "yes"])):
        with pytest.raises(nt.ModelError, match=f"holds {Path(name).name}, a pickle"):
            nt.TransferModel.load(copied, head)
    assert not Path("sprung").exists()


@pytest.mark.parametrize("protocol", ["2", "zip", "legacy"])
@pytest.mark.parametrize("shards", [False, True])
def test_of_weights_in_torchs_own_form_nothing_else_is_read(copied, protocol, shards, monkeypatch):
    weights = load_file(copied / "model.safetensors")
    (copied / "model.safetensors").unlink()
    name = "pytorch_model-00001-of-00001.bin" if shards else "pytorch_model.bin"
    if shards:
        index = {"metadata": {}, "weight_map": dict.fromkeys(weights, name)}
        (copied / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # must not switch it off
    (copied / name).write_bytes(pickled(weights | {"more": Trap()}, protocol))
    with pytest.raises(nt.ModelError, match=r"cannot load the model .*more than weights") as refused:
        nt.Encoder.load(str(copied))
    assert "\n" not in str(refused.value)
    assert not Path("sprung").exists()


def test_what_a_trainer_left_beside_the_weights_is_never_opened(copied):
    for name in ("training_args.bin", "optimizer.pt", "rng_state.pth"):
        torch.save(Trap(), copied / name)
    assert nt.Encoder.load(str(copied)).width == 32
    assert not Path("sprung").exists()


def test_the_names_of_chat_templates_become_no_files(copied, tmp_path):
    config = json.loads((copied / "tokenizer_config.json").read_text())
    config["chat_template"] = [{"name": "../../../sprung", "template": "x"}, {"name": "default", "template": "y"}]
    (copied / "tokenizer_config.json").write_text(json.dumps(config))
    nt.TransferModel.load(copied, nt.TextClassificationHead(["no", "yes"])).save(tmp_path / "a" / "b")
    assert not list(tmp_path.rglob("sprung*"))
    assert not list((tmp_path / "a").rglob("*.jinja"))
