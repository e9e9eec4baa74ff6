"""The check that a saved model opens again, in a fresh process, and gives the logits of the trained one."""

from __future__ import annotations

import contextlib
import inspect
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset

import nlp_transfer.run.fresh_process
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.encoders.pooling.pooled_config import PooledConfig
from nlp_transfer.encoders.pretrained import Checkpoint
from nlp_transfer.errors import ModelError
from nlp_transfer.heads import HEADS
from nlp_transfer.models.adapters.adapter import base_of, holds_adapter
from nlp_transfer.models.transfer_model import TransferModel, model_folder
from nlp_transfer.system.pickles import refuse_pickles

ROWS = 32
"""Rows whose logits are kept beside a model."""

TOLERANCE = {"no": 1e-4}
"""The largest difference of a logit that is still the same model, by the precision it was trained in; else 1e-2."""

_RUN_FILE = "transfer.json"


@dataclass(frozen=True)
class Verified:
    """A saved model said the same of `rows` rows as the trained one, up to `difference` in the largest logit."""

    rows: int
    difference: float
    tolerance: float

    def __str__(self) -> str:
        return (
            f"The saved model gives the trained model's logits of {self.rows} row{'s' * (self.rows != 1)} in a fresh "
            f"process: the largest difference is {self.difference:.1e} ({self.tolerance:.0e} is allowed)."
        )


def reference_logits(model: TransferModel, rows: Dataset, precision: str = "no") -> dict[str, Any]:
    """Token ids and logits of `ROWS` rows, spread over `rows`, with what it takes to ask a saved model the same.

    Plain JSON values. Logits are fp32 and unrounded, `(labels,)`, or `(tokens, labels)` where each token has some;
    a long text has several. `precision` is what the model was trained in.
    """
    places = np.unique(np.linspace(0, len(rows) - 1, ROWS).round().astype(int)).tolist()
    chosen = rows.select(places)
    inputs = TokenInputs(model.encode(chosen), model.pad_id)
    network = model.network
    device, was_training = next(network.parameters()).device, network.training
    found = []
    network.eval()
    try:
        with torch.inference_mode():
            for place, row in enumerate(inputs.features["row"]):
                batch = {k: v.to(device) for k, v in inputs.batch([place]).items() if k != "labels"}
                logits = network(**batch).logits[0].float().cpu().tolist()
                found.append(
                    {"row": places[row], "inputs": {k: v[0].tolist() for k, v in batch.items()}, "logits": logits}
                )
    finally:
        network.train(was_training)
    return {
        "auto_class": model.head.auto_class,
        "ours": isinstance(network.config, PooledConfig),
        "trust_remote_code": bool(model.checkpoint and model.checkpoint.trust_remote_code),
        "tolerance": TOLERANCE.get(precision, 1e-2),
        "rows": found,
    }


def verify_saved(folder: str | Path, kept: dict[str, Any]) -> Verified:
    """Open a saved model in a fresh process, with transformers alone (PEFT for an adapter), and ask it of `kept`.

    Raises ModelError where it does not open there, or where a logit differs by more than the tolerance.
    """
    with verifying(folder, kept) as verified:
        return verified()


@contextlib.contextmanager
def verifying(folder: str | Path, kept: dict[str, Any]) -> Iterator[Callable[[], Verified]]:
    """`verify_saved` beside what is done inside: what this gives waits for the fresh process, and is called once."""
    ours = Path(nlp_transfer.__file__).parent.parent
    asked = {name: kept[name] for name in ("auto_class", "trust_remote_code")} | {
        "folder": str(Path(folder).resolve()),
        "ours": str(ours) if kept["ours"] else None,
        "base": _base(Path(folder), kept["trust_remote_code"]),
        "inputs": [witness["inputs"] for witness in kept["rows"]],
    }
    with _fresh_process(asked) as answers:
        yield lambda: _compared(folder, kept, answers())


def _base(folder: Path, trust_remote_code: bool) -> dict[str, str | None] | None:
    """Where the weights are that an adapter stands on: of the bundled encoder, which it names by its hub id, here."""
    if not holds_adapter(folder):
        return None
    name, revision = base_of(folder)
    source = Checkpoint.find(name, revision=revision, trust_remote_code=trust_remote_code).source
    return {"source": source, "revision": revision}


def _compared(folder: str | Path, kept: dict[str, Any], logits: Sequence[Any]) -> Verified:
    difference = max(_differences(kept["rows"], logits))
    if not difference <= kept["tolerance"]:  # a NaN is no less
        raise ModelError(
            f"{folder}: the saved model is not the trained one: a logit differs by {difference:.2g}, allowed is "
            f"{kept['tolerance']:.0e} (transformers {_installed()}); train again, and report it if it stays so."
        )
    return Verified(len({witness["row"] for witness in kept["rows"]}), difference, kept["tolerance"])


def verify_run(name_or_path: str | Path, *, trust_remote_code: bool = False) -> Verified:
    """Ask the model of a run, or the `model/` in it, again what it was asked when it was saved.

    What lies in the folder runs no code, unless the run says that its model has some and `trust_remote_code` allows it.
    Raises ModelError where no run is there, where it would run code, or where the model says something else.
    """
    model = Path(model_folder(name_or_path))
    run = next((place for place in (model, model.parent) if (place / _RUN_FILE).is_file()), None)
    if run is None:
        raise ModelError(f"{name_or_path} holds no {_RUN_FILE} with logits to compare; give the folder of a run.")
    try:
        kept = json.loads((run / _RUN_FILE).read_text(encoding="utf-8"))["verification"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{run / _RUN_FILE} holds no logits to compare; the run was not written to its end."
        ) from error
    refuse_pickles(model, "; give a folder without it, or remove it.", of_torch=False)
    if kept["auto_class"] not in {head.auto_class for head in HEADS.values()}:
        raise ModelError(
            f"{run / _RUN_FILE} names {kept['auto_class']} to open the model, which no run of ours writes."
        )
    if kept["trust_remote_code"] and not trust_remote_code:
        raise ModelError(
            f"{model} runs code of its own; read that code, then allow it with --trust_remote_code (in Python "
            f"trust_remote_code=True)."
        )
    return verify_saved(model, kept)


@contextlib.contextmanager
def _fresh_process(asked: dict[str, Any]) -> Iterator[Callable[[], list[Any]]]:
    """A process that finds answers to what is `asked`; what it gives waits for them. It does not outlive the block."""
    # Else the folder that the user is in comes first: a tokenize.py there would be taken for Python's own.
    elsewhere = "import sys; sys.path[:] = [place for place in sys.path if place]\n"
    script = elsewhere + inspect.getsource(nlp_transfer.run.fresh_process)
    with tempfile.TemporaryFile("w+") as question:
        json.dump(asked, question)
        question.seek(0)
        pipe = subprocess.PIPE
        child = subprocess.Popen([sys.executable, "-c", script], stdin=question, stdout=pipe, stderr=pipe, text=True)

    def answers() -> list[Any]:
        said, complaint = child.communicate()
        if child.returncode:
            reason = (complaint.strip().splitlines() or ["it gave no reason"])[-1]
            raise ModelError(
                f"{asked['folder']} does not open in a fresh process with transformers {_installed()}: {reason}"
            )
        return list(json.loads(said.splitlines()[-1]))

    with child:
        try:
            yield answers
        finally:
            child.kill()


def _differences(kept: Sequence[dict[str, Any]], logits: Sequence[Any]) -> list[float]:
    found = []
    for witness, said in zip(kept, logits, strict=True):
        then, now = np.asarray(witness["logits"]), np.asarray(said)
        found.append(float(np.abs(then - now).max()) if then.shape == now.shape else float("inf"))
    return found


def _installed() -> str:
    return version("transformers")
