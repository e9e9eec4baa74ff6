"""The model card of a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from nlp_transfer.data.splits import Splits
from nlp_transfer.encoders.pooling.pooled_network import PooledClassifier
from nlp_transfer.evaluation.evaluate_run import MOST_BASELINE_ROWS, Report, baseline_rows_note
from nlp_transfer.models.adapters.adapter import Adapter
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.system.text import inline_code


def model_card(model: TransferModel, splits: Splits, report: Report, base: str | None = None) -> str:
    """The model card: description, scores of the model and the baselines, data, and how to load the model.

    `base` is the checkpoint that was fine-tuned.
    """
    return "\n".join(
        [
            *_front_matter(model),
            *_description(model, report, base),
            *_scores(report, len(splits.train.data)),
            *_data(splits),
            *_loading(model),
        ]
    )


def _front_matter(model: TransferModel) -> Iterator[str]:
    library = "peft" if model.adapter and not model.adapter.is_merged else "transformers"
    yield from ("---", f"library_name: {library}", f"pipeline_tag: {model.head.pipeline_tag}")
    yield from ("tags:", "- nlp_transfer", "---", "")


def _description(model: TransferModel, report: Report, base: str | None) -> Iterator[str]:
    encoder = model.encoder
    yield f"# {report.task} on {encoder.family} ({encoder.depth} layers, width {encoder.width})"
    yield ""
    if base:
        yield f"Fine-tuned from {inline_code(_public(base))}."
    yield from model.head.describe()
    if calibration := model.head.describe_calibration():
        yield from ("", *calibration)
    yield ""


def _scores(report: Report, training_rows: int) -> Iterator[str]:
    names, lines = report.compared()
    yield f"## Scores on the {report.split} split ({report.rows:,} rows)"
    yield ""
    yield from _table(["", *names], [[name, *(f"{score:.4f}" for score in scores)] for name, scores in lines])
    yield ""
    if training_rows > MOST_BASELINE_ROWS:
        yield baseline_rows_note(training_rows)
        yield ""
    if not report.run.steps:
        yield "The encoder is the pretrained one, unchanged; the classifier on it was fitted to all training rows."
        yield ""
        return
    if report.run.best_epoch is not None:
        metric = inline_code(report.run.metric)
        yield f"The weights are those with the best {metric} on the validation split; ties go to the lowest loss."
    else:
        yield "No rows were held out to select the best epoch: the weights are those of the last step."
    if report.split == "validation":
        yield "There was no test split, so the scores are those of the rows that selected the weights: expect lower"
        yield "ones on other data."
    yield ""


def _data(splits: Splits) -> Iterator[str]:
    parts = (("train", splits.train), ("validation", splits.validation), ("test", splits.test))
    yield "## Data"
    yield ""
    yield from _table(
        ["split", "rows", "source", "SHA-256 of the rows"],
        [
            [name, f"{len(rows.data):,}", inline_code(_public(rows.source)), inline_code(rows.sha256[:16])]
            for name, rows in parts
            if rows is not None
        ],
    )
    yield ""


def _loading(model: TransferModel) -> Iterator[str]:
    ours = type(model.network).__module__.startswith("nlp_transfer.")
    yield "## How to load it"
    yield ""
    yield "```python"
    if model.adapter and not model.adapter.is_merged:
        yield from _loading_with_peft(model, model.adapter, ours)
    else:
        yield "from transformers import pipeline"
        if ours:
            yield "import nlp_transfer  # registers the head, which is not one of transformers' own"
        yield ""
        arguments = f'model="model"{model.head.pipeline_options}'
        yield f'pipe = pipeline("{model.head.pipeline_tag}", {arguments})  # the folder with config.json'
        yield model.head.pipeline_call()
    yield "```"
    yield ""
    if isinstance(model.network, PooledClassifier) and not (model.adapter and not model.adapter.is_merged):
        yield "Without nlp_transfer, `trust_remote_code=True` in place of its import opens the model too: its network"
        yield "is in the folder, in pooled_network.py."
        yield ""
    if model.adapter and model.adapter.is_merged:
        yield f"The trained {model.adapter.kind} adapter is merged into these weights. `adapter/` in the run's folder"
        yield "holds the adapter alone: `nlp_transfer.TransferModel.load` and PEFT load it onto its base,"
        yield f"{inline_code(_public(model.adapter.base.public_name))}."
        yield ""
    yield from model.head.describe_long_texts(model.max_length)
    yield ""


def _loading_with_peft(model: TransferModel, adapter: Adapter, ours: bool) -> Iterator[str]:
    if ours or adapter.is_prompt:
        yield "import nlp_transfer  # loads the adapter onto its base, with a head that PEFT cannot load"
        yield ""
        yield 'nlp_transfer.TransferModel.load("model").predict(["Some text."])  # the folder with adapter_config.json'
        return
    auto = model.head.auto_class
    yield "from peft import PeftModel"
    yield f"from transformers import AutoConfig, {auto}, AutoTokenizer, pipeline"
    yield ""
    yield 'folder = "model"  # the folder with adapter_config.json'
    yield f"base = {json.dumps(_public(adapter.base.public_name))}  # the checkpoint that was fine-tuned"
    yield f"network = {auto}.from_pretrained(base, config=AutoConfig.from_pretrained(folder))"
    yield "network = PeftModel.from_pretrained(network, folder)"
    tokenizer = "tokenizer=AutoTokenizer.from_pretrained(folder)"
    yield f'pipe = pipeline("{model.head.pipeline_tag}", model=network, {tokenizer}{model.head.pipeline_options})'
    yield model.head.pipeline_call()


def _table(heading: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    for cells in (heading, ["---"] * len(heading), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _public(name: str) -> str:
    """A hub id as it is; of a local path the last part, as the others are private and of no use elsewhere."""
    return Path(name).name if Path(name).exists() else name
