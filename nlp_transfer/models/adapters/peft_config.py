"""PEFT configs: read from a file, and completed for an encoder."""

from __future__ import annotations

import dataclasses
import difflib
import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from torch import nn

from nlp_transfer.encoders.encoder import Encoder
from nlp_transfer.errors import OptionError
from nlp_transfer.models.adapters.adapter_targets import modules_inside, modules_to_save, require_matches

if TYPE_CHECKING:
    from peft import PeftConfig

CONFIG_FILE = "adapter_config.json"

_NOT_FOR_AN_ENCODER = {
    "ADALORA": "it needs a training loop that allocates ranks; take LORA",
    "ADAPTION_PROMPT": "it is for decoders; take LORA",
    "CPT": "it is for decoders; take LORA",
    "MULTITASK_PROMPT_TUNING": "it needs task ids beside the text; take PROMPT_TUNING",
    "POLY": "it needs task ids beside the text; take LORA",
    "XLORA": "it mixes adapters that are already trained; take LORA",
}
_NEED_DATA = ("corda", "eva", "loftq", "lora_ga")


def read_config(path: str | Path) -> PeftConfig:
    """The PEFT config in a JSON or YAML file, or in a folder's adapter_config.json.

    Raises OptionError where there is none, for a broken one or unknown options, and for a kind that cannot adapt an
    encoder.
    """
    file = Path(path) / CONFIG_FILE if Path(path).is_dir() else Path(path)
    values = _read(file)
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING as KINDS  # loads peft, which takes a second

    kind = str(values.get("peft_type")).upper()
    known = {name.value: config for name, config in KINDS.items()}
    if kind not in known:
        near = difflib.get_close_matches(kind, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "give LORA, IA3, OFT, PREFIX_TUNING or another of PEFT's."
        fault = "has no peft_type" if "peft_type" not in values else f"has the unknown peft_type {values['peft_type']}"
        raise OptionError(f"--peft_config {file} {fault}; {hint}")
    if kind in _NOT_FOR_AN_ENCODER:
        raise OptionError(f"--peft_config {file}: {kind} cannot adapt an encoder here: {_NOT_FOR_AN_ENCODER[kind]}.")
    fields = [field.name for field in dataclasses.fields(known[kind]) if field.init]
    for name in values:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f"did you mean {near[0]}?" if near else "leave it out."
            raise OptionError(f"--peft_config {file}: {kind} has no option '{name}'; {hint}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is checked by `complete_config`
            return known[kind](**{name: value for name, value in values.items() if name != "peft_type"})
    except Exception as error:  # each kind raises errors of its own
        raise OptionError(f"--peft_config {file}: {_first_line(error)}") from error


def complete_config(config: PeftConfig, encoder: Encoder, new: Iterable[str], task_type: str, source: str) -> None:
    """Complete a config for a network: its `target_modules`, unless it names them, and its `modules_to_save`.

    Errors begin with `source`, the origin of the config. Raises OptionError for a config of another task, with targets
    that match nothing, or that this network cannot take.
    """
    kind = str(config.peft_type.value)
    if config.task_type not in (None, task_type):
        raise OptionError(
            f"{source} is for the task {getattr(config.task_type, 'value', config.task_type)}, and this run trains "
            f"{task_type}; leave task_type out."
        )
    config.task_type = task_type
    config.inference_mode = False  # it is True in the config of a saved adapter
    config.base_model_name_or_path = config.revision = None  # `Adapter.save` sets those of this network
    start = getattr(config, "init_lora_weights", None)
    if isinstance(start, str) and start.lower() in _NEED_DATA:
        raise OptionError(f"{source}: {start} needs data before training starts; take gaussian, pissa or olora.")
    if not hasattr(config, "modules_to_save"):
        raise OptionError(f"{source}: {kind} cannot save the head that it trains; choose another kind.")
    if config.is_prompt_learning:
        _set_prompt_sizes(config, encoder)
    elif hasattr(config, "target_modules"):
        targets = config.target_modules
        if targets and targets != "all-linear":  # PEFT would adapt the head too, which is trained in full
            modules = encoder.network.named_modules()
            names = [name for name, module in modules if next(module.parameters(recurse=False), None) is not None]
            require_matches(targets, names, f"{source}: target_modules")
        elif kind != "TRAINABLE_TOKENS" and not getattr(config, "target_parameters", None):
            config.target_modules = modules_inside(encoder, nn.LayerNorm if kind == "LN_TUNING" else nn.Linear)
            if kind == "IA3" and config.feedforward_modules is None:
                config.feedforward_modules = []
    config.modules_to_save = list(dict.fromkeys([*(config.modules_to_save or []), *modules_to_save(encoder, new)]))
    if isinstance(getattr(config, "target_modules", None), list | set):
        saved = tuple(config.modules_to_save)
        config.target_modules = [name for name in sorted(config.target_modules) if name not in saved]


def _set_prompt_sizes(config: PeftConfig, encoder: Encoder) -> None:
    """Set the sizes that PEFT cannot infer: DistilBERT names them otherwise, and ELECTRA's embeddings are narrower."""
    prefix = config.peft_type.value in ("PREFIX_TUNING", "CARTRIDGE")
    width = encoder.width if prefix else encoder.network.get_input_embeddings().embedding_dim
    config.token_dim = config.token_dim or width
    config.num_layers = config.num_layers or encoder.depth
    config.num_attention_heads = config.num_attention_heads or encoder.config.num_attention_heads


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        values = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise OptionError(f"cannot read --peft_config {file}: {error.strerror}.") from error
    except (ValueError, yaml.YAMLError) as error:
        form = "JSON" if file.suffix == ".json" else "YAML"
        raise OptionError(f"--peft_config {file} is not {form}: {error}") from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise OptionError(f"--peft_config {file} must hold the options of a PEFT config, such as 'peft_type: IA3'.")
    return values


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
