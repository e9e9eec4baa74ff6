"""Inference: the logits of a network for encoded rows."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from nlp_transfer.data.batch import length_batches
from nlp_transfer.data.inputs import Inputs, ahead, moved, pinned
from nlp_transfer.encoders.precision import computing_in
from nlp_transfer.heads.task_head import Columns, TaskHead, output_layer
from nlp_transfer.system.progress_bars import tqdm


def infer(
    network: nn.Module,
    head: TaskHead,
    inputs: Inputs,
    *,
    batch_size: int = 32,
    accelerator: Accelerator | None = None,
    progress: str | None = None,
    precision: str = "no",
    with_states: bool = False,
) -> list[np.ndarray]:
    """Logits of each row, `(items, labels)`, in row order; `with_states` beside them what the last layer reads.

    With an `accelerator` the batches are dealt out to its processes and the logits gathered on each; an assertion holds
    that every row comes back exactly once. `progress` is the label of a bar that the first process shows on a terminal.
    `precision` is that of the computation, `no` for that of the weights, which are not changed.
    """
    processes = accelerator.num_processes if accelerator else 1
    rank = accelerator.process_index if accelerator else 0
    batches = length_batches(inputs.lengths, batch_size)[rank::processes]
    bar = tqdm(batches, desc=progress, unit="batch", leave=False, disable=None if progress and rank == 0 else True)
    with computing_in(network, precision):
        outputs = list(_run(network, head, inputs, bar, with_states))
    features = inputs.features
    if processes > 1:
        outputs = gather_object(outputs)
    if len(outputs) != len(features) or len({place for place, _ in outputs}) != len(features):
        raise AssertionError(f"{len(features)} features went in and {len(outputs)} came back")
    by_place = dict(outputs)
    by_row: list[list[np.ndarray]] = [[] for _ in range(max(features["row"], default=-1) + 1)]
    for place, row in enumerate(features["row"]):
        by_row[row].append(by_place[place])
    return [np.concatenate(parts) for parts in by_row]


def _run(
    network: nn.Module, head: TaskHead, inputs: Inputs, batches: tqdm[np.ndarray], with_states: bool
) -> Iterator[tuple[int, np.ndarray]]:
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    prepared = _prepared(inputs, batches, device)
    try:
        with torch.inference_mode(), contextlib.closing(prepared if inputs.runs_network else ahead(prepared)) as ready:
            for places, features, batch in ready:
                states: list[Tensor] = []
                with last_states(network, states) if with_states else contextlib.nullcontext():
                    logits = network(**moved(batch, device)).logits
                if states:
                    logits = torch.cat([logits.float(), states[0].float()], dim=-1)
                yield from zip(places, head.outputs(logits, features), strict=True)
    finally:
        network.train(was_training)


@contextlib.contextmanager
def last_states(network: nn.Module, into: list[Tensor]) -> Iterator[None]:
    """Inside, what the last layer of a head reads is added to `into` whenever the network runs: `(batch, width)`."""

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        into.append(inputs[0])

    handle = output_layer(network)[1].register_forward_pre_hook(keep)  # type: ignore[arg-type]
    try:
        yield
    finally:
        handle.remove()


def _prepared(
    inputs: Inputs, batches: Iterable[np.ndarray], device: torch.device
) -> Generator[tuple[list[int], Columns, dict[str, Tensor]]]:
    for places in batches:
        at = places.tolist()
        batch = inputs.batch(at)
        batch.pop("labels", None)
        yield at, inputs.features[at], pinned(batch, device)
