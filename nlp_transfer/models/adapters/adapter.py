"""What has PEFT put into this network, and how is it saved, merged and opened again?"""

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
    """The weights that PEFT has put into a network, and the parts of it that train whole beside them.

    The network is the one that was given: its modules are replaced in place, and it goes on being called as before.
    `base` names the checkpoint that the network was loaded from.
    """

    def __init__(self, model: PeftModel, base: Checkpoint) -> None:
        self.base = base
        self._model = model
        self._start: dict[str, Tensor] = {}
        self._saved: tuple[dict[str, Tensor], PeftConfig] | None = None

    @classmethod
    def put_into(cls, network: PreTrainedModel, config: PeftConfig, base: Checkpoint, said: str) -> Adapter:
        """Put a new adapter into a network; only it, and what the config says to save whole, can train afterwards.

        Raises OptionError, which begins with `said`, where the network cannot take it.
        """
        import peft  # takes a second

        kind, family = config.peft_type.value, Encoder(network).family
        if config.is_prompt_learning and isinstance(network, PooledClassifier):
            raise OptionError(f"{said}: PEFT knows {kind} for the heads of transformers alone; leave --pooling native.")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a base has no name on the hub, that a part has no such module
                adapter = cls(peft.get_peft_model(network, config), base)
                if config.is_prompt_learning:
                    feed_prompts(network, adapter._model)
                _require_ranks(network)
                _try(network)
        except OptionError as error:
            raise OptionError(f"{said}: {error}") from error
        except Exception as error:  # PEFT raises whatever the network made it stumble over
            reason = " ".join(str(error).split()) or type(error).__name__
            raise OptionError(f"{said}: PEFT cannot put {kind} on this {family} network: {reason[:300]}") from error
        _leave_casts_to_autocast(network)
        if _changes_the_base(config):
            adapter._start = {k: v for k, v in adapter._weights().items() if _is_factor(k)}
        return adapter

    @classmethod
    def open(cls, folder: str | Path, network: PreTrainedModel, base: Checkpoint) -> Adapter:
        """Put a folder's adapter into the network that it was trained in. Raises ModelError if it is damaged."""
        import peft  # takes a second

        refuse_pickles(Path(folder), "; give a folder without it, or remove it.", of_torch=False)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of weights that are missing, which is looked at below
                adapter = cls(peft.PeftModel.from_pretrained(network, str(folder)), base)
            wanted, there = adapter._weights().keys(), load_file(Path(folder) / WEIGHTS_FILE).keys()
        except Exception as error:  # a damaged file may raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            if isinstance(error, KeyError):  # what PEFT says of a head that is not there
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
        """What PEFT calls it, such as LORA."""
        return self._config.peft_type.value

    @property
    def is_prompt(self) -> bool:
        """Whether it is read before the words of a text, and stands in no module of the network."""
        return self._config.is_prompt_learning

    @property
    def is_merged(self) -> bool:
        """Whether the network has become an ordinary one."""
        return self._saved is not None

    def require_mergeable(self) -> None:
        """Raise OptionError for a kind that cannot be merged: better before training than after it."""
        if not self._can_merge:
            raise OptionError(f"--merge_adapter: {self.kind} cannot be merged into the network; leave it out.")

    def merge(self) -> None:
        """Make the network an ordinary one that computes the same; what `save` writes stays the adapter."""
        from peft.utils import ModulesToSaveWrapper  # takes a second

        self._saved = self._weights(), copy.deepcopy(self._config)
        # What trained whole comes out of its wrapper first: PEFT itself can take out nothing but linear modules.
        for parent in list(self._model.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, ModulesToSaveWrapper):
                    setattr(parent, name, child.modules_to_save[_NAME])
        self._model.merge_and_unload()

    def merge_if_possible(self) -> bool:
        """Merge, and say whether that could be done."""
        if self._can_merge:
            self.merge()
        return self.is_merged

    def save(self, folder: str | Path) -> None:
        """Write the adapter, with all that trained beside it, as PEFT itself does."""
        weights, config = self._saved or (self._weights(), copy.deepcopy(self._config))
        weights, config = dict(weights), copy.deepcopy(config)
        if self._start:
            self._relate_to_the_base(weights, config)
        config.inference_mode = True
        config.base_model_name_or_path, config.revision = _lasting(self.base.public_name), self.base.revision
        for name in ("target_modules", "modules_to_save", "feedforward_modules"):  # sets have another order each run
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
        # Lily's own words for it are an error that it raises once it is asked to.
        return not self.is_prompt and self.kind != "LILY"

    def _weights(self) -> dict[str, Tensor]:
        from peft import get_peft_model_state_dict  # takes a second

        # The base's embeddings stay what they are; to look whether they do, PEFT would ask the hub.
        state = get_peft_model_state_dict(self._model, adapter_name=_NAME, save_embedding_layers=False)
        return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}

    def _relate_to_the_base(self, weights: dict[str, Tensor], config: PeftConfig) -> None:
        """PiSSA and OLoRA take their start out of the base: B A - B0 A0, of twice the rank, is what was learned."""
        for name, start in self._start.items():
            a = ".lora_A." in name
            weights[name] = torch.cat([weights[name], start if a else -start], dim=0 if a else 1).contiguous()
        factor = 2**0.5 if config.use_rslora else 2  # keeps alpha / r, or alpha / sqrt(r)
        config.init_lora_weights = True
        config.r, config.lora_alpha = 2 * config.r, factor * config.lora_alpha
        config.rank_pattern = {name: 2 * r for name, r in config.rank_pattern.items()}
        config.alpha_pattern = {name: factor * alpha for name, alpha in config.alpha_pattern.items()}


def holds_adapter(folder: str | Path) -> bool:
    """Whether a folder holds an adapter and no whole model."""
    return (Path(folder) / CONFIG_FILE).is_file() and not (Path(folder) / "model.safetensors").is_file()


def base_of(folder: str | Path) -> tuple[str, str | None]:
    """The checkpoint that a folder's adapter was trained on, and its revision. Raises ModelError if it does not say."""
    try:
        config: dict[str, Any] = json.loads((Path(folder) / CONFIG_FILE).read_text(encoding="utf-8"))
        return config["base_model_name_or_path"], config.get("revision")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} does not say which base its adapter stands on ({CONFIG_FILE}).") from error


def _changes_the_base(config: PeftConfig) -> bool:
    start = getattr(config, "init_lora_weights", None)
    return isinstance(start, str) and start.lower().startswith(("pissa", "olora"))


def _lasting(name: str) -> str:
    """A name that means the same from any folder."""
    return str(Path(name).resolve()) if Path(name).is_dir() else name


def _is_factor(name: str) -> bool:
    return ".lora_A." in name or ".lora_B." in name


def _leave_casts_to_autocast(network: nn.Module) -> None:
    """Let LoRA layers take what they are given as it is; PEFT would make it fp32 first, and autocast bf16 again."""
    for module in network.modules():
        if isinstance(getattr(module, "lora_dropout", None), nn.ModuleDict):
            module.cast_input_dtype_enabled = False  # type: ignore[assignment]


def _require_ranks(network: nn.Module) -> None:
    """PiSSA and OLoRA factor the weights themselves, and get no more columns than these have."""
    for module in network.modules():
        for name, factor in getattr(module, "lora_A", {}).items():
            if factor.weight.shape[0] != module.r[name]:  # type: ignore[index]
                raise OptionError(f"a rank of {module.r[name]} is more than the weights have; give a smaller one.")  # type: ignore[index]


def _try(network: nn.Module) -> None:
    """Let a network read two tokens, so that what cannot work fails before training does."""
    was_training = network.training
    device = next(network.parameters()).device
    ids = torch.ones((1, 2), dtype=torch.long, device=device)
    try:
        with torch.no_grad():
            network.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))
    finally:
        network.train(was_training)
