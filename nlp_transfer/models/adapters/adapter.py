"""A PEFT adapter in a network: adding, merging, saving and loading it."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from nlp_transfer.encoders.encoder import Encoder
from nlp_transfer.encoders.pooling.pooled_network import PooledClassifier
from nlp_transfer.encoders.pretrained import Checkpoint
from nlp_transfer.errors import ModelError, OptionError
from nlp_transfer.models.adapters.peft_config import CONFIG_FILE
from nlp_transfer.models.adapters.prompt_tuning import feed_prompts
from nlp_transfer.system.pickles import refuse_pickles

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

WEIGHTS_FILE = "adapter_model.safetensors"
_NAME = "default"  # PEFT's own for the only adapter of a network


class Adapter:
    """The weights that PEFT has added to a network, and the modules that are trained in full beside them.

    The modules of the network are replaced in place, so it is called as before. `base` is the checkpoint that the
    network was loaded from.
    """

    def __init__(self, model: PeftModel, base: Checkpoint) -> None:
        self.base = base
        self._model = model
        self._start: dict[str, Tensor] = {}
        self._saved: tuple[dict[str, Tensor], PeftConfig] | None = None

    @classmethod
    def put_into(cls, network: PreTrainedModel, config: PeftConfig, base: Checkpoint, source: str) -> Adapter:
        """Add a new adapter to a network; all else is frozen, but for the `modules_to_save` of the config.

        Raises OptionError, which begins with `source` (a flag, a file), where the network cannot take it.
        """
        import peft  # takes a second

        kind, family = config.peft_type.value, Encoder(network).family
        if config.is_prompt_learning and isinstance(network, PooledClassifier):
            raise OptionError(f"{source}: {kind} works on the native heads alone; take --pooling native.")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a base has no name on the hub, that a part has no such module
                adapter = cls(peft.get_peft_model(network, config), base)
                if config.is_prompt_learning:
                    feed_prompts(network, adapter._model)
                _require_ranks(network)
                _test_forward(network)
        except OptionError as error:
            raise OptionError(f"{source}: {error}") from error
        except Exception as error:  # PEFT has no error of its own: it fails wherever the network does not fit
            reason = " ".join(str(error).split()) or type(error).__name__
            raise OptionError(f"{source}: PEFT cannot put {kind} on this {family} network: {reason[:300]}") from error
        _leave_casts_to_autocast(network)
        if _changes_the_base(config):
            adapter._start = {k: v for k, v in adapter._weights().items() if _is_factor(k)}
        return adapter

    @classmethod
    def open(cls, folder: str | Path, network: PreTrainedModel, base: Checkpoint) -> Adapter:
        """Load a folder's adapter into the network that it was trained in. Raises ModelError if it is damaged."""
        import peft  # takes a second

        refuse_pickles(Path(folder), "; give a folder without it, or remove it.", of_torch=False)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of missing weights, which are checked below
                adapter = cls(peft.PeftModel.from_pretrained(network, str(folder)), base)
            wanted, there = adapter._weights().keys(), load_file(Path(folder) / WEIGHTS_FILE).keys()
        except Exception as error:  # a damaged file may raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            if isinstance(error, KeyError):  # PEFT's error for a missing head
                reason = f"it lacks the weight {reason}"
            raise ModelError(f"cannot load the adapter {folder} into {base.name}: {reason[:300]}") from error
        if lost := sorted(wanted - there):
            raise ModelError(
                f"the adapter {folder} lacks {len(lost)} of its weights, such as {lost[0]}; save it again."
            )
        if adapter.is_prompt:
            feed_prompts(network, adapter._model)
        return adapter

    @property
    def kind(self) -> str:
        """PEFT's `peft_type`, such as LORA."""
        return self._config.peft_type.value

    @property
    def is_prompt(self) -> bool:
        """Whether it is prompt learning, which changes no module of the network."""
        return self._config.is_prompt_learning

    @property
    def is_merged(self) -> bool:
        """Whether it was merged into the network."""
        return self._saved is not None

    def require_mergeable(self) -> None:
        """Raise OptionError for a kind that cannot be merged; to be called before training."""
        if not self._can_merge:
            raise OptionError(f"--merge_adapter: {self.kind} cannot be merged into the network; leave it out.")

    def merge(self) -> None:
        """Merge it into the weights of the network, which computes the same; `save` still writes the adapter."""
        from peft.utils import ModulesToSaveWrapper  # takes a second

        self._saved = self._weights(), copy.deepcopy(self._config)
        # Modules to save are unwrapped first: PEFT itself can unwrap linear modules only.
        for parent in list(self._model.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, ModulesToSaveWrapper):
                    setattr(parent, name, child.modules_to_save[_NAME])
        self._model.merge_and_unload()

    def merge_if_possible(self) -> bool:
        """Merge it if its kind can be; returns whether it is merged."""
        if self._can_merge:
            self.merge()
        return self.is_merged

    def save(self, folder: str | Path) -> None:
        """Write the adapter and the modules that were trained beside it, in PEFT's own layout."""
        weights, config = self._saved or (self._weights(), copy.deepcopy(self._config))
        weights, config = dict(weights), copy.deepcopy(config)
        if self._start:
            self._relate_to_the_base(weights, config)
        config.inference_mode = True
        config.base_model_name_or_path, config.revision = _absolute(self.base.public_name), self.base.revision
        for name in ("target_modules", "modules_to_save", "feedforward_modules"):  # sets have no fixed order
            if isinstance(getattr(config, name, None), list | set):
                setattr(config, name, sorted(set(getattr(config, name))))
        Path(folder).mkdir(parents=True, exist_ok=True)
        config.save_pretrained(str(folder))
        save_file(weights, Path(folder) / WEIGHTS_FILE, metadata={"format": "pt"})

    @property
    def _config(self) -> PeftConfig:
        return self._model.peft_config[_NAME]

    @property
    def _can_merge(self) -> bool:
        # PEFT's Lily raises an error where it is merged.
        return not self.is_prompt and self.kind != "LILY"

    def _weights(self) -> dict[str, Tensor]:
        from peft import get_peft_model_state_dict  # takes a second

        # The embeddings of the base are frozen; by default PEFT asks the hub whether their size has changed.
        state = get_peft_model_state_dict(self._model, adapter_name=_NAME, save_embedding_layers=False)
        return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}

    def _relate_to_the_base(self, weights: dict[str, Tensor], config: PeftConfig) -> None:
        """PiSSA and OLoRA change the base: what was learned is B A - B0 A0, a LoRA of twice the rank."""
        for name, start in self._start.items():
            a = ".lora_A." in name
            weights[name] = torch.cat([weights[name], start if a else -start], dim=0 if a else 1).contiguous()
        factor = 2**0.5 if config.use_rslora else 2  # so that alpha / r, or alpha / sqrt(r), is unchanged
        config.init_lora_weights = True
        config.r, config.lora_alpha = 2 * config.r, factor * config.lora_alpha
        config.rank_pattern = {name: 2 * r for name, r in config.rank_pattern.items()}
        config.alpha_pattern = {name: factor * alpha for name, alpha in config.alpha_pattern.items()}


def holds_adapter(folder: str | Path) -> bool:
    """Whether a folder holds an adapter and no full model."""
    return (Path(folder) / CONFIG_FILE).is_file() and not (Path(folder) / "model.safetensors").is_file()


def base_of(folder: str | Path) -> tuple[str, str | None]:
    """The checkpoint that a folder's adapter was trained on, and its revision. ModelError if its config has none."""
    try:
        config: dict[str, Any] = json.loads((Path(folder) / CONFIG_FILE).read_text(encoding="utf-8"))
        return config["base_model_name_or_path"], config.get("revision")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder}: {CONFIG_FILE} does not name the base model of the adapter; set base_model_name_or_path in it."
        ) from error


def _changes_the_base(config: PeftConfig) -> bool:
    start = getattr(config, "init_lora_weights", None)
    return isinstance(start, str) and start.lower().startswith(("pissa", "olora"))


def _absolute(name: str) -> str:
    """The absolute path of a folder, which is valid from anywhere; a hub id as it is."""
    return str(Path(name).resolve()) if Path(name).is_dir() else name


def _is_factor(name: str) -> bool:
    return ".lora_A." in name or ".lora_B." in name


def _leave_casts_to_autocast(network: nn.Module) -> None:
    """Keep LoRA layers from casting their inputs to fp32, which autocast would cast back to bf16."""
    for module in network.modules():
        if isinstance(getattr(module, "lora_dropout", None), nn.ModuleDict):
            module.cast_input_dtype_enabled = False  # type: ignore[assignment]


def _require_ranks(network: nn.Module) -> None:
    """OptionError for a rank above that of the weights, which PiSSA and OLoRA factorise."""
    for module in network.modules():
        for name, factor in getattr(module, "lora_A", {}).items():
            rank = module.r[name]  # type: ignore[index]
            if factor.weight.shape[0] != rank:
                raise OptionError(
                    f"a rank of {rank} exceeds the smallest dimension of the weights; give a smaller one."
                )


def _test_forward(network: nn.Module) -> None:
    """Run a network on two tokens, so that an adapter that does not fit fails now, not in training."""
    was_training = network.training
    device = next(network.parameters()).device
    ids = torch.ones((1, 2), dtype=torch.long, device=device)
    try:
        with torch.no_grad():
            network.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))
    finally:
        network.train(was_training)
