"""The config of a pooled classifier, apart from the network so that reading it loads no torch."""

from __future__ import annotations

from typing import Any

from transformers.configuration_utils import PreTrainedConfig

POOLINGS = ("cls", "mean", "max")

POSITIONS_FROM_PADDING = (
    "camembert", "data2vec-text", "ibert", "longformer", "roberta", "roberta-prelayernorm", "xlm-roberta",
    "xlm-roberta-xl", "xmod",
)  # fmt: skip
"""Families that number positions from the id of padding on."""


class PooledConfig(PreTrainedConfig):
    """The shape of a `PooledClassifier`: the encoder's own config, its pooling and dense layers."""

    model_type = "nlp_transfer_pooled"

    encoder_config: dict[str, Any] | None = None
    pooling: str = "mean"
    hidden: list[int] | tuple[int, ...] = ()
    dropout: float = 0.1
    normalise: bool = False
    """Whether the pooled vector is divided by its length, as sentence encoders are trained to be compared."""


# Below the class: the first import of the Auto classes imports sklearn_config too (encoders/registration.py), which
# needs the class.
from transformers.models.auto.configuration_auto import AutoConfig  # noqa: E402


def encoder_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """The config of the encoder under a `PooledClassifier`; of any other network, its own."""
    # Also by its name: there are two such classes where transformers imports this file from the folder of a model.
    if not (isinstance(config, PooledConfig) or config.model_type == PooledConfig.model_type):
        return config
    fields = dict(config.encoder_config or {})
    return AutoConfig.for_model(fields.pop("model_type"), **fields)


def max_positions(config: PreTrainedConfig) -> int:
    """The longest input, in tokens with the special ones, that the encoder has positions for."""
    positions = getattr(config, "max_position_embeddings", None) or 10**9
    # The RoBERTa line and MPNet number positions from the id of padding on, and never use those up to it.
    if config.model_type in POSITIONS_FROM_PADDING:
        return positions - config.pad_token_id - 1
    return positions - 2 if config.model_type == "mpnet" else positions  # for MPNet that id is always 1


AutoConfig.register(PooledConfig.model_type, PooledConfig, exist_ok=True)
PooledConfig.register_for_auto_class()
