"""Training in shards over the processes, where the launcher asks for FSDP2."""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from nlp_transfer.config import TrainingOptions
from nlp_transfer.errors import OptionError
from nlp_transfer.strategies import Strategy
from nlp_transfer.strategies.param_groups import ParamGroup

log = logging.getLogger(__name__)

_USES_FSDP = "ACCELERATE_USE_FSDP"


@dataclass(frozen=True)
class Shards:
    """A copy of a network, cut into shards, that trains for it (FSDP2: `torch.distributed.fsdp.fully_shard`).

    Weights, gradients and the optimizer's moments of a layer lie in parts on all processes; a layer is gathered only
    while it runs. The network itself stays complete: once `gather` has brought it up to date, it is the one that is
    evaluated, copied as the best, and saved.
    """

    network: nn.Module
    module: nn.Module

    @classmethod
    def of(cls, network: PreTrainedModel, accelerator: Accelerator) -> Shards:
        """Cut a copy of `network` into shards, layer by layer, with the precision that Accelerate computes in.

        With `fsdp_reshard_after_forward: false` in the launcher's file, a layer stays gathered from its forward to its
        backward pass: ZeRO-2 (Rajbhandari et al. 2020) in place of ZeRO-3.
        """
        # Logits of a tagger are a view, and would only have to be copied if something changed them in place.
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
        module = copy.deepcopy(network)
        mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
        lists = [inner for inner in module.modules() if isinstance(inner, nn.ModuleList)]
        reshards = os.environ.get("FSDP_RESHARD_AFTER_FORWARD", "true").lower() not in ("0", "false")
        for layer in dict.fromkeys(layer for inner in reversed(lists) for layer in inner):  # inner ones first
            fully_shard(layer, mesh=mesh, reshard_after_forward=reshards)
        fully_shard(module, mesh=mesh)
        # evaluation_mode: autocast around it, and no DistributedDataParallel
        return cls(network, accelerator.prepare_model(module, device_placement=False, evaluation_mode=True))

    def groups(self, groups: list[ParamGroup]) -> list[ParamGroup]:
        """Parameter groups of the network as groups of its shards."""
        names = {id(parameter): name for name, parameter in self.network.named_parameters()}
        shards = dict(self.module.named_parameters())
        return [group | {"params": [shards[names[id(p)]] for p in group["params"]]} for group in groups]

    def gather(self) -> None:
        """Bring the network up to date. Every process calls it."""
        shards = dict(self.module.named_parameters())
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(full_tensor(shards[name]))


def full_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that may be in shards, gathered on each process. Every process calls it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def is_requested() -> bool:
    """Whether the launcher asks for FSDP, and starts several processes."""
    return _is_set(_USES_FSDP) and int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextlib.contextmanager
def hidden_from_accelerate() -> Iterator[None]:
    """Inside, Accelerate does not see that FSDP is requested: it would shard in `prepare`, and on GPUs alone."""
    value = os.environ.pop(_USES_FSDP, None)
    if value is not None:
        # Else transformers would load the weights on one process, and leave it to Accelerate to distribute them.
        os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    try:
        yield
    finally:
        if value is not None:
            os.environ[_USES_FSDP] = value


def validate_launcher() -> None:
    """OptionError for a launcher that asks for DeepSpeed, Megatron, FSDP 1, or a part of FSDP2 not supported here."""
    for name in ("DEEPSPEED", "MEGATRON_LM"):
        if _is_set(f"ACCELERATE_USE_{name}"):
            raise OptionError(
                f"the launcher asks for {name}, whose engine would replace this training loop; use FSDP2, which shards "
                f"as well (zero2.yaml or fsdp2.yaml in recipes/configs/accelerate/ of the package)."
            )
    if not _is_set(_USES_FSDP):
        return
    if os.environ.get("FSDP_VERSION", "1") != "2":
        raise OptionError("the launcher asks for FSDP 1, which torch has replaced; set fsdp_version: 2 in its file.")
    for name in ("OFFLOAD_PARAMS", "ACTIVATION_CHECKPOINTING"):
        if _is_set(f"FSDP_{name}"):
            raise OptionError(
                f"fsdp_{name.lower()}: true is not supported; leave it out, as fsdp2.yaml does in "
                f"recipes/configs/accelerate/ of the package."
            )


def refuse_options(options: TrainingOptions, strategy: Strategy, resume: str | None) -> None:
    """OptionError for what a run in shards cannot do."""
    for option, is_given in (
        (f"--strategy {strategy.name}", not strategy.works_sharded),
        ("--checkpoint_every", bool(options.checkpoint_every)),
        ("--resume", resume is not None),
        ("--torch_compile", options.torch_compile),
        ("--mixed_precision fp16", options.mixed_precision == "fp16"),
    ):
        if is_given:
            raise OptionError(f"{option} does not work with FSDP shards; leave one of the two out.")
    log.info("Training in FSDP shards, one for each process; this run writes no checkpoints, so it cannot be resumed.")


def _is_set(name: str) -> bool:
    return os.environ.get(name, "false").lower() in ("1", "true")
