"""What becomes of the head that a checkpoint was trained with for an earlier task?"""

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


def say_what_is_dropped(checkpoint: Checkpoint, loaded: Loaded) -> None:
    """Name in the log what of an earlier head a network was loaded without, if there was one."""
    if checkpoint.task_head and loaded.dropped:
        labels, weights = _named(checkpoint.config.id2label.values()), _named(sorted(loaded.dropped))
        log.info("The head of %s is dropped: its labels %s; its weights %s.", checkpoint.name, labels, weights)


def kept_head(checkpoint: Checkpoint, loaded: Loaded) -> Loaded:
    """Fill the head of a loaded network with what its checkpoint's own head has for it, and say so in the log.

    Of the output layer the rows of labels of the same name are kept, of the layers below it those of the same shape.

    >>> loaded = kept_head(checkpoint, head.build(checkpoint))

    Raises:
        OptionError: the checkpoint has no head of the same kind, or none of its labels is one of the network's.
        ModelError: weights of its head are missing.
    """
    network, name = loaded.network, checkpoint.name
    kind = type(network).__name__
    if checkpoint.task_head != kind:
        has = "no trained head" if checkpoint.task_head is None else f"a head of another kind ({checkpoint.task_head})"
        raise OptionError(f"--keep_head: {name} has {has}, and this network is a {kind}; leave --keep_head out.")
    found = checkpoint.load(type(network), with_head=True)
    if found.new:
        raise ModelError(f"--keep_head: {name} lacks weights of its head: {_named(sorted(found.new))}.")
    earlier = found.network
    rows = {label: i for i, label in earlier.config.id2label.items()}
    labels = network.config.id2label
    kept = {i: rows[label] for i, label in labels.items() if label in rows}
    if not kept:
        raise OptionError(
            f"--keep_head: no label has the same name in {name} ({_named(rows)}) and in the data "
            f"({_named([*labels.values()])}); leave --keep_head out."
        )
    output = _copy_output(network, earlier, kept, name)
    below = _copy_below(network, earlier, output)
    whole = below | (output if len(kept) == len(labels) else set())
    others = [label for label in labels.values() if label not in rows]
    log.info(
        "Kept of the head of %s: %d of the %d labels (%s)%s%s.",
        *(name, len(kept), len(labels), _named([labels[i] for i in kept])),
        f", and {_named(sorted(below))}" if below else "",
        f"; {_named(others)} {'are' if len(others) > 1 else 'is'} new" if others else "",
    )
    return Loaded(network, loaded.new - whole, loaded.dropped - below - output)


def _copy_output(network: PreTrainedModel, earlier: PreTrainedModel, rows: Mapping[int, int], name: str) -> set[str]:
    """Copy the rows of the output layer, given as new place -> earlier place; the names of its weights."""
    path, layer = output_layer(network)
    source = earlier.get_submodule(path)
    if not isinstance(source, nn.Linear) or source.in_features != layer.in_features:
        raise OptionError(
            f"--keep_head: the output layer of {name} does not fit this head; give the same --pooling and --hidden "
            f"as it was trained with, or leave --keep_head out."
        )
    places = (torch.tensor(list(rows)), torch.tensor(list(rows.values())))
    with torch.no_grad():
        for parameter, old in zip(layer.parameters(), source.parameters(), strict=True):
            parameter[places[0]] = old[places[1]]
    return {f"{path}.{key}" for key, _ in layer.named_parameters()}


def _copy_below(network: PreTrainedModel, earlier: PreTrainedModel, output: Collection[str]) -> set[str]:
    """Copy every other weight outside of the encoder that has the same name and shape in both; their names."""
    there = dict(earlier.named_parameters())
    encoder = {id(p) for p in network.base_model.parameters()}
    copied = set()
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if id(parameter) in encoder or key in output or key not in there:
                continue
            if there[key].shape == parameter.shape:
                parameter.copy_(there[key])
                copied.add(key)
    return copied


def _named(names: Collection[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_SHOWN]) + (f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")
