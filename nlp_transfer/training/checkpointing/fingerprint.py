"""The fingerprint of a run: what must be the same when it resumes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from nlp_transfer.config import CacheOptions, TrainingOptions
from nlp_transfer.data.splits import Splits
from nlp_transfer.errors import OptionError
from nlp_transfer.heads import TaskHead
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies import Strategy
from nlp_transfer.training.checkpointing.checkpoint_files import digest_of
from nlp_transfer.version import __version__

log = logging.getLogger(__name__)

Identity = dict[str, Any]
"""What of a run may not change, by the name that a user knows it by; large contents as a digest after a `#`."""

_MAY_CHANGE = (
    "logging_steps", "report_to", "verify", "checkpoint_every", "keep_checkpoints", "mixed_precision", "processes",
)  # fmt: skip
_MODEL_FILES = (".safetensors", ".bin", ".json", ".txt", ".model", ".py")


def options_of(
    model: TransferModel,
    splits: Splits,
    options: TrainingOptions,
    accelerator: Accelerator,
    strategy: Strategy,
    cache: CacheOptions | None,
) -> Identity:
    """What identifies a run before anything is computed; files count by what they hold, not by their path."""
    identity: Identity = {f"--{name}": value for name, value in vars(options).items() if name not in _MAY_CHANGE}
    identity["--mixed_precision"] = accelerator.mixed_precision  # what `auto` was resolved to
    identity["--strategy"] = strategy.name
    identity |= {
        f"--{field.name}": content(getattr(strategy, field.name))
        for field in dataclasses.fields(strategy)
        if field.init
    }
    identity |= head_and_rows(model.head, splits, cache) | {"--max_length": model.max_length}
    identity |= {"the number of processes": accelerator.num_processes, "the device": accelerator.device.type}
    return json.loads(json.dumps(identity, default=str))


def head_and_rows(head: TaskHead, splits: Splits, cache: CacheOptions | None) -> Identity:
    """What a run learns, and from which rows."""
    identity: Identity = {"the labels": list(head.labels), "the task": head.task}
    identity |= {f"--{name}": value for name, value in head.options().items() if name != "labels"}
    identity["--cache_dtype"] = (cache or CacheOptions()).cache_dtype
    for name, rows in (("train", splits.train), ("validation", splits.validation), ("test", splits.test)):
        identity[f"the {name} rows"] = f"#{rows.sha256}" if rows else None
    return identity


def weights_of(model: TransferModel) -> Identity:
    """A digest of the weights that the run starts from, without those that are new, and random."""
    pretrained = {name: p for name, p in model.network.named_parameters() if name not in model.new_parameters}
    return {"the weights of --model_name_or_path": f"#{digest_of(pretrained)}"}


def tokens_of(lengths: Any) -> Identity:
    """A digest of how many tokens each row has."""
    return {"the tokens of the train rows": f"#{hashlib.blake2b(lengths.tobytes(), digest_size=16).hexdigest()}"}


def require_same(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """OptionError that names what differs between `then` and `now`."""
    differences = changes(then, now)
    if not differences:
        return
    raise OptionError(
        f"this is not the run that was stopped: {'; '.join(differences)}. Resume with what the run started with, "
        f"or start over with --overwrite_output_dir or another --output_dir."
    )


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What of `now` differs from what it was before, a phrase each; what was not there before is no change."""
    return [_change(name, before[name], now[name]) for name in now if name in before and before[name] != now[name]]


def versions() -> dict[str, str]:
    """The versions of this package and of the libraries that decide the result of a training."""
    names = ("torch", "transformers", "accelerate", "numpy", "scikit-learn")
    return {"nlp_transfer": __version__} | {name: version(name) for name in names}


def environment() -> dict[str, Any]:
    """What may change, and may change the last digits of a sum: versions, and the number of threads."""
    return {**versions(), "threads": torch.get_num_threads()}


def log_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Log a line where the environment has changed."""
    changed = [f"{name} {then[name]}, now {now[name]}" for name in now if name in then and then[name] != now[name]]
    if changed:
        log.info("The run started with %s: its results may differ in the last digits.", "; ".join(changed))


def content(value: Any) -> Any:
    """A digest of the file that `value` is the path of; any other value as it is."""
    if isinstance(value, str | os.PathLike) and Path(value).is_file():
        digest = hashlib.blake2b(digest_size=16)
        _add(digest, Path(value))
        return f"#{digest.hexdigest()}"
    return value


def files_of(source: Path) -> str:
    """A digest of the weights and the tokenizer in a model's folder; for a hub id, of the id itself."""
    digest = hashlib.blake2b(str(source).encode() if not source.is_dir() else b"", digest_size=16)
    for path in sorted(path for path in source.rglob("*") if path.suffix in _MODEL_FILES):
        digest.update(path.name.encode())
        _add(digest, path)
    return f"#{digest.hexdigest()}"


def _add(digest: hashlib.blake2b, path: Path) -> None:
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)


def _change(name: str, before: Any, now: Any) -> str:
    if str(before).startswith("#") or str(now).startswith("#"):
        return f"{name} changed"
    return f"{name} was {_shown(before)} and is {_shown(now)}"


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)
