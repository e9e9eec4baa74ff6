"""What does a stranger need to know of this model?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from nlp_transfer.data.splits import Splits
from nlp_transfer.evaluation.evaluate_run import MOST_BASELINE_ROWS, Report, baselines_saw
from nlp_transfer.heads import MultiLabelHead, NERHead, RegressionHead, TaskHead, TextHead
from nlp_transfer.models.adapters.adapter import Adapter
from nlp_transfer.models.transfer_model import TransferModel


def model_card(model: TransferModel, splits: Splits, report: Report, base: str | None = None) -> str:
    """The model card: what it is, how it scored beside the baselines, on which data, and how to load it.

    `base` names the checkpoint that was fine-tuned.
    """
    return "\n".join(
        [
            *_front_matter(model),
            *_what_it_is(model, report, base),
            *_scores(report, len(splits.train.data)),
            *_data(splits),
            *_loading(model),
        ]
    )


def _front_matter(model: TransferModel) -> Iterator[str]:
    library = "peft" if model.adapter and not model.adapter.is_merged else "transformers"
    yield from ("---", f"library_name: {library}", f"pipeline_tag: {_pipeline(model)}")
    yield from ("tags:", "- nlp_transfer", "---", "")


def _what_it_is(model: TransferModel, report: Report, base: str | None) -> Iterator[str]:
    encoder = model.encoder
    yield f"# {report.task} on {encoder.family} ({encoder.depth} layers, width {encoder.width})"
    yield ""
    if base:
        yield f"Fine-tuned from {_code(_public(base))}."
    if isinstance(model.head, RegressionHead):
        yield f"It gives each text a number, {_code(model.head.labels.names[0])}."
    else:
        yield f"Labels, in the order of their ids: {', '.join(_code(name) for name in model.head.labels)}."
    if isinstance(model.head, MultiLabelHead):
        least = (f"{_code(name)} {threshold:.3f}" for name, threshold in model.head.thresholds.items())
        yield "A text has every label that is at least as likely as its threshold, chosen on the validation rows: "
        yield f"{', '.join(least)}."
    if not isinstance(model.head, RegressionHead):
        yield ""
        yield from _calibration(model.head)
    yield ""


def _calibration(head: TaskHead) -> Iterator[str]:
    """What other tools have to do for probabilities to mean what they say."""
    if not head.calibration():
        yield "Probabilities are what these weights give as they are: they are not calibrated."
        return
    yield "Probabilities of `nlp_transfer.TransferModel.predict` are calibrated on the validation rows; those of other"
    yield "tools, `transformers.pipeline` among them, are not: they are what these weights give as they are, with the"
    if isinstance(head, MultiLabelHead):
        yield "same labels. `scaling` in `config.json` holds a and b of each label, whose calibrated probability is"
        yield "sigmoid(a * logit + b)."
    else:
        yield f"same labels. Divide logits by {head.calibration()['temperature']:.4f} to calibrate them."


def _scores(report: Report, training_rows: int) -> Iterator[str]:
    names, lines = report.compared()
    yield f"## Scores on the {report.split} split ({report.rows:,} rows)"
    yield ""
    yield from _table(["", *names], [[name, *(f"{score:.4f}" for score in scores)] for name, scores in lines])
    yield ""
    if training_rows > MOST_BASELINE_ROWS:
        yield baselines_saw(training_rows)
        yield ""
    if not report.run.steps:
        yield "The encoder is as it was pretrained; the classifier on it was fitted to all training rows at once."
        yield ""
        return
    if report.run.best_epoch is not None:
        metric = _code(report.run.metric)
        yield f"The weights are those of the best {metric} on the validation split, and of several the least loss."
    else:
        yield "No rows were held out to choose an epoch by: the weights are those of the last step."
    if report.split == "validation":
        yield "There was no test split, so these scores are of the rows that chose the weights: expect less on others."
    yield ""


def _data(splits: Splits) -> Iterator[str]:
    parts = (("train", splits.train), ("validation", splits.validation), ("test", splits.test))
    yield "## Data"
    yield ""
    yield from _table(
        ["split", "rows", "source", "SHA-256 of the rows"],
        [
            [name, f"{len(rows.data):,}", _code(_public(rows.source)), _code(rows.sha256[:16])]
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
            yield "import nlp_transfer  # this head is not one of transformers' own, and needs this one import"
        yield ""
        yield f'ask = pipeline("{_pipeline(model)}", model="model"{_how(model)})  # the folder with config.json'
        yield _asking(model)
    yield "```"
    yield ""
    if model.adapter and model.adapter.is_merged:
        yield f"The {model.adapter.kind} adapter that was trained is merged into these weights. In the run's folder"
        yield "`adapter/` holds it alone: `nlp_transfer.TransferModel.load` and PEFT put it on its base,"
        yield f"{_code(_public(model.adapter.base.public_name))}."
        yield ""
    if not isinstance(model.head, TextHead):
        yield f"Texts of more than {model.max_length} tokens are read in overlapping windows by nlp_transfer:"
        yield '`nlp_transfer.TransferModel.load("model").predict(["Some text."])`.'
    else:
        yield _LONG_TEXTS[model.head.long_texts].format(model.max_length)
    yield ""


_LONG_TEXTS = {
    "truncate": "Texts are cut after {} tokens.",
    "head_tail": "Of texts of more than {} tokens nlp_transfer reads the first and the last ones.",
    "window": "Texts of more than {} tokens are read in overlapping windows by nlp_transfer, which pools their logits.",
}


def _loading_with_peft(model: TransferModel, adapter: Adapter, ours: bool) -> Iterator[str]:
    if ours or adapter.is_prompt:
        yield "import nlp_transfer  # puts the adapter on its base, with a head that PEFT does not make"
        yield ""
        yield 'nlp_transfer.TransferModel.load("model").predict(["Some text."])  # the folder with adapter_config.json'
        return
    auto = (
        "AutoModelForTokenClassification" if isinstance(model.head, NERHead) else "AutoModelForSequenceClassification"
    )
    yield "from peft import PeftModel"
    yield f"from transformers import AutoConfig, {auto}, AutoTokenizer, pipeline"
    yield ""
    yield 'folder = "model"  # the folder with adapter_config.json'
    yield f"base = {json.dumps(_public(adapter.base.public_name))}  # the checkpoint that the adapter stands on"
    yield f"network = {auto}.from_pretrained(base, config=AutoConfig.from_pretrained(folder))"
    yield "network = PeftModel.from_pretrained(network, folder)"
    tokenizer = "tokenizer=AutoTokenizer.from_pretrained(folder)"
    yield f'ask = pipeline("{_pipeline(model)}", model=network, {tokenizer}{_how(model)})'
    yield _asking(model)


def _how(model: TransferModel) -> str:
    # The first subword of a word is what was trained; other strategies mix in subwords that were not.
    return ', aggregation_strategy="first"' if isinstance(model.head, NERHead) else ""


def _asking(model: TransferModel) -> str:
    if isinstance(model.head, NERHead):
        return 'ask("Some text.")'
    several = ", top_k=None" if isinstance(model.head, MultiLabelHead) else ""  # else the likeliest one alone
    if isinstance(model.head, TextHead) and model.head.pairs:
        return f'ask({{"text": "Some text.", "text_pair": "Its second text."}}, truncation=True{several})'
    return f'ask("Some text.", truncation=True{several})'


def _pipeline(model: TransferModel) -> str:
    return "token-classification" if isinstance(model.head, NERHead) else "text-classification"


def _table(heading: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    for cells in (heading, ["---"] * len(heading), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _public(name: str) -> str:
    """A hub id as it is; of a path on this machine the last part, which is all that means anything elsewhere."""
    return Path(name).name if Path(name).exists() else name


def _code(text: str) -> str:
    """Text as inline code, in which Markdown reads neither HTML nor links; a longer fence holds backticks."""
    line = " ".join(text.split())
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence, room = "`" * (longest + 1), " " * (longest > 0)
    return f"{fence}{room}{line}{room}{fence}"
