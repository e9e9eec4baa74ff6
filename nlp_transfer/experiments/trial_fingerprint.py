"""The fingerprint of trials: what two trials of the same name have to share to have the same result."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nlp_transfer.config import ModelOptions
from nlp_transfer.data.splits import Splits
from nlp_transfer.encoders.pretrained import Checkpoint
from nlp_transfer.experiments.candidates import Candidate
from nlp_transfer.experiments.trial import TrialSetup
from nlp_transfer.system import hardware
from nlp_transfer.training.checkpointing.fingerprint import Identity, content, files_of, head_and_rows

_FREE = ("seed", "logging_steps", "report_to", "verify", "checkpoint_every", "keep_checkpoints",
         "metric_for_best_model", "processes")  # fmt: skip


def fingerprint(
    setup: TrialSetup,
    splits: Splits,
    candidates: Iterable[Candidate] = (),
    *,
    groups: Iterable[Any] = (),
    metric_option: str = "metric",
) -> Identity:
    """All but the name of a trial that its result depends on, by the names that a user knows; digests follow a #.

    Of files that options of candidates, or of other `groups` of options, name it holds the content. `metric_option` is
    the option that names the score. The weights of the encoders: `encoder_weights`.
    """
    training, model = setup.training, setup.model
    identity: Identity = {f"--{name}": value for name, value in vars(training).items() if name not in _FREE}
    identity["--mixed_precision"] = hardware.precision(training.mixed_precision)  # what `auto` comes to here
    identity[f"--{metric_option}"] = setup.metric
    identity |= head_and_rows(setup.head, splits, setup.cache)
    identity |= {f"--{name}": getattr(model, name) for name in ("max_length", "model_revision", "keep_head")}
    identity |= {f"--{name}": content(value) for group in groups for name, value in vars(group).items()}
    for candidate in candidates:
        contents = {option: (value, content(value)) for option, value in candidate.options}
        identity |= {f"--{o} of {candidate.name}": held for o, (value, held) in contents.items() if held != value}
    return as_json(identity)


def encoder_weights(encoder: str, model: ModelOptions) -> Identity:
    """A digest of the weights and the tokenizer of an encoder. Raises ModelError where it cannot be loaded."""
    checkpoint = Checkpoint.find(encoder, revision=model.model_revision, trust_remote_code=model.trust_remote_code)
    return {f"the weights of {encoder}": files_of(Path(checkpoint.source))}


def as_json(identity: Mapping[str, Any]) -> Identity:
    """What reading it back from a JSON file gives."""
    values: Identity = json.loads(json.dumps(identity, default=str))
    return values
