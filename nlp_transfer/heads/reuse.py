"""The head that a checkpoint was trained with for an earlier task: reused or dropped."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

import torch
from torch import nn
from transformers import PreTrainedModel

from nlp_transfer.encoders.pretrained import Checkpoint, Loaded
from nlp_transfer.errors import ModelError, OptionError
from nlp_transfer.heads.task_head import output_layer

log = logging.getLogger(__name__)

_SHOWN = 8  # names in a line of the log


def log_dropped_head(checkpoint: Checkpoint, loaded: Loaded) -> None:
    """Log the labels and weights of the checkpoint's own head that a network was loaded without, if there was one."""
    if checkpoint.task_head and loaded.dropped:
        labels, weights = _listed(checkpoint.config.id2label.values()), _listed(sorted(loaded.dropped))
        log.info("The head of %s is dropped (labels: %s; weights: %s).", checkpoint.name, labels, weights)


def reuse_head(checkpoint: Checkpoint, loaded: Loaded) -> Loaded:
    """Copy into the head of a loaded network what fits of its checkpoint's own head, and log it.

    Of the output layer these are the rows of labels of the same name, of the layers below it those of the same shape.

    >>> loaded = reuse_head(checkpoint, head.build(checkpoint))

    Raises:
        OptionError: the checkpoint has no head of the same kind, or none of its labels is one of the network's.
        ModelError: weights of its head are missing.
    """
    network, name = loaded.network, checkpoint.name
    kind = type(network).__name__
    if checkpoint.task_head != kind:
        head = "no trained head" if checkpoint.task_head is None else f"a head of another kind ({checkpoint.task_head})"
        raise OptionError(f"--keep_head: {name} has {head}, and this network is a {kind}; leave --keep_head out.")
    source = checkpoint.load(type(network), with_head=True)
    if source.new:
        raise ModelError(
            f"--keep_head: {name} lacks weights of its head: {_listed(sorted(source.new))}; leave --keep_head out."
        )
    earlier = source.network
    rows = {label: i for i, label in earlier.config.id2label.items()}
    labels = network.config.id2label
    shared = {i: rows[label] for i, label in labels.items() if label in rows}
    if not shared:
        raise OptionError(
            f"--keep_head: no label has the same name in {name} ({_listed(rows)}) and in the data "
            f"({_listed([*labels.values()])}); leave --keep_head out."
        )
    output = _copy_output(network, earlier, shared, name)
    below = _copy_below(network, earlier, output)
    if hasattr(earlier.config, "normalise"):  # what the copied layers were fitted to
        network.config.normalise = earlier.config.normalise
    complete = below | (output if len(shared) == len(labels) else set())
    others = [label for label in labels.values() if label not in rows]
    log.info(
        "Reusing from the head of %s: %d of the %d labels (%s)%s%s.",
        *(name, len(shared), len(labels), _listed([labels[i] for i in shared])),
        f", and {_listed(sorted(below))}" if below else "",
        f"; {_listed(others)} {'are' if len(others) > 1 else 'is'} new" if others else "",
    )
    return Loaded(network, loaded.new - complete, loaded.dropped - below - output)


def _copy_output(network: PreTrainedModel, earlier: PreTrainedModel, rows: Mapping[int, int], name: str) -> set[str]:
    """Copy rows of the output layer, given as new id -> earlier id; returns the names of its weights."""
    path, layer = output_layer(network)
    source = earlier.get_submodule(path)
    if not isinstance(source, nn.Linear) or source.in_features != layer.in_features:
        raise OptionError(
            f"--keep_head: the output layer of {name} does not fit this head; give the --pooling and --hidden that "
            f"it was trained with, or leave --keep_head out."
        )
    new_ids, old_ids = torch.tensor(list(rows)), torch.tensor(list(rows.values()))
    with torch.no_grad():
        for parameter, old in zip(layer.parameters(), source.parameters(), strict=True):
            parameter[new_ids] = old[old_ids]
    return {f"{path}.{key}" for key, _ in layer.named_parameters()}


def _copy_below(network: PreTrainedModel, earlier: PreTrainedModel, output: Collection[str]) -> set[str]:
    """Copy the other weights outside of the encoder that have the same name and shape in both; returns their names."""
    sources = dict(earlier.named_parameters())
    encoder = {id(p) for p in network.base_model.parameters()}
    copied = set()
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if id(parameter) in encoder or key in output or key not in sources:
                continue
            if sources[key].shape == parameter.shape:
                parameter.copy_(sources[key])
                copied.add(key)
    return copied


def _listed(names: Collection[str]) -> str:
    every = list(names)
    return ", ".join(every[:_SHOWN]) + (f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else "")
