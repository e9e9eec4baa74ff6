"""Verification of a saved model: in a fresh process it gives the logits of the trained one, and the entities."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.encoders.pooling.pooled_config import PooledConfig
from nlp_transfer.encoders.pretrained import Checkpoint
from nlp_transfer.errors import ModelError
from nlp_transfer.heads import HEADS
from nlp_transfer.models.adapters.adapter import base_of, holds_adapter
from nlp_transfer.models.transfer_model import TransferModel, model_folder
from nlp_transfer.run import waiting_process
from nlp_transfer.run.verify_entities import Entities, compared_entities, entities_request, reference_entities
from nlp_transfer.system.pickles import refuse_pickles

ROWS = 32
"""Most rows with reference logits in transfer.json."""

TOLERANCE = {"no": 1e-4}
"""The largest allowed difference of a logit, by the precision of the training; by default 1e-2."""

_RUN_FILE = "transfer.json"


@dataclass(frozen=True)
class Verification:
    """A saved model whose logits on `rows` rows are those of the trained one, up to `difference`.

    `entities` is what a pipeline of transformers found, where one was asked for entities.
    """

    rows: int
    difference: float
    tolerance: float
    entities: Entities | None = None

    def __str__(self) -> str:
        logits = (
            f"The saved model gives the trained model's logits of {self.rows} row{'s' * (self.rows != 1)} in a fresh "
            f"process: the largest difference is {self.difference:.1e} ({self.tolerance:.0e} is allowed)."
        )
        return f"{logits} {self.entities}" if self.entities else logits


def reference_logits(model: TransferModel, rows: Dataset, precision: str = "no") -> dict[str, Any]:
    """Inputs and logits of `ROWS` rows, spread over `rows`, and how to load a saved model for a comparison.

    Plain JSON values. Logits are fp32 and unrounded, `(labels,)`, or `(tokens, labels)` of a tagger; windows of a long
    text have an entry each. `pipeline` holds the entities of these rows, where a pipeline is to find them
    (`reference_entities`). `precision` is that of the training.
    """
    places = np.unique(np.linspace(0, len(rows) - 1, ROWS).round().astype(int)).tolist()
    chosen = rows.select(places)
    inputs = TokenInputs(model.encode(chosen), model.pad_id)
    network = model.network
    device, was_training = next(network.parameters()).device, network.training
    references = []
    network.eval()
    try:
        with torch.inference_mode():
            for place, row in enumerate(inputs.features["row"]):
                batch = {k: v.to(device) for k, v in inputs.batch([place]).items() if k != "labels"}
                logits = network(**batch).logits[0].float().cpu().tolist()
                references.append(
                    {"row": places[row], "inputs": {k: v[0].tolist() for k, v in batch.items()}, "logits": logits}
                )
    finally:
        network.train(was_training)
    return {
        "auto_class": model.head.auto_class,
        "ours": isinstance(network.config, PooledConfig),
        "trust_remote_code": bool(model.checkpoint and model.checkpoint.trust_remote_code),
        "tolerance": TOLERANCE.get(precision, 1e-2),
        "rows": references,
        "pipeline": reference_entities(model, chosen),
    }


def verify_saved(folder: str | Path, reference: dict[str, Any]) -> Verification:
    """Load a saved model in a fresh process, with transformers alone (PEFT for an adapter), and compare its logits.

    `reference` is what `reference_logits` returned. Raises ModelError if the model cannot be loaded there, or if a
    logit differs by more than the tolerance.
    """
    with verify_in_background(folder, reference) as verification:
        return verification()


@contextlib.contextmanager
def verify_in_background(folder: str | Path, reference: dict[str, Any]) -> Iterator[Callable[[], Verification]]:
    """`verify_saved` while the block runs: the function that it gives waits for the result, and is called once."""
    ours = Path(__file__).parents[2]
    request = {name: reference[name] for name in ("auto_class", "trust_remote_code")} | {
        "folder": str(Path(folder).resolve()),
        "ours": str(ours) if reference["ours"] else None,
        "base": _base(Path(folder), reference["trust_remote_code"]),
        "inputs": [row["inputs"] for row in reference["rows"]],
        "pipeline": entities_request(reference.get("pipeline")),  # earlier runs have none
    }
    with _fresh_process(request) as answers:
        yield lambda: _compare(folder, reference, answers())


def _base(folder: Path, trust_remote_code: bool) -> dict[str, str | None] | None:
    """The source of an adapter's base model; the bundled encoder, which it names by its hub id, is found locally."""
    if not holds_adapter(folder):
        return None
    name, revision = base_of(folder)
    source = Checkpoint.find(name, revision=revision, trust_remote_code=trust_remote_code).source
    return {"source": source, "revision": revision}


def _compare(folder: str | Path, reference: dict[str, Any], answers: Mapping[str, Any]) -> Verification:
    difference = max(_differences(reference["rows"], answers["logits"]))
    tolerance = reference["tolerance"]
    if not difference <= tolerance:  # true of NaN as well
        raise ModelError(
            f"{folder}: the saved model is not the trained one: a logit differs by {difference:.2g}, the tolerance is "
            f"{tolerance:.0e} (transformers {_installed()}); train again, and report it if that does not help."
        )
    pipeline = reference.get("pipeline")
    entities = compared_entities(pipeline, answers["entities"]) if pipeline else None
    return Verification(len({row["row"] for row in reference["rows"]}), difference, tolerance, entities)


def verify_run(name_or_path: str | Path, *, trust_remote_code: bool = False) -> Verification:
    """Load the saved model of a run, named by its folder or by `model/` in it, and compare it with the trained one.

    No code in the folder is run, unless the run says that its model needs some and `trust_remote_code` allows it.
    Raises ModelError if there is no run, if it would run code, if the logits differ, or if the call in the model card
    finds other entities.
    """
    model = Path(model_folder(name_or_path))
    run = next((folder for folder in (model, model.parent) if (folder / _RUN_FILE).is_file()), None)
    if run is None:
        raise ModelError(f"{name_or_path} holds no {_RUN_FILE} with reference logits; give the folder of a run.")
    try:
        reference = json.loads((run / _RUN_FILE).read_text(encoding="utf-8"))["verification"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{run / _RUN_FILE} holds no reference logits, so the run was not completed; train again."
        ) from error
    refuse_pickles(model, "; give a folder without it, or remove it.", of_torch=False)
    if reference["auto_class"] not in {head.auto_class for head in HEADS.values()}:
        raise ModelError(
            f"{run / _RUN_FILE} names {reference['auto_class']} to load the model, which no head uses; train again."
        )
    if reference["trust_remote_code"] and not trust_remote_code:
        raise ModelError(
            f"{model} runs code of its own; read that code, then allow it with --trust_remote_code (in Python "
            f"trust_remote_code=True)."
        )
    verification = verify_saved(model, reference)
    if verification.entities and verification.entities.differing:
        raise ModelError(
            f"{model}: the pipeline in its model card finds other entities than the model in "
            f"{verification.entities.differing} of {verification.entities.texts} texts (transformers {_installed()}); "
            f"predict with nlp_transfer, or with the transformers that it was trained with."
        )
    return verification


@contextlib.contextmanager
def _fresh_process(request: dict[str, Any]) -> Iterator[Callable[[], dict[str, Any]]]:
    """A process that answers `request`, and a function that waits for the answers; it ends with the block."""
    child = waiting_process.taken()
    with child, ThreadPoolExecutor(1) as thread:
        # In a thread: the process reads once its imports are done, and a pipe holds less than a request.
        answer = thread.submit(child.communicate, json.dumps(request))

        def answers() -> dict[str, Any]:
            stdout, stderr = answer.result()
            if child.returncode:
                reason = (stderr.strip().splitlines() or [f"exit status {child.returncode}"])[-1]
                raise ModelError(
                    f"{request['folder']} does not open in a fresh process with transformers {_installed()}: {reason}"
                )
            return dict(json.loads(stdout.splitlines()[-1]))

        try:
            yield answers
        finally:
            child.kill()


def _differences(references: Sequence[dict[str, Any]], logits: Sequence[Any]) -> list[float]:
    differences = []
    for reference, values in zip(references, logits, strict=True):
        trained, saved = np.asarray(reference["logits"]), np.asarray(values)
        differences.append(float(np.abs(trained - saved).max()) if trained.shape == saved.shape else float("inf"))
    return differences


def _installed() -> str:
    return version("transformers")
