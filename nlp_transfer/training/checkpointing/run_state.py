"""The state of a run: gathered for a checkpoint, and loaded from one."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from nlp_transfer.errors import UserError
from nlp_transfer.training.best_weights import BestWeights
from nlp_transfer.training.checkpointing.checkpoint_files import SavedCheckpoint
from nlp_transfer.training.collapse import Collapse
from nlp_transfer.training.progress import Progress

Values = dict[str, Any]
Files = dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class RunState:
    """What changes while a run trains, besides the optimizer, its lr_scheduler, and the random states of the processes.

    `weights` are all that may train in some stage, and the buffers that are saved with a network, by the names that
    they have before any truncation. They are saved as training holds them: with a pruned vocabulary, word embeddings
    of the words in the data alone. What is not here is computed again as at the start of the run: by the strategy, from
    the same pretrained weights and the same seed.
    """

    accelerator: Accelerator
    weights: Mapping[str, Tensor]
    best: BestWeights
    progress: Progress
    collapse: Collapse

    @classmethod
    def of(cls, module: nn.Module, best: BestWeights, progress: Progress, collapse: Collapse) -> RunState:
        """The state of a run that trains `module`, before anything in it is truncated."""
        saved = set(module.state_dict())
        buffers = {name: buffer for name, buffer in module.named_buffers() if name in saved}
        return cls(progress.accelerator, dict(module.named_parameters()) | buffers, best, progress, collapse)

    def gather(self, optimizer: torch.optim.Optimizer, lr_scheduler: LRScheduler) -> tuple[Values, Files]:
        """The state as plain values, and as tensors by file. Every process calls it; the first one gets all of it."""
        values = {
            "best": self.best.state_dict(),
            "progress": self.progress.state_dict(),
            "collapse": vars(self.collapse),
            "lr_scheduler": lr_scheduler.state_dict(),
            "groups": [
                {k: v for k, v in group.items() if k != "params"} for group in optimizer.state_dict()["param_groups"]
            ],
            "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else {},
        }
        files = {
            "weights": {name: self.weights[name] for name in self._changed()},
            "optimizer": _moments(optimizer),
            "best": self.best.weights,
        }
        own = random_states(self.accelerator.device) | {"loss": self.progress.loss.cpu()}
        of_processes = gather_object([own]) if self.accelerator.num_processes > 1 else [own]
        return values, files | {f"process-{rank}": states for rank, states in enumerate(of_processes)}

    def load(self, saved: SavedCheckpoint, optimizer: torch.optim.Optimizer, lr_scheduler: LRScheduler) -> None:
        """Load the state that a checkpoint holds. UserError where its network has other weights."""
        values = saved.values
        self.best.load_state_dict(values["best"], saved.tensors("best"))
        self._load_weights(saved)
        _load_moments(optimizer, saved.tensors("optimizer"), values["groups"])
        lr_scheduler.load_state_dict(values["lr_scheduler"])
        if self.accelerator.scaler:
            self.accelerator.scaler.load_state_dict(values["scaler"])
        vars(self.collapse).update(values["collapse"])
        own = saved.tensors(f"process-{self.accelerator.process_index}")
        self.progress.load_state_dict(values["progress"], own.pop("loss"))
        set_random_states(own, self.accelerator.device)

    def _load_weights(self, saved: SavedCheckpoint) -> None:
        weights = saved.tensors("weights")
        shapes = {name: self.weights[name].shape for name in self._changed()}
        if shapes != {name: tensor.shape for name, tensor in weights.items()}:
            raise UserError(
                f"{saved.path} holds the weights of another network; start over with --overwrite_output_dir."
            )
        with torch.no_grad():
            for name, tensor in weights.items():
                self.weights[name].copy_(tensor)

    def _changed(self) -> list[str]:
        """The names of weights that train, or have trained in an earlier stage, and of the buffers."""
        trained = {id(self.best.parameters[name]) for name in self.best.trained}
        return [
            name
            for name, tensor in self.weights.items()
            if tensor.requires_grad or id(tensor) in trained or not isinstance(tensor, nn.Parameter)
        ]


def _moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {f"{place}.{name}": tensor for place, moments in state.items() for name, tensor in moments.items()}


def _load_moments(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], groups: Sequence[Mapping[str, Any]]
) -> None:
    now = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        place, _, name = key.partition(".")
        state.setdefault(int(place), {})[name] = tensor
    for group, saved in zip(now["param_groups"], groups, strict=True):
        group.update({name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()})
    optimizer.load_state_dict({"state": state, "param_groups": now["param_groups"]})


def random_states(device: torch.device) -> dict[str, Tensor]:
    """The states of all generators of this process that training draws from: torch's, NumPy's and Python's.

    Fast dropout (`fast_dropout.drop`) draws its seeds from torch's.
    """
    numpy = np.random.get_state(legacy=False)
    _, python, gauss = random.getstate()
    states = {
        "torch": torch.get_rng_state(),
        "numpy": torch.from_numpy(np.append(numpy["state"]["key"], [numpy["state"]["pos"], numpy["has_gauss"]])).long(),
        "numpy_gauss": torch.tensor([numpy["gauss"]], dtype=torch.float64),
        "python": torch.tensor(python),
        "python_gauss": torch.tensor([] if gauss is None else [gauss], dtype=torch.float64),
    }
    if device.type != "cpu":
        states["device"] = torch.get_device_module(device).get_rng_state()
    return states


def set_random_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Set the generators to what `random_states` returned."""
    torch.set_rng_state(states["torch"])
    *key, place, has_gauss = states["numpy"].tolist()
    state = {"key": np.array(key, dtype=np.uint32), "pos": place}
    gauss = float(states["numpy_gauss"])
    np.random.set_state({"bit_generator": "MT19937", "state": state, "has_gauss": has_gauss, "gauss": gauss})
    later = states["python_gauss"].tolist()
    random.setstate((3, tuple(states["python"].tolist()), later[0] if later else None))
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states["device"])
