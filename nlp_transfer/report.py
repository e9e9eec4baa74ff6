"""What does a run leave, so that others can judge, repeat and use it?"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from datasets import Dataset

from nlp_transfer.baselines import classification_baselines, gazetteer_baseline
from nlp_transfer.config import to_yaml
from nlp_transfer.data.schemes import convert
from nlp_transfer.data.splits import Splits
from nlp_transfer.heads import NERHead, SentimentHead, TextClassificationHead
from nlp_transfer.inference import infer
from nlp_transfer.model import TransferModel
from nlp_transfer.types import Prediction, RunResult, Scores, TagPrediction
from nlp_transfer.version import __version__

_BASELINE_NAMES = {"majority": "majority label", "tfidf_svm": "TF-IDF + linear SVM", "gazetteer": "gazetteer of train"}
_SHOWN = {
    "classification": ("accuracy", "macro_f1"),
    "sentiment": ("accuracy", "macro_f1", "mae_steps", "quadratic_kappa"),
    "ner": ("f1_strict", "precision_strict", "recall_strict", "f1_lenient"),
}


@dataclass(frozen=True)
class Report:
    """Scores of a trained model on each split, and of the baselines on the last of them."""

    task: str
    scores: Mapping[str, Scores]
    baselines: Mapping[str, Scores]
    predictions: Sequence[Any]
    references: Sequence[Any]
    split: str
    rows: int
    run: RunResult
    head: str = field(default="")

    def table(self) -> str:
        """The model beside the baselines, as plain text."""
        columns = _SHOWN[self.task]
        lines = [("model", self.scores[self.split])]
        lines += [(_BASELINE_NAMES[name], scores) for name, scores in self.baselines.items()]
        width = max(len(name) for name, _ in lines)
        heading = f"{self.split} ({self.rows:,} rows)"
        width = max(width, len(heading))
        text = [f"{heading:<{width}}  " + "  ".join(f"{column:>16}" for column in columns)]
        for name, scores in lines:
            text.append(f"{name:<{width}}  " + "  ".join(f"{scores[column]:>16.4f}" for column in columns))
        return "\n".join(text)


def evaluate_run(
    model: TransferModel, splits: Splits, run: RunResult, accelerator: Accelerator, batch_size: int = 64
) -> Report | None:
    """Score a trained model in fp32 on validation and, once, on test. None on every process but the first.

    The baselines are fitted on train and scored on test, or on validation where there is no test split.
    """
    scores = {}
    for name, rows in (("validation", splits.validation), ("test", splits.test)):
        if rows is None:
            continue
        outputs = infer(
            model.network,
            model.head,
            model.encode(rows.data),
            model.pad_id,
            batch_size=batch_size,
            accelerator=accelerator,
            progress=name,
        )
        if accelerator.is_main_process:
            columns = rows.data[:]
            scores[name] = model.head.evaluate(outputs, columns)
            predictions, references, split = model.head.decode(outputs, columns), model.head.references(columns), name
    if not accelerator.is_main_process:
        return None
    last = splits.test or splits.validation
    return Report(
        task=model.head.task,
        scores=scores,
        baselines=_baselines(model, splits.train.data, last.data),
        predictions=predictions,
        references=references,
        split=split,
        rows=len(last.data),
        run=run,
    )


def write_run(folder: Path, model: TransferModel, splits: Splits, report: Report, *options: Any) -> None:
    """Write what a run leaves: `model/`, transfer.json, metrics.json, predictions.jsonl, README.md, options.yaml."""
    model.save(folder / "model")
    _write_json(folder / "metrics.json", _metrics(report))
    _write_json(folder / "transfer.json", _transfer(model, splits, report, options))
    with open(folder / "predictions.jsonl", "w", encoding="utf-8") as file:
        for row, (gold, predicted) in enumerate(zip(report.references, report.predictions, strict=True)):
            file.write(json.dumps(_prediction(row, gold, predicted), ensure_ascii=False) + "\n")
    (folder / "options.yaml").write_text(to_yaml(*options), encoding="utf-8")
    card = model_card(model, splits, report)
    (folder / "README.md").write_text(card, encoding="utf-8")
    (folder / "model" / "README.md").write_text(card, encoding="utf-8")


def model_card(model: TransferModel, splits: Splits, report: Report) -> str:
    """The model card: what it is, how it scored beside the baselines, on which data, and how to load it."""
    encoder = model.encoder
    shown = _SHOWN[report.task]
    scored = [("this model", report.scores[report.split])]
    scored += [(_BASELINE_NAMES[name], scores) for name, scores in report.baselines.items()]
    parts = [("train", splits.train), ("validation", splits.validation), ("test", splits.test)]
    pipeline = "token-classification" if isinstance(model.head, NERHead) else "text-classification"
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            f"pipeline_tag: {pipeline}",
            "tags:",
            "- nlp_transfer",
            "---",
            "",
            f"# {report.task} on {encoder.family} ({encoder.depth} layers, width {encoder.width})",
            "",
            f"Labels, in the order of their ids: {', '.join(_code(name) for name in model.head.labels)}.",
            "",
            f"## Scores on the {report.split} split ({report.rows:,} rows)",
            "",
            _row(["", *shown]),
            _row(["---"] * (len(shown) + 1)),
            *(_row([name, *(f"{scores[s]:.4f}" for s in shown)]) for name, scores in scored),
            "",
            f"The weights are those of the first best {_code(report.run.metric)} on the validation split.",
            "",
            "## Data",
            "",
            _row(["split", "rows", "source", "SHA-256 of the rows"]),
            _row(["---"] * 4),
            *(
                _row([name, f"{len(rows.data):,}", _code(Path(rows.source).name), _code(rows.sha256[:16])])
                for name, rows in parts
                if rows is not None
            ),
            "",
            "## How to load it",
            "",
            "```python",
            *_how_to_load(model, pipeline),
            "```",
            "",
            f"Texts are cut after {model.max_length} tokens." if pipeline == "text-classification"
            else f"Texts of more than {model.max_length} tokens are read in overlapping windows by nlp_transfer.",
            "",
        ]
    )  # fmt: skip


def _how_to_load(model: TransferModel, pipeline: str) -> Iterable[str]:
    yield "from transformers import pipeline"
    if isinstance(model.head, TextClassificationHead) and not model.head.is_native:
        yield "import nlp_transfer  # this head is not one of transformers' own, and needs this one import"
    yield ""
    yield f'ask = pipeline("{pipeline}", model="model")'
    yield 'ask("Some text.")'


def _baselines(model: TransferModel, train: Dataset, last: Dataset) -> dict[str, Scores]:
    head = model.head
    if isinstance(head, NERHead):
        tags = [convert(sequence, head.scheme, "IOB2") for sequence in train["tags"]]
        found = gazetteer_baseline(train["words"], tags, last["words"], head.scheme)
        guesses = [TagPrediction(tuple(w), tuple(t), (), ()) for w, t in zip(last["words"], found, strict=True)]
        return {"gazetteer": head.score(guesses, head.references(last[:]))}
    named = classification_baselines(train["text"], train["label"], last["text"])
    kind = SentimentHead if isinstance(head, SentimentHead) else TextClassificationHead
    scorer = kind(head.labels)
    return {
        name: scorer.score([Prediction(label, 1.0, {}) for label in labels], scorer.references(last[:]))
        for name, labels in named.items()
    }


def _metrics(report: Report) -> dict[str, Any]:
    run = report.run
    return {
        **report.scores,
        "baselines": report.baselines,
        "train": {"seconds": run.seconds, "rows_per_second": run.rows_per_second, "steps": run.steps,
                  "best_epoch": run.best_epoch, "metric": run.metric, "history": run.history},
    }  # fmt: skip


def _transfer(model: TransferModel, splits: Splits, report: Report, options: Sequence[Any]) -> dict[str, Any]:
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        "task": report.task,
        "labels": list(model.head.labels),
        "head": model.head.options(),
        "encoder": {"family": model.encoder.family, "parameters": model.encoder.parameter_count},
        "preprocessing": {"max_length": model.max_length, "tokenizer": type(model.tokenizer).__name__},
        "data": {
            name: {"source": rows.source, "rows": len(rows.data), "skipped": len(rows.skipped),
                   "columns": dict(rows.columns), "sha256": rows.sha256}
            for name, rows in parts.items()
            if rows is not None
        },
        "scores": {name: {k: v for k, v in s.items() if isinstance(v, float)} for name, s in report.scores.items()},
        "versions": {"nlp_transfer": __version__, "python": platform.python_version()}
        | {name: version(name) for name in ("torch", "transformers", "datasets", "accelerate", "tokenizers")},
        "options": {k: v for o in options if is_dataclass(o) for k, v in asdict(o).items()},  # type: ignore[arg-type]
    }  # fmt: skip


def _prediction(row: int, gold: Any, predicted: Any) -> dict[str, Any]:
    if isinstance(predicted, TagPrediction):
        return {
            "row": row,
            "words": predicted.words,
            "gold": gold,
            "predicted": predicted.tags,
            "probability": predicted.probabilities,
            "spans": [asdict(span) for span in predicted.spans],
        }
    line = {"row": row, "gold": gold, "predicted": predicted.label, "probability": predicted.probability}
    return line | ({"polarity": predicted.polarity} if hasattr(predicted, "polarity") else {})


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _code(text: str) -> str:
    """Text as inline code, in which Markdown reads neither HTML nor links."""
    return "`" + text.replace("`", "'").replace("|", "\\|").replace("\n", " ") + "`"
