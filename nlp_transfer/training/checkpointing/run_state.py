"""On what does the next step of a run depend, and how is it put back?"""

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
from nlp_transfer.training.best_weights import Best
from nlp_transfer.training.checkpointing.checkpoint_files import Saved
from nlp_transfer.training.collapse import Collapse
from nlp_transfer.training.progress import Progress

Values = dict[str, Any]
Files = dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class State:
    """What changes while a run trains, beside an optimizer, its schedule, and the random states of the processes.

    `weights` are all that may train in some stage, and the buffers that are saved with a network, by the names that
    they have before any truncation. They are held as training has them: word embeddings for the words that are read
    alone.
    What is not here is made again as it was made first: by the strategy, from the same checkpoint and the same seed.
    """

    accelerator: Accelerator
    weights: Mapping[str, Tensor]
    best: Best
    progress: Progress
    collapse: Collapse

    @classmethod
    def of(cls, module: nn.Module, best: Best, progress: Progress, collapse: Collapse) -> State:
        """The state of a run that trains `module`, before anything in it is truncated."""
        kept = set(module.state_dict())
        buffers = {name: buffer for name, buffer in module.named_buffers() if name in kept}
        return cls(progress.accelerator, dict(module.named_parameters()) | buffers, best, progress, collapse)

    def gather(self, optimizer: torch.optim.Optimizer, rates: LRScheduler) -> tuple[Values, Files]:
        """Everything, as plain values and as tensors by file. Every process calls it, and the first one has all."""
        values = {
            "best": self.best.values(),
            "progress": self.progress.values(),
            "collapse": vars(self.collapse),
            "schedule": rates.state_dict(),
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
        mine = random_states(self.accelerator.device) | {"loss": self.progress.loss.cpu()}
        everyone = gather_object([mine]) if self.accelerator.num_processes > 1 else [mine]
        return values, files | {f"process-{rank}": states for rank, states in enumerate(everyone)}

    def put_back(self, saved: Saved, optimizer: torch.optim.Optimizer, rates: LRScheduler) -> None:
        """Make everything what it was when `saved` was written. UserError where the network is another one."""
        values = saved.values
        self.best.put_back(values["best"], saved.tensors("best"))
        self._put_weights(saved)
        _put_moments(optimizer, saved.tensors("optimizer"), values["groups"])
        rates.load_state_dict(values["schedule"])
        if self.accelerator.scaler:
            self.accelerator.scaler.load_state_dict(values["scaler"])
        vars(self.collapse).update(values["collapse"])
        mine = saved.tensors(f"process-{self.accelerator.process_index}")
        self.progress.put_back(values["progress"], mine.pop("loss"))
        set_random_states(mine, self.accelerator.device)

    def _put_weights(self, saved: Saved) -> None:
        kept = saved.tensors("weights")
        shapes = {name: self.weights[name].shape for name in self._changed()}
        if shapes != {name: tensor.shape for name, tensor in kept.items()}:
            raise UserError(f"{saved.path} is of a network with other weights; begin anew with --overwrite_output_dir.")
        with torch.no_grad():
            for name, tensor in kept.items():
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


def _put_moments(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], groups: Sequence[Mapping[str, Any]]
) -> None:
    whole = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        place, _, name = key.partition(".")
        state.setdefault(int(place), {})[name] = tensor
    for group, saved in zip(whole["param_groups"], groups, strict=True):
        group.update({name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()})
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})


def random_states(device: torch.device) -> dict[str, Tensor]:
    """The states of all generators of this process that training draws from: torch's, NumPy's and Python's.

    Quick dropout (`dropout.drop`) draws its seeds from torch's.
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
    """Make the generators go on from what `random_states` gave."""
    torch.set_rng_state(states["torch"])
    *key, place, has_gauss = states["numpy"].tolist()
    state = {"key": np.array(key, dtype=np.uint32), "pos": place}
    gauss = float(states["numpy_gauss"])
    np.random.set_state({"bit_generator": "MT19937", "state": state, "has_gauss": has_gauss, "gauss": gauss})
    later = states["python_gauss"].tolist()
    random.setstate((3, tuple(states["python"].tolist()), later[0] if later else None))
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states["device"])
