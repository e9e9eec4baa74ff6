"""Which PEFT config does a file hold, and can it be put on an encoder?"""

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
from nlp_transfer.models.adapters.adapter_targets import modules_inside, require_matches, trained_whole

if TYPE_CHECKING:
    from peft import PeftConfig

CONFIG_FILE = "adapter_config.json"

_NOT_FOR_AN_ENCODER = {
    "ADALORA": "it needs a training loop that hands out ranks; take LORA",
    "ADAPTION_PROMPT": "it is made for decoders",
    "CPT": "it is made for decoders",
    "MULTITASK_PROMPT_TUNING": "it needs task ids beside the text",
    "POLY": "it needs task ids beside the text",
    "XLORA": "it mixes adapters that were trained before",
}
_NEED_DATA = ("corda", "eva", "loftq", "lora_ga")


def read_config(path: str | Path) -> PeftConfig:
    """The PEFT config in a JSON or YAML file, or in a folder's adapter_config.json.

    Raises OptionError where there is none, where it is broken or has unknown options, and where its kind cannot adapt
    an encoder.
    """
    file = Path(path) / CONFIG_FILE if Path(path).is_dir() else Path(path)
    values = _read(file)
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING as KINDS  # loads peft, which takes a second

    kind = str(values.get("peft_type")).upper()
    known = {name.value: config for name, config in KINDS.items()}
    if kind not in known:
        near = difflib.get_close_matches(kind, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "LORA, IA3, OFT and PREFIX_TUNING are usual."
        said = "says no peft_type" if "peft_type" not in values else f"has the unknown peft_type {values['peft_type']}"
        raise OptionError(f"--peft_config {file} {said}; {hint}")
    if kind in _NOT_FOR_AN_ENCODER:
        raise OptionError(f"--peft_config {file}: {kind} cannot adapt an encoder here: {_NOT_FOR_AN_ENCODER[kind]}.")
    fields = [field.name for field in dataclasses.fields(known[kind]) if field.init]
    for name in values:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise OptionError(f"--peft_config {file} has the option '{name}', which {kind} has not{hint}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is said below
            return known[kind](**{name: value for name, value in values.items() if name != "peft_type"})
    except Exception as error:  # each kind checks its options in its own way
        raise OptionError(f"--peft_config {file}: {_first_line(error)}") from error


def fit_to(config: PeftConfig, encoder: Encoder, new: Iterable[str], task_type: str, said: str) -> None:
    """Complete a config for a network: what it adapts where it does not say, and what is to be saved with it.

    `said` is where the config comes from, for errors. Raises OptionError for a config of another task, with targets
    that match nothing, or that this network cannot take.
    """
    kind = str(config.peft_type.value)
    if config.task_type not in (None, task_type):
        raise OptionError(
            f"{said} is for the task {getattr(config.task_type, 'value', config.task_type)}, and this run trains "
            f"{task_type}; leave task_type out."
        )
    config.task_type = task_type
    config.inference_mode = False  # which a saved adapter's config says
    config.base_model_name_or_path = config.revision = None  # that of this network is put in when it is saved
    start = getattr(config, "init_lora_weights", None)
    if isinstance(start, str) and start.lower() in _NEED_DATA:
        raise OptionError(f"{said}: {start} needs data before training starts; take gaussian, pissa or olora.")
    if not hasattr(config, "modules_to_save"):
        raise OptionError(f"{said}: {kind} cannot save the head that it trains; choose another kind.")
    if config.is_prompt_learning:
        _fit_prompts_to(config, encoder)
    elif hasattr(config, "target_modules"):
        wanted = config.target_modules
        if wanted and wanted != "all-linear":  # PEFT would adapt the head too, which trains whole
            modules = encoder.network.named_modules()
            names = [name for name, module in modules if next(module.parameters(recurse=False), None) is not None]
            require_matches(wanted, names, f"{said}: target_modules")
        elif kind != "TRAINABLE_TOKENS" and not getattr(config, "target_parameters", None):
            config.target_modules = modules_inside(encoder, nn.LayerNorm if kind == "LN_TUNING" else nn.Linear)
            if kind == "IA3" and config.feedforward_modules is None:
                config.feedforward_modules = []
    config.modules_to_save = list(dict.fromkeys([*(config.modules_to_save or []), *trained_whole(encoder, new)]))
    if isinstance(getattr(config, "target_modules", None), list | set):
        whole = tuple(config.modules_to_save)
        config.target_modules = [name for name in sorted(config.target_modules) if name not in whole]


def _fit_prompts_to(config: PeftConfig, encoder: Encoder) -> None:
    """PEFT knows neither what DistilBERT calls its sizes, nor that ELECTRA's embeddings are narrow."""
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
