"""The pooled classifier: pooling of token states into one vector, and dense layers on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

# By dots: a saved folder holds both files, so that transformers alone opens it, with trust_remote_code.
from .pooled_config import PooledConfig, encoder_config, max_positions


def pool(hidden_states: Tensor, attention_mask: Tensor, how: str) -> Tensor:
    """One vector `(batch, width)` from `(batch, tokens, width)`; padding is masked out.

    `cls` takes the first token, `mean` is global average pooling and `max` global max pooling over real tokens.
    """
    if how == "cls":
        return hidden_states[:, 0]
    mask = attention_mask.unsqueeze(-1).bool()
    if how == "mean":
        total = hidden_states.masked_fill(~mask, 0.0).sum(dim=1)
        return total / mask.sum(dim=1).clamp(min=1)
    return hidden_states.masked_fill(~mask, torch.finfo(hidden_states.dtype).min).amax(dim=1)


def encode(
    backbone: nn.Module,
    input_ids: Tensor | None,
    attention_mask: Tensor | None,
    inputs_embeds: Tensor | None,
    return_dict: bool = True,
    **kwargs: Any,
) -> tuple[Any, Tensor]:
    """An encoder's output, as a ModelOutput, and the attention mask `(batch, tokens)`: all ones if None.

    Of texts with more tokens than the encoder has positions for, it gets as many as it has.
    """
    if attention_mask is None:
        tokens = input_ids if inputs_embeds is None else inputs_embeds
        assert tokens is not None, "give input_ids or inputs_embeds"
        attention_mask = torch.ones(tokens.shape[:2], dtype=torch.long, device=tokens.device)
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "inputs_embeds": inputs_embeds, **kwargs}
    # Of a pipeline that truncates nothing, which is how text-classification works by default.
    if input_ids is not None and input_ids.shape[1] > (most := max_positions(backbone.config)):
        inputs = _truncated(inputs, attention_mask, most)
        attention_mask = inputs["attention_mask"]
    return backbone(**inputs, return_dict=True), attention_mask


def _truncated(inputs: dict[str, Any], attention_mask: Tensor, most: int) -> dict[str, Any]:
    """The first tokens of each text and its last one, which ends it: what a tokenizer truncates to."""
    last = attention_mask.sum(dim=1) - 1
    long = (last >= most).nonzero()[:, 0]

    def cut(values: Any) -> Any:
        if not isinstance(values, Tensor) or values.shape[:2] != attention_mask.shape:
            return values
        kept = values[:, :most].clone()
        kept[long, -1] = values[long, last[long]]
        return kept

    return {name: cut(values) for name, values in inputs.items()}


class PooledClassifier(PreTrainedModel):
    """An encoder, a pooling over its tokens, dense layers with ReLU, and a softmax layer."""

    config_class = PooledConfig
    base_model_prefix = "backbone"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def __init__(self, config: PooledConfig, backbone: PreTrainedModel | None = None) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.backbone = backbone or AutoModel.from_config(encoder_config(config))
        if hasattr(self.backbone, "pooler"):
            self.backbone.pooler = None  # its weights would be saved and never trained
        widths = [self.backbone.config.hidden_size, *config.hidden]
        # PEFT matches modules by the ends of their names: no encoder has one of this name.
        self.hidden_layers = nn.Sequential(*_dense(widths, config.dropout))
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(widths[-1], config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Logits `(batch, labels)`; with `labels`, the mean loss of the config's `problem_type` as well."""
        encoded, attention_mask = encode(self.backbone, input_ids, attention_mask, inputs_embeds, **kwargs)
        logits = self.classifier(self.dropout(self.hidden_layers(self._pooled(encoded, attention_mask))))
        loss = _LOSSES[self.config.problem_type](logits, labels) if labels is not None else None
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=encoded.hidden_states, attentions=encoded.attentions
        )

    def vectors(self, input_ids: Tensor, attention_mask: Tensor, **kwargs: Any) -> Tensor:
        """What the layers of the head read of each text, `(batch, width)`."""
        return self._pooled(*encode(self.backbone, input_ids, attention_mask, None, **kwargs))

    def _pooled(self, encoded: Any, attention_mask: Tensor) -> Tensor:
        pooled = pool(encoded.last_hidden_state, attention_mask, self.config.pooling)
        return F.normalize(pooled, dim=-1) if self.config.normalise else pooled


_LOSSES: dict[str | None, Callable[[Tensor, Tensor], Tensor]] = {
    None: F.cross_entropy,
    "single_label_classification": F.cross_entropy,
    "multi_label_classification": F.binary_cross_entropy_with_logits,
    "regression": lambda logits, labels: F.mse_loss(logits.squeeze(-1), labels.squeeze()),
}


def _dense(widths: Sequence[int], dropout: float) -> list[nn.Module]:
    modules: list[nn.Module] = []
    for below, above in pairwise(widths):
        modules += [nn.Dropout(dropout), nn.Linear(below, above), nn.ReLU()]
    return modules


AutoModelForSequenceClassification.register(PooledConfig, PooledClassifier, exist_ok=True)
PooledClassifier.register_for_auto_class("AutoModelForSequenceClassification")
