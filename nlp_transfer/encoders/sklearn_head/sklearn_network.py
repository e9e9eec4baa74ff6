"""The network with a scikit-learn classifier as its head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from nlp_transfer.encoders.pooling.pooled_config import encoder_config
from nlp_transfer.encoders.pooling.pooled_network import encode, pool
from nlp_transfer.encoders.sklearn_head.decisions import decisions, on_all_labels
from nlp_transfer.encoders.sklearn_head.sklearn_config import ShallowConfig
from nlp_transfer.encoders.sklearn_head.sklearn_storage import find_classifier, load_classifier, save_classifier


class ShallowClassifier(PreTrainedModel):
    """An encoder, and a classifier of scikit-learn on its pooled states, or on the state of each token.

    Its logits are the scores of the classifier (`decisions`) times `scale`. `classifier` is None until one is fitted or
    loaded; in a saved folder it is `classifier.skops`.
    """

    config_class = ShallowConfig
    base_model_prefix = "backbone"
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def __init__(self, config: ShallowConfig, backbone: PreTrainedModel | None = None) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.backbone = backbone or AutoModel.from_config(encoder_config(config))
        if hasattr(self.backbone, "pooler"):
            self.backbone.pooler = None  # nothing reads it
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)
        self.classifier: Any = None
        self.post_init()

    @classmethod
    def from_pretrained(cls, name_or_path: Any, *args: Any, **options: Any) -> Any:
        """As of any `PreTrainedModel`. Raises ModelError for a classifier file that is not safe to load."""
        loaded = super().from_pretrained(name_or_path, *args, **options)
        network = loaded[0] if isinstance(loaded, tuple) else loaded  # with output_loading_info
        network.classifier = load_classifier(find_classifier(name_or_path, options))
        return loaded

    def save_pretrained(self, save_directory: Any, **options: Any) -> None:
        """As of any `PreTrainedModel`, and the classifier beside the weights."""
        super().save_pretrained(save_directory, **options)
        save_classifier(self.classifier, Path(save_directory))

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Logits `(batch, labels)`, or `(batch, tokens, labels)` without pooling; with `labels` the loss as well."""
        encoded, attention_mask = encode(self.backbone, input_ids, attention_mask, inputs_embeds, **kwargs)
        states = encoded.last_hidden_state
        if self.config.pooling == "tokens":
            real = attention_mask.bool()
            logits = states.new_zeros(*real.shape, self.num_labels, dtype=torch.float32)
            logits[real] = self._logits(states[real])
        else:
            logits = self._logits(pool(states, attention_mask, self.config.pooling))
        loss = F.cross_entropy(logits.flatten(0, -2), labels.flatten()) if labels is not None else None
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=encoded.hidden_states, attentions=encoded.attentions
        )

    def _logits(self, features: Tensor) -> Tensor:
        values = self.scale.item() * decisions(self.classifier, features.detach().float().cpu().numpy())
        return torch.from_numpy(on_all_labels(values, self.classifier.classes_, self.num_labels)).to(
            features.device, torch.float32
        )


AutoModelForSequenceClassification.register(ShallowConfig, ShallowClassifier, exist_ok=True)
AutoModelForTokenClassification.register(ShallowConfig, ShallowClassifier, exist_ok=True)
