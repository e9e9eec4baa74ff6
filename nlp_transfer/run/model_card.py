"""The model card of a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from nlp_transfer.data.splits import Splits
from nlp_transfer.encoders.pooling.pooled_network import PooledClassifier
from nlp_transfer.evaluation.evaluate_run import MOST_BASELINE_ROWS, Report, baseline_rows_note
from nlp_transfer.heads.span_pipeline import SpanPipeline
from nlp_transfer.models.adapters.adapter import Adapter
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.run.verify_entities import Entities, is_ours, opens_in_pipeline
from nlp_transfer.system.text import inline_code


def model_card(
    model: TransferModel, splits: Splits, report: Report, base: str | None = None, entities: Entities | None = None
) -> str:
    """The model card: description, scores of the model and the baselines, data, and how to load the model.

    `base` is the checkpoint that was fine-tuned, `entities` what a pipeline of transformers found when the run was
    verified.
    """
    return "\n".join(
        [
            *_front_matter(model),
            *_description(model, report, base),
            *_scores(report, len(splits.train.data)),
            *_data(splits),
            *_loading(model, entities),
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
    if report.split:
        names, lines = report.compared()
        yield f"## Scores on the {report.split} split ({report.rows:,} rows)"
        yield ""
        yield from _table(["", *names], [[name, *(f"{score:.4f}" for score in scores)] for name, scores in lines])
    else:
        yield "## Scores"
        yield ""
        yield "None: there were no rows with labels to score it on."
    yield ""
    if expected := report.run.label_free:
        yield from label_free_sentences(expected)
        yield ""
        return
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


def label_free_sentences(expected: Mapping[str, float]) -> Iterator[str]:
    """How a model was learned without labels, and what it is expected to be worth, as lines of Markdown."""
    share, chance = expected["expected_accuracy"], expected["chance"]
    yield "The encoder is the pretrained one, unchanged. The classifier on it was learned from texts that say what the"
    yield "labels mean and from raw texts, without a labelled row. From how far two halves of what it saw agree, it is"
    yield f"expected to give about {share:.0%} of texts the right label, where chance is {chance:.0%}; probabilities"
    yield "are scaled to say no more than that."
    if not expected["tells_labels_apart"]:
        yield ""
        yield "**The encoder hardly tells these labels apart: check predictions before relying on any.**"


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


def _loading(model: TransferModel, entities: Entities | None) -> Iterator[str]:
    spans = model.head.span_pipeline(model.tokenizer)
    yield "## How to load it"
    yield ""
    if spans and opens_in_pipeline(model) and (spans.strategy is None or (entities and entities.differing)):
        yield from _loading_with_us(model, spans, entities)
    else:
        yield from _code(_loading_in_pipeline(model, spans))
        if spans and opens_in_pipeline(model):
            yield from _on_entities(spans, entities)
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


def _code(lines: Iterable[str]) -> Iterator[str]:
    yield from ("```python", *lines, "```", "")


def _loading_in_pipeline(model: TransferModel, spans: SpanPipeline | None) -> Iterator[str]:
    options = spans.options if spans else model.head.pipeline_options
    call = spans.call if spans else model.head.pipeline_call()
    if not opens_in_pipeline(model):
        yield "import nlp_transfer  # loads the adapter onto its base, with a head that PEFT cannot load"
        yield ""
        yield 'nlp_transfer.TransferModel.load("model").predict(["Some text."])  # the folder with adapter_config.json'
        return
    yield from spans.imports if spans else ()
    if model.adapter and not model.adapter.is_merged:
        yield from _network_with_peft(model, model.adapter)
        source = "model=network, tokenizer=AutoTokenizer.from_pretrained(folder)"
        yield f'pipe = pipeline("{model.head.pipeline_tag}", {source}{options})'
    else:
        yield "from transformers import pipeline"
        if is_ours(model):
            yield "import nlp_transfer  # registers the head, which is not one of transformers' own"
        yield ""
        arguments = f'model="model"{options}'
        yield f'pipe = pipeline("{model.head.pipeline_tag}", {arguments})  # the folder with config.json'
    yield call


def _network_with_peft(model: TransferModel, adapter: Adapter) -> Iterator[str]:
    auto = model.head.auto_class
    yield "from peft import PeftModel"
    yield f"from transformers import AutoConfig, {auto}, AutoTokenizer, pipeline"
    yield ""
    yield 'folder = "model"  # the folder with adapter_config.json'
    yield f"base = {json.dumps(_public(adapter.base.public_name))}  # the checkpoint that was fine-tuned"
    yield f"network = {auto}.from_pretrained(base, config=AutoConfig.from_pretrained(folder))"
    yield "network = PeftModel.from_pretrained(network, folder)"


def _loading_with_us(model: TransferModel, spans: SpanPipeline, entities: Entities | None) -> Iterator[str]:
    if spans.strategy is None or not entities:
        yield f"No setting of `transformers.pipeline` finds the entities of this model: {spans.because}."
    else:
        yield f"In {entities.differing} of the {entities.texts} texts with which the run was verified"
        setting = inline_code(spans.options.removeprefix(", "))
        yield f"`transformers.pipeline` finds other entities, even with {setting}: it takes the"
        yield "likeliest tag of each word by itself, and not the likeliest ones that may follow each other."
    yield "This finds them:"
    yield ""
    kind = "adapter_config.json" if model.adapter and not model.adapter.is_merged else "config.json"
    yield from _code(
        [
            "import nlp_transfer",
            "",
            f'model = nlp_transfer.TransferModel.load("model")  # the folder with {kind}',
            'model.predict(["Some text."])[0].spans',
        ]
    )


def _on_entities(spans: SpanPipeline, entities: Entities | None) -> Iterator[str]:
    if spans.takes_words:
        yield f"The pipeline is given words: of a whole text {spans.because}."
        yield "`start` and `end` count in the words joined by blanks."
    if entities:
        yield f"In the {entities.texts} texts with which the run was verified it finds the {entities.found:,} entities"
        yield "that nlp_transfer finds."
    if spans.takes_words or entities:
        yield ""


def _table(heading: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    for cells in (heading, ["---"] * len(heading), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _public(name: str) -> str:
    """A hub id as it is; of a local path the last part, as the others are private and of no use elsewhere."""
    return Path(name).name if Path(name).exists() else name
