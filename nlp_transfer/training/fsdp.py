"""How does each process hold a part of what trains, where the launcher asks for FSDP?"""

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

_ASKS = "ACCELERATE_USE_FSDP"


@dataclass(frozen=True)
class Shards:
    """A copy of a network, cut into shards, that trains for it (FSDP2: `torch.distributed.fsdp.fully_shard`).

    Weights, gradients and the optimizer's moments of a layer lie in parts on all processes; a layer is whole only while
    it runs. The network itself stays whole: it is what is judged, kept as the best, and saved, once `gather` has
    brought it up to date.
    """

    network: nn.Module
    module: nn.Module

    @classmethod
    def of(cls, network: PreTrainedModel, accelerator: Accelerator) -> Shards:
        """Cut a copy of `network` into shards, layer by layer, with the precision that Accelerate computes in.

        Where the launcher says `fsdp_reshard_after_forward: false`, a layer stays whole from its forward to its
        backward pass: ZeRO-2 (Rajbhandari et al. 2020) in place of ZeRO-3.
        """
        # Logits of a tagger are a view, and would only have to be copied if something changed them in place.
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
        module = copy.deepcopy(network)
        mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
        lists = [inner for inner in module.modules() if isinstance(inner, nn.ModuleList)]
        again = os.environ.get("FSDP_RESHARD_AFTER_FORWARD", "true").lower() not in ("0", "false")
        for layer in dict.fromkeys(layer for inner in reversed(lists) for layer in inner):  # inner ones first
            fully_shard(layer, mesh=mesh, reshard_after_forward=again)
        fully_shard(module, mesh=mesh)
        # evaluation_mode: autocast around it, and no DistributedDataParallel
        return cls(network, accelerator.prepare_model(module, device_placement=False, evaluation_mode=True))

    def groups(self, groups: list[ParamGroup]) -> list[ParamGroup]:
        """Groups of the network's weights as those of the shards."""
        names = {id(parameter): name for name, parameter in self.network.named_parameters()}
        shards = dict(self.module.named_parameters())
        return [group | {"params": [shards[names[id(p)]] for p in group["params"]]} for group in groups]

    def gather(self) -> None:
        """Bring the network up to date. Every process calls it."""
        shards = dict(self.module.named_parameters())
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(whole(shards[name]))


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that may be in shards, as each process has it. Every process calls it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def are_asked_for() -> bool:
    """Whether the launcher asks for FSDP, and starts several processes."""
    return _says(_ASKS) and int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextlib.contextmanager
def out_of_sight() -> Iterator[None]:
    """Inside, Accelerate does not hear that FSDP is asked for: it would shard in `prepare`, and on GPUs alone."""
    asked = os.environ.pop(_ASKS, None)
    if asked is not None:
        # Else transformers would load the weights on one process, and leave it to Accelerate to hand them out.
        os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    try:
        yield
    finally:
        if asked is not None:
            os.environ[_ASKS] = asked


def validate_launcher() -> None:
    """OptionError for a launcher that asks for what would cut the weights otherwise than FSDP2 does here."""
    for name in ("DEEPSPEED", "MEGATRON_LM"):
        if _says(f"ACCELERATE_USE_{name}"):
            raise OptionError(
                f"the launcher asks for {name}, whose engine would take the place of this training loop; take FSDP, "
                f"which shards as well (recipes/configs/accelerate/zero2.yaml, fsdp2.yaml)."
            )
    if not _says(_ASKS):
        return
    if os.environ.get("FSDP_VERSION", "1") != "2":
        raise OptionError("the launcher asks for FSDP 1, which torch has replaced; say fsdp_version: 2 in its file.")
    for name in ("OFFLOAD_PARAMS", "ACTIVATION_CHECKPOINTING"):
        if _says(f"FSDP_{name}"):
            raise OptionError(
                f"fsdp_{name.lower()}: true is not done here; leave it out (recipes/configs/accelerate/)."
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
            raise OptionError(f"{option} cannot be had where FSDP cuts the network into shards; leave one of them out.")
    log.info("FSDP cuts the network into shards, one for each process; a run that is stopped now cannot go on.")


def _says(name: str) -> bool:
    return os.environ.get(name, "false").lower() in ("1", "true")
