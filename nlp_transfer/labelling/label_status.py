"""How far a labelling loop has come: what is labelled, how well that does, and what further rows will buy."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlp_transfer.config import LabellingOptions
from nlp_transfer.data import tag_schemes
from nlp_transfer.data.character_spans import CharSpan, to_entities, word_offsets
from nlp_transfer.labelling.forecast import Forecast, forecast
from nlp_transfer.labelling.labelling_folder import LabellingFolder, State, labels_in, spans_of
from nlp_transfer.labelling.learning_curve import CurvePoint, learning_curve, points_of
from nlp_transfer.labelling.next_batch import vectors_of
from nlp_transfer.labelling.text_encoder import TextEncoder
from nlp_transfer.metrics import Interval, interval, span_counts

LEAST_ROWS = 12
"""Labelled rows from which on a curve is drawn."""

_TRAIN, _CHECK = "train.jsonl", "check.jsonl"


@dataclass(frozen=True)
class LabelStatus:
    """The state of a loop in numbers.

    `counts` are labelled rows by label, or entities by type; `train` and `check` the files of labelled rows, None where
    there are none, `trained` and `checked` how many they hold. `points` and `forecast` are there for texts with a label
    each, once there are enough rows; `entities` is the F1 of the tagger that was given on the rows to check.
    """

    task: str
    folder: Path
    texts: int
    labelled: int
    waiting: int
    rejected: int
    counts: dict[str, int]
    trained: int
    checked: int
    train: Path | None
    check: Path | None
    check_has_more: bool = False
    points: Sequence[CurvePoint] = ()
    forecast: Forecast | None = None
    entities: Interval | None = None


def label_status(options: LabellingOptions) -> LabelStatus:
    """Count, score and forecast, and write the labelled rows as files that the training recipes take.

    Raises OptionError for a folder that holds no loop, or that another process uses.
    """
    with LabellingFolder(options.folder) as folder:
        state = folder.state
        apart = set(folder.check_ids)
        train = [name for name in state.answers if name not in apart]
        check = [name for name in state.answers if name in apart]
        name = (options.model_name_or_path if state.task == "ner" else None) or state.encoder
        encoder = TextEncoder(name, options.max_length or state.max_length, options.trust_remote_code)
        points: Sequence[CurvePoint] = ()
        future = entities = None
        if state.task == "classification":
            points, future = _curve(folder, encoder, train, check)
        elif options.model_name_or_path and check and encoder.is_tagger:
            entities = _entity_score(folder, encoder, check)
        return LabelStatus(
            state.task, folder.path, len(folder.texts), len(state.answers), len(state.waiting), len(state.rejected),
            _counts(state), len(train), len(check),
            _written(folder, train, _TRAIN), _written(folder, check, _CHECK),
            bool(_kinds(state, check) - _kinds(state, train)),
            points, future, entities,
        )  # fmt: skip


def _curve(
    folder: LabellingFolder, encoder: TextEncoder, train: Sequence[str], check: Sequence[str]
) -> tuple[Sequence[CurvePoint], Forecast | None]:
    state, labels = folder.state, list(folder.state.labels)
    targets, check_targets = (
        np.array([labels.index(str(state.answers[name])) for name in names], int) for names in (train, check)
    )
    if len(train) < LEAST_ROWS or len(set(targets.tolist())) < 2:
        return (), None
    vectors, label_texts = vectors_of(folder, encoder)
    places = {name: place for place, name in enumerate(folder.texts)}
    learned, checked = (vectors[[places[name] for name in names]] for names in (train, check))
    curve = learning_curve(learned, targets, checked, check_targets, len(labels), label_texts, state.seed)
    return points_of(curve), forecast(curve, state.seed)


def _entity_score(folder: LabellingFolder, encoder: TextEncoder, names: Sequence[str]) -> Interval:
    """The strict F1 of a tagger on some rows."""
    texts = [folder.texts[name].text for name in names]
    predicted = [list(prediction.tags) for prediction in encoder.model.predict(texts)]
    gold = []
    for name, text in zip(names, texts, strict=True):
        offsets = word_offsets(text)
        spans = [CharSpan(*entity) for entity in spans_of(folder.state.answers[name])]
        gold.append(tag_schemes.tags(to_entities(text, spans, offsets)[0], len(offsets), "IOB2"))
    scheme = str(getattr(encoder.model.head, "scheme", "IOB2"))
    in_iob2 = [tag_schemes.convert(tags, scheme, "IOB2") for tags in predicted]
    return interval(span_counts(in_iob2, gold))["f1_strict"]


def _kinds(state: State, names: Sequence[str]) -> set[str]:
    return set(_counted(state, names))


def _counts(state: State) -> dict[str, int]:
    counted = _counted(state, list(state.answers))
    return {name: counted[name] for name in state.labels}


def _counted(state: State, names: Sequence[str]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for name in names:
        counted.update(labels_in(state.answers[name]))
    return counted


def _written(folder: LabellingFolder, names: Sequence[str], file: str) -> Path | None:
    """Write rows with their answers, in a form that the training recipes read; without rows there is no file."""
    if not names:
        return None
    key = "label" if folder.state.task == "classification" else "entities"
    rows = ({"text": folder.texts[name].text, key: folder.state.answers[name], "row_id": name} for name in names)
    return folder.write(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
