"""Prompt and prefix tuning of an encoder (Li and Liang 2021, Lester et al. 2021, Liu et al. 2021)."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from nlp_transfer.encoders.encoder import Encoder
from nlp_transfer.errors import OptionError

if TYPE_CHECKING:
    from peft import PeftModel


def feed_prompts(network: PreTrainedModel, model: PeftModel) -> None:
    """Make a network compute the outputs of its `PeftModel`, so that it is called as any other.

    The prompts become a part of its encoder: embeddings before the text, or keys and values that each layer attends
    to. Raises OptionError for an encoder whose layers take no keys and values.
    """
    config = model.active_peft_config
    if config.peft_type.value in ("PREFIX_TUNING", "CARTRIDGE"):
        family = Encoder(network).family
        name = _cache_argument(network)
        if name is None:
            raise OptionError(
                f"{config.peft_type.value} needs an encoder whose layers take past_key_values, such as BERT, RoBERTa "
                f"or ELECTRA, and {family} has none; take PROMPT_TUNING or LORA."
            )
        network.base_model.register_forward_pre_hook(_Keys(model, name), with_kwargs=True)
    else:
        network.register_forward_pre_hook(_Prepended(model), with_kwargs=True)
        if config.task_type == "TOKEN_CLS":
            network.register_forward_hook(_without_prompts(config.num_virtual_tokens))
    network.base_model.add_module("prompt_encoder", model.prompt_encoder)


def _cache_argument(network: PreTrainedModel) -> str | None:
    """The argument by which layers take keys and values: transformers 5.24 has renamed it."""
    parameters = inspect.signature(network.base_model.forward).parameters
    return next((name for name in ("cache", "past_key_values") if name in parameters), None)


class _Keys:
    def __init__(self, model: PeftModel, argument: str) -> None:
        self.model = model
        self.argument = argument

    def __call__(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        mask = kwargs["attention_mask"]
        keys = self.model.get_prompt(len(mask))
        return args, kwargs | {self.argument: keys, "attention_mask": _longer(mask, self.model)}


class _Prepended:
    def __init__(self, model: PeftModel) -> None:
        self.model = model

    def __call__(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        words = self.model.word_embeddings(kwargs.pop("input_ids"))
        prompts = self.model.get_prompt(len(words)).to(words.dtype)
        mask = _longer(kwargs["attention_mask"], self.model)
        return args, kwargs | {"inputs_embeds": torch.cat([prompts, words], dim=1), "attention_mask": mask}


def _longer(mask: Tensor, model: PeftModel) -> Tensor:
    prompts = mask.new_ones(len(mask), model.active_peft_config.num_virtual_tokens)
    return torch.cat([prompts, mask], dim=1)


def _without_prompts(count: int) -> Any:
    def cut(module: nn.Module, args: Any, output: Any) -> Any:
        output.logits = output.logits[:, count:]
        return output

    return cut
