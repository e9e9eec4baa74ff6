"""What does a stranger need to know of this model?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from nlp_transfer.data.splits import Splits
from nlp_transfer.heads import NERHead, TextClassificationHead
from nlp_transfer.model import TransferModel
from nlp_transfer.report import Report


def model_card(model: TransferModel, splits: Splits, report: Report, base: str | None = None) -> str:
    """The model card: what it is, how it scored beside the baselines, on which data, and how to load it.

    `base` names the checkpoint that was fine-tuned.
    """
    return "\n".join(
        [*_front_matter(model), *_what_it_is(model, report, base), *_scores(report), *_data(splits), *_loading(model)]
    )


def _front_matter(model: TransferModel) -> Iterator[str]:
    yield from ("---", "library_name: transformers", f"pipeline_tag: {_pipeline(model)}")
    yield from ("tags:", "- nlp_transfer", "---", "")


def _what_it_is(model: TransferModel, report: Report, base: str | None) -> Iterator[str]:
    encoder = model.encoder
    yield f"# {report.task} on {encoder.family} ({encoder.depth} layers, width {encoder.width})"
    yield ""
    if base:
        yield f"Fine-tuned from {_code(_public(base))}."
    yield f"Labels, in the order of their ids: {', '.join(_code(name) for name in model.head.labels)}."
    yield ""


def _scores(report: Report) -> Iterator[str]:
    names, lines = report.compared()
    yield f"## Scores on the {report.split} split ({report.rows:,} rows)"
    yield ""
    yield from _table(["", *names], [[name, *(f"{score:.4f}" for score in scores)] for name, scores in lines])
    yield ""
    if report.run.best_epoch is not None:
        yield f"The weights are those of the first best {_code(report.run.metric)} on the validation split."
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
    yield "## How to load it"
    yield ""
    yield "```python"
    yield "from transformers import pipeline"
    if isinstance(model.head, TextClassificationHead) and not model.head.is_native:
        yield "import nlp_transfer  # this head is not one of transformers' own, and needs this one import"
    yield ""
    # The first subword of a word is what was trained; other strategies mix in subwords that were not.
    how = ', aggregation_strategy="first"' if isinstance(model.head, NERHead) else ""
    yield f'ask = pipeline("{_pipeline(model)}", model="model"{how})  # the folder with config.json'
    yield 'ask("Some text.")' if isinstance(model.head, NERHead) else 'ask("Some text.", truncation=True)'
    yield "```"
    yield ""
    if isinstance(model.head, NERHead):
        yield f"Texts of more than {model.max_length} tokens are read in overlapping windows by nlp_transfer:"
        yield '`nlp_transfer.TransferModel.load("model").predict(["Some text."])`.'
    else:
        yield f"Texts are cut after {model.max_length} tokens."
    yield ""


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
