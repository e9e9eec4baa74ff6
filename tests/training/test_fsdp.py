"""What a launcher asks for in shards is done as it says, or refused in a line; test_processes.py trains with it."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DistributedType
from accelerate.utils.launch import prepare_multi_gpu_env
from conftest import RECIPES

import nlp_transfer as nt
from nlp_transfer.training import fsdp


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """This process is one of those that `accelerate launch` starts with the file for FSDP2, or with the one named."""
    file = RECIPES / "configs" / "accelerate" / f"{getattr(request, 'param', 'fsdp2')}.yaml"
    told, _, _ = _validate_launch_command(launch_command_parser().parse_args(["--config_file", str(file), "a.py"]))
    environment = prepare_multi_gpu_env(told)
    for name in ("ACCELERATE_USE_FSDP", *(name for name in environment if name.startswith("FSDP_"))):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.setenv("WORLD_SIZE", "2")


@pytest.mark.parametrize("launched", ["fsdp2", "zero2"], indirect=True)
def test_the_file_asks_for_what_is_done_here(launched, monkeypatch):
    fsdp.validate_launcher()
    assert fsdp.is_requested()
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert not fsdp.is_requested()  # one process holds everything anyway


@pytest.mark.parametrize(("launched", "again"), [("fsdp2", True), ("zero2", False)], indirect=["launched"])
def test_layers_stay_whole_until_the_backward_pass_where_the_file_says_so(launched, checkpoint, monkeypatch, again):
    told = []
    monkeypatch.setattr(fsdp, "init_device_mesh", lambda *_: None)
    monkeypatch.setattr(fsdp, "fully_shard", lambda module, **options: told.append(options))
    accelerator = SimpleNamespace(device=torch.device("cpu"), num_processes=2, prepare_model=lambda module, **_: module)
    network = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead(["no", "yes"])).network
    fsdp.Shards.of(network, accelerator)
    assert [options.get("reshard_after_forward") for options in told] == [again, again, None]  # two layers, and all


def test_where_no_shards_are_asked_for_nothing_is_said_of_them(monkeypatch):
    monkeypatch.delenv("FSDP_CPU_RAM_EFFICIENT_LOADING", raising=False)
    with fsdp.hidden_from_accelerate():
        assert "FSDP_CPU_RAM_EFFICIENT_LOADING" not in os.environ


def test_an_accelerator_that_would_shard_is_refused(checkpoint, review_splits):
    model = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead.for_splits(review_splits))
    theirs = SimpleNamespace(distributed_type=DistributedType.FSDP)
    with pytest.raises(nt.OptionError, match="FSDP must be set up by"):
        nt.fit(model, review_splits, accelerator=theirs)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("FSDP_VERSION", "1", "set fsdp_version: 2"),
        ("FSDP_OFFLOAD_PARAMS", "true", "fsdp_offload_params: true is not supported"),
        ("FSDP_ACTIVATION_CHECKPOINTING", "true", "fsdp_activation_checkpointing: true is not supported"),
        ("ACCELERATE_USE_DEEPSPEED", "true", "use FSDP2, which shards as well"),
        ("ACCELERATE_USE_MEGATRON_LM", "true", "asks for MEGATRON_LM"),
    ],
)
def test_what_is_not_done_is_refused(launched, monkeypatch, name, value, says):
    monkeypatch.setenv(name, value)
    with pytest.raises(nt.OptionError, match=says):
        nt.make_accelerator(nt.TrainingOptions())


@pytest.mark.parametrize(
    ("told", "more", "says"),
    [
        ({}, {"strategy": "l2sp"}, "--strategy l2sp"),
        ({}, {"resume": ""}, "--resume"),
        ({"checkpoint_every": ["5", "steps"]}, {}, "--checkpoint_every"),
        ({"torch_compile": True}, {}, "--torch_compile"),
        ({"mixed_precision": "fp16"}, {}, "--mixed_precision fp16"),
    ],
)
def test_a_run_in_shards_refuses_what_it_cannot_do(launched, checkpoint, review_splits, told, more: Any, says):
    model = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead.for_splits(review_splits))
    with pytest.raises(nt.OptionError, match=f"{says} does not work with FSDP shards"):
        nt.fit(model, review_splits, nt.TrainingOptions(**told), **more)
