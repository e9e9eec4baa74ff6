"""The config of a scikit-learn head, apart from the network so that reading it loads no torch."""

from __future__ import annotations

from transformers.models.auto.configuration_auto import AutoConfig

from nlp_transfer.encoders.pooling.pooled_config import PooledConfig


class ShallowConfig(PooledConfig):
    """The encoder's own config, and the `pooling` of its features: that of a `PooledConfig`, or `tokens` for none."""

    model_type = "nlp_transfer_shallow"


AutoConfig.register(ShallowConfig.model_type, ShallowConfig, exist_ok=True)
