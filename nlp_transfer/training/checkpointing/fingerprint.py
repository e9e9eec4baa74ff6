"""Which run is this: what may not change when it goes on?"""

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
"""What of a run may not change, by the name that a user knows it by. Digests stand for what is large, after a #."""

_FREE = ("logging_steps", "report_to", "verify", "checkpoint_every", "keep_checkpoints", "mixed_precision")
_OF_MODELS = (".safetensors", ".bin", ".json", ".txt", ".model", ".py")


def options_of(
    model: TransferModel,
    splits: Splits,
    options: TrainingOptions,
    accelerator: Accelerator,
    strategy: Strategy,
    cache: CacheOptions | None,
) -> Identity:
    """What is known of a run before anything is computed.

    Paths do not count, but what the files hold.
    """
    told: Identity = {f"--{name}": value for name, value in vars(options).items() if name not in _FREE}
    told["--mixed_precision"] = accelerator.mixed_precision  # what `auto` came to
    told["--strategy"] = strategy.name
    told |= {
        f"--{field.name}": content(getattr(strategy, field.name))
        for field in dataclasses.fields(strategy)
        if field.init
    }
    told |= head_and_rows(model.head, splits, cache) | {"--max_length": model.max_length}
    told |= {"the number of processes": accelerator.num_processes, "the device": accelerator.device.type}
    return json.loads(json.dumps(told, default=str))


def head_and_rows(head: TaskHead, splits: Splits, cache: CacheOptions | None) -> Identity:
    """What a run learns, and from which rows."""
    identity: Identity = {"the labels": list(head.labels), "the task": head.task}
    identity |= {f"--{name}": value for name, value in head.options().items() if name != "labels"}
    identity["--cache_dtype"] = (cache or CacheOptions()).cache_dtype
    for name, rows in (("train", splits.train), ("validation", splits.validation), ("test", splits.test)):
        identity[f"the {name} rows"] = f"#{rows.sha256}" if rows else None
    return identity


def weights_of(model: TransferModel) -> Identity:
    """A digest of the weights that the run starts from, but for those that are new, and random."""
    known = {name: p for name, p in model.network.named_parameters() if name not in model.new_parameters}
    return {"the weights of --model_name_or_path": f"#{digest_of(known)}"}


def tokens_of(lengths: Any) -> Identity:
    """A digest of how many tokens each row has."""
    return {"the tokens of the train rows": f"#{hashlib.blake2b(lengths.tobytes(), digest_size=16).hexdigest()}"}


def require_same(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """OptionError that names what of `now` is not as it was `then`."""
    changed = [name for name in now if name in then and then[name] != now[name]]
    if not changed:
        return
    said = [
        f"{name}: not the same as then"
        if str(then.get(name)).startswith("#") or str(now.get(name)).startswith("#")
        else f"{name} was {_shown(then.get(name))} and is {_shown(now.get(name))}"
        for name in changed
    ]
    raise OptionError(
        f"this is not the run that was stopped: {'; '.join(said)}. Give --resume what the run began with, or begin "
        f"anew with --overwrite_output_dir or another --output_dir."
    )


def versions() -> dict[str, str]:
    """Those of this package and of the libraries that decide what a training comes to."""
    names = ("torch", "transformers", "accelerate", "numpy", "scikit-learn")
    return {"nlp_transfer": __version__} | {name: version(name) for name in names}


def surroundings() -> dict[str, Any]:
    """What may change, and may change the last digits of a sum: versions, and how many threads share it."""
    return {**versions(), "threads": torch.get_num_threads()}


def say_what_differs(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """A line of the log where the surroundings have changed."""
    changed = [f"{name} {then[name]}, now {now[name]}" for name in now if name in then and then[name] != now[name]]
    if changed:
        log.info("The run began with %s: what it comes to may differ in the last digits.", "; ".join(changed))


def content(value: Any) -> Any:
    """A digest of what a file holds, for the path of one; any other value as it is."""
    if isinstance(value, str | os.PathLike) and Path(value).is_file():
        digest = hashlib.blake2b(digest_size=16)
        _add(digest, Path(value))
        return f"#{digest.hexdigest()}"
    return value


def files_of(source: Path) -> str:
    """A digest of the files of a model's folder, weights and tokenizer; of a hub id there is nothing to read."""
    digest = hashlib.blake2b(str(source).encode() if not source.is_dir() else b"", digest_size=16)
    for path in sorted(path for path in source.rglob("*") if path.suffix in _OF_MODELS):
        digest.update(path.name.encode())
        _add(digest, path)
    return f"#{digest.hexdigest()}"


def _add(digest: hashlib.blake2b, path: Path) -> None:
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)
