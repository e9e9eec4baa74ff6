"""The truncated encoder: a network that starts at a layer above its frozen ones, from their activations."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from nlp_transfer.encoders.encoder import Encoder
from nlp_transfer.encoders.pooling.pooled_config import PooledConfig
from nlp_transfer.encoders.pooling.pooled_network import pool

Reading = Literal["pooled", "first", "mean", "max", "tokens"]


class TruncatedEncoder:
    """Inside, the network starts at layer `depth`: the hidden states that enter that layer are its `inputs_embeds`.

    >>> with TruncatedEncoder(encoder, depth=4):
    ...     encoder.network(inputs_embeds=states, attention_mask=mask).logits

    At the encoder's own depth the head alone is left, with a pooler that is new, and `inputs_embeds` is what it reads
    of the encoder's output: the hidden states `(batch, tokens, width)`, or one vector `(batch, 1, width)` where
    `reading` is not `tokens`. Logits are those of the complete network to the last bit. Afterwards the network is
    complete again.

    Modules are swapped in place, because the forward pass must stay that of transformers: a network built from the
    upper layers alone would be another class for each family, and its weights not those that train and are saved.
    """

    def __init__(self, encoder: Encoder, depth: int) -> None:
        is_head = depth == encoder.depth
        self._truncated = _head_only(encoder, _Output.below(encoder)) if is_head else _from_layer(encoder, depth)
        self._original = [(parent, name, getattr(parent, name)) for parent, name, _ in self._truncated]

    def __enter__(self) -> TruncatedEncoder:
        _set_children(self._truncated)
        return self

    def __exit__(self, *error: object) -> None:
        _set_children(self._original)

    @contextlib.contextmanager
    def complete(self) -> Iterator[None]:
        """Inside, the network is complete again."""
        _set_children(self._original)
        try:
            yield
        finally:
            _set_children(self._truncated)


def states_at(
    encoder: Encoder, depths: Sequence[int], reading: Reading, batch: Mapping[str, Tensor]
) -> dict[int, Tensor]:
    """The inputs of a `TruncatedEncoder` at each of `depths`, for token ids `batch`, from one forward pass.

    Each is `(batch, tokens, width)`; at the encoder's depth it is `(batch, width)` unless `reading` is `tokens`.
    """
    states: dict[int, Tensor] = {}
    last = max(depths)

    def store_input(depth: int) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
            states[depth] = args[0] if args else kwargs["hidden_states"]
            if depth == last:
                raise _AllComputed

        return hook

    inner = [depth for depth in depths if depth < encoder.depth]
    hooks = [encoder.layers[depth].register_forward_pre_hook(store_input(depth), with_kwargs=True) for depth in inner]
    try:
        output = encoder.base(**batch)
    except _AllComputed:
        return states
    finally:
        for hook in hooks:
            hook.remove()
    states[encoder.depth] = _read(output, reading, batch["attention_mask"])
    return states


def can_be_truncated(encoder: Encoder, depth: int, reading: Reading, batch: Mapping[str, Tensor]) -> bool:
    """Whether the truncated network gives the same logits for token ids `batch` as the complete one.

    The test for what `TruncatedEncoder` cannot know of a family: layers that ask for their index in the network, hidden
    states that are not the first argument, positions that are added in the layers.
    """
    network, was_training = encoder.network, encoder.network.training
    if isinstance(network.config, PooledConfig) and depth == encoder.depth:
        return True  # heads of this package read what their config says, and may not be fitted yet
    try:
        with torch.no_grad():
            expected = network.eval()(**batch).logits
            states = states_at(encoder, [depth], reading, batch)[depth]
            mask = batch["attention_mask"]
            states, mask = (states[:, None], mask[:, :1]) if states.ndim == 2 else (states, mask)
            with TruncatedEncoder(encoder, depth):
                logits = network(inputs_embeds=states, attention_mask=mask).logits
        real = batch["attention_mask"].bool() if expected.ndim == 3 else slice(None)
        return torch.allclose(expected[real], logits[real], rtol=1e-3, atol=1e-3)
    except Exception:  # a network may raise anything where it misses a part
        return False
    finally:
        network.train(was_training)


def reading(encoder: Encoder) -> Reading:
    """What a network's head reads of its encoder's output: one vector for a row, or the states of all tokens.

    Found by giving the head an output with NaN in it, and checking whether the logits are finite all the same.
    """
    config = encoder.network.config
    if isinstance(config, PooledConfig):
        return "first" if config.pooling == "cls" else config.pooling  # type: ignore[return-value]
    if getattr(config, "classifier_pooling", None) == "mean":
        return "mean"
    nan, tokens = float("nan"), torch.zeros(1, 2, encoder.width)
    vector, none, first_only = tokens[:, 0], torch.full_like(tokens, nan), tokens.clone()
    first_only[:, 1:] = nan
    if encoder.new_pooler is None and _logits_are_finite(encoder, _Output(none, vector)):
        return "pooled"
    output = _Output.below(encoder, first_only)
    output.pooled = None if output.pooler else vector
    return "first" if _logits_are_finite(encoder, output) else "tokens"


class _AllComputed(Exception):  # noqa: N818 (no error)
    """Raised to leave a network's forward pass once the last layer that is needed has its input."""


class _PassThrough(nn.Module):
    """In place of embeddings: returns the hidden states that it is given."""

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        if kwargs.get("inputs_embeds") is not None:
            return kwargs["inputs_embeds"]
        # DistilBERT passes them by position.
        return next(value for value in args if isinstance(value, Tensor) and value.is_floating_point())


class _Output(nn.Module):
    """In place of an encoder: its output is the input of the network, or what was set."""

    def __init__(self, hidden: Tensor | None = None, pooled: Tensor | None = None) -> None:
        super().__init__()
        self.hidden = hidden
        self.pooled = pooled
        self.pooler: nn.Module | None = None
        self.activation: nn.Module | None = None

    @classmethod
    def below(cls, encoder: Encoder, hidden: Tensor | None = None) -> _Output:
        """That of an encoder, whose pooler is not replaced where it is new."""
        output = cls(hidden)
        output.pooler = encoder.new_pooler
        output.activation = getattr(encoder.base, "pooler_activation", None)  # ALBERT's pooler is a linear layer
        return output

    def forward(self, *args: Any, inputs_embeds: Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        hidden = inputs_embeds if self.hidden is None else self.hidden
        if self.pooled is not None:
            pooled = self.pooled
        elif self.pooler is None:
            pooled = hidden[:, 0]
        elif self.activation is not None:
            pooled = self.activation(self.pooler(hidden[:, 0]))
        else:
            pooled = self.pooler(hidden)
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)


_Child = tuple[nn.Module, str, nn.Module]  # a parent, the name of a child, and the module to set there


def _set_children(children: Sequence[_Child]) -> None:
    for parent, name, child in children:
        setattr(parent, name, child)


def _head_only(encoder: Encoder, output: nn.Module) -> list[_Child]:
    return [(encoder.network, encoder.network.base_model_prefix, output)]


def _from_layer(encoder: Encoder, depth: int) -> list[_Child]:
    parent, name = next(
        (module, name)
        for module in encoder.base.modules()
        for name, child in module.named_children()
        if isinstance(child, nn.ModuleList) and list(child) == list(encoder.layers)
    )
    children: list[_Child] = [(parent, name, nn.ModuleList(encoder.layers[depth:]))]
    for embeddings in ("embeddings", "embed_tokens"):
        if hasattr(encoder.base, embeddings):
            children.append((encoder.base, embeddings, _PassThrough()))
    if hasattr(encoder.base, "embeddings_project"):  # ELECTRA's, between embeddings and layers
        children.append((encoder.base, "embeddings_project", nn.Identity()))
    return children


def _read(output: Any, reading: Reading, attention_mask: Tensor) -> Tensor:
    if reading == "pooled":
        return output.pooler_output
    if reading == "tokens":
        return output[0]
    return pool(output[0], attention_mask, "cls" if reading == "first" else reading)


def _logits_are_finite(encoder: Encoder, output: _Output) -> bool:
    network = encoder.network
    device = next(network.parameters()).device
    assert output.hidden is not None
    inputs = {
        "inputs_embeds": torch.zeros_like(output.hidden, device=device),
        "attention_mask": torch.ones(output.hidden.shape[:2], dtype=torch.long, device=device),
    }
    output.hidden = output.hidden.to(device)
    output.pooled = None if output.pooled is None else output.pooled.to(device)
    was_training = network.training
    _set_children(_head_only(encoder, output))
    try:
        with torch.no_grad():
            return bool(torch.isfinite(network.eval()(**inputs).logits).all())
    finally:
        _set_children(_head_only(encoder, encoder.base))
        network.train(was_training)
