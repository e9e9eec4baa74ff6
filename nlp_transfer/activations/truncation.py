"""How is a network fed with what its lower layers gave, so that they need not run again?"""

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
    """Inside, the network starts at layer `below`: what that layer is given goes in as `inputs_embeds`.

    >>> with TruncatedEncoder(encoder, below=4):
    ...     encoder.network(inputs_embeds=kept, attention_mask=mask).logits

    With `below` the encoder's depth the head alone is left, and `inputs_embeds` is what it reads of the encoder's
    output: the states `(batch, tokens, width)`, or one vector `(batch, 1, width)` where `reading` is not `tokens`.
    Logits are those of the whole network to the last bit. Afterwards the network is whole again.
    """

    def __init__(self, encoder: Encoder, below: int) -> None:
        self._new = _head_alone(encoder, _Output()) if below == encoder.depth else _from_layer(encoder, below)
        self._whole = [(holder, name, getattr(holder, name)) for holder, name, _ in self._new]

    def __enter__(self) -> TruncatedEncoder:
        _put(self._new)
        return self

    def __exit__(self, *error: object) -> None:
        _put(self._whole)

    @contextlib.contextmanager
    def lifted(self) -> Iterator[None]:
        """The network is whole inside."""
        _put(self._whole)
        try:
            yield
        finally:
            _put(self._new)


def states(encoder: Encoder, depths: Sequence[int], reading: Reading, batch: Mapping[str, Tensor]) -> dict[int, Tensor]:
    """Hidden states that `TruncatedEncoder` takes at each of `depths`, of token ids `batch`, from one forward pass.

    Each is `(batch, tokens, width)`; at the encoder's depth it is `(batch, width)` unless `reading` is `tokens`.
    """
    found: dict[int, Tensor] = {}
    last = max(depths)

    def catch(depth: int) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
            found[depth] = args[0] if args else kwargs["hidden_states"]
            if depth == last:
                raise _Enough

        return hook

    inner = [depth for depth in depths if depth < encoder.depth]
    hooks = [encoder.layers[depth].register_forward_pre_hook(catch(depth), with_kwargs=True) for depth in inner]
    try:
        output = encoder.base(**batch)
    except _Enough:
        return found
    finally:
        for hook in hooks:
            hook.remove()
    found[encoder.depth] = _read(output, reading, batch["attention_mask"])
    return found


def separates(encoder: Encoder, depth: int, reading: Reading, batch: Mapping[str, Tensor]) -> bool:
    """Whether a network says the same of token ids `batch` from kept states as whole; families unknown here may not.

    The probe for what `TruncatedEncoder` cannot know: layers that ask for their place in the network, states that are
    not the first argument, positions that are added in the layers.
    """
    network, was_training = encoder.network, encoder.network.training
    if isinstance(network.config, PooledConfig) and depth == encoder.depth:
        return True  # heads of ours read what their config says, and may not be fitted yet
    try:
        with torch.no_grad():
            whole = network.eval()(**batch).logits
            kept = states(encoder, [depth], reading, batch)[depth]
            mask = batch["attention_mask"]
            kept, mask = (kept[:, None], mask[:, :1]) if kept.ndim == 2 else (kept, mask)
            with TruncatedEncoder(encoder, depth):
                truncated = network(inputs_embeds=kept, attention_mask=mask).logits
        real = batch["attention_mask"].bool() if whole.ndim == 3 else slice(None)
        return torch.allclose(whole[real], truncated[real], rtol=1e-3, atol=1e-3)
    except Exception:  # a network raises whatever the missing parts make it stumble over
        return False
    finally:
        network.train(was_training)


def reading(encoder: Encoder) -> Reading:
    """What a network's head reads of its encoder's output: one vector for a row, or the states of all tokens.

    Found by giving the head an output with NaN in it, and looking whether the logits are numbers all the same.
    """
    config = encoder.network.config
    if isinstance(config, PooledConfig):
        return "first" if config.pooling == "cls" else config.pooling  # type: ignore[return-value]
    if getattr(config, "classifier_pooling", None) == "mean":
        return "mean"
    nan, tokens = float("nan"), torch.zeros(1, 2, encoder.width)
    vector, nothing, first_alone = tokens[:, 0], torch.full_like(tokens, nan), tokens.clone()
    first_alone[:, 1:] = nan
    if _logits_are_numbers(encoder, nothing, vector):
        return "pooled"
    return "first" if _logits_are_numbers(encoder, first_alone, vector) else "tokens"


class _Enough(Exception):  # noqa: N818 (no error)
    """Raised to leave a network's forward pass once the layers that are wanted have run."""


class _PassThrough(nn.Module):
    """In place of embeddings: gives back the states that it is given."""

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        if kwargs.get("inputs_embeds") is not None:
            return kwargs["inputs_embeds"]
        # DistilBERT hands them over by position.
        return next(value for value in args if isinstance(value, Tensor) and value.is_floating_point())


class _Output(nn.Module):
    """In place of a whole encoder: its output is what the network is fed with, or what was set."""

    def __init__(self, hidden: Tensor | None = None, pooled: Tensor | None = None) -> None:
        super().__init__()
        self.hidden = hidden
        self.pooled = pooled

    def forward(self, *args: Any, inputs_embeds: Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        hidden = inputs_embeds if self.hidden is None else self.hidden
        pooled = inputs_embeds[:, 0] if self.pooled is None else self.pooled
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)


_Child = tuple[nn.Module, str, nn.Module]  # a module, and the child that it is to have under a name


def _put(children: Sequence[_Child]) -> None:
    for holder, name, child in children:
        setattr(holder, name, child)


def _head_alone(encoder: Encoder, output: nn.Module) -> list[_Child]:
    return [(encoder.network, encoder.network.base_model_prefix, output)]


def _from_layer(encoder: Encoder, below: int) -> list[_Child]:
    holder, name = next(
        (module, name)
        for module in encoder.base.modules()
        for name, child in module.named_children()
        if isinstance(child, nn.ModuleList) and list(child) == list(encoder.layers)
    )
    children: list[_Child] = [(holder, name, nn.ModuleList(encoder.layers[below:]))]
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


def _logits_are_numbers(encoder: Encoder, hidden: Tensor, pooled: Tensor) -> bool:
    network = encoder.network
    device = next(network.parameters()).device
    given = {
        "inputs_embeds": torch.zeros_like(hidden, device=device),
        "attention_mask": torch.ones(hidden.shape[:2], dtype=torch.long, device=device),
    }
    was_training = network.training
    _put(_head_alone(encoder, _Output(hidden.to(device), pooled.to(device))))
    try:
        with torch.no_grad():
            return bool(torch.isfinite(network.eval()(**given).logits).all())
    finally:
        _put(_head_alone(encoder, encoder.base))
        network.train(was_training)
