"""How many labels the loop of `label` needs, beside rows picked at random, and whether its forecasts hold.

    python recipes/benchmarks/labelling.py --train_file train.jsonl --test_file test.jsonl --seeds 5

It labels by the labels that the training file has. Rows are picked in batches that grow by a quarter; after each one a
head is fitted to the vectors of the rows so far, as `label next` does, and scored on the test file. What is counted are
all labels given: those of the rows to check too, which the loop alone pays for. The aim is the score of the head that
has all labels, less two points.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

import nlp_transfer as nt
from nlp_transfer.few_labels.label_head import LabelHead, LabelVectors
from nlp_transfer.few_labels.label_texts import label_texts
from nlp_transfer.labelling.forecast import POINT, forecast
from nlp_transfer.labelling.guesses import guessed_labels, head_for
from nlp_transfer.labelling.kept_vectors import comparable, kept_vectors
from nlp_transfer.labelling.learning_curve import learning_curve
from nlp_transfer.labelling.picking import balancing_weights, pick
from nlp_transfer.labelling.text_encoder import TextEncoder
from nlp_transfer.labelling.texts_to_label import CHECK_SHARE, RawText

log = logging.getLogger("nlp_transfer.benchmarks.labelling")

_GROWTH = 0.25
_MOST_FORECASTS = 1500  # labelled rows up to which forecasts are tried


@dataclass
class SimulationOptions:
    """What is simulated."""

    _argument_group_name: ClassVar[str] = "simulation"

    labels_file: str | None = nt.option(None, help="YAML file of label descriptions, as label takes it.")
    ways: list[str] = nt.option(default_factory=lambda: ["random", "next"], help="How rows are picked: random, next.")
    seeds: int = nt.option(5, help="How often, each time with another draw.", above=0)
    first_seed: int = nt.option(0, help="The seed of the first draw.", at_least=0)
    first_rows: int = nt.option(50, help="Rows of the first batch.", above=0)
    forecasts: bool = nt.option(True, help="Forecast in each round of next, and compare with what then happens.")
    vectors_dir: str = nt.option("runs/labelling_vectors", help="Folder that keeps vectors.")
    output_file: str = nt.option("labelling_simulation.jsonl", help="Where results go, a line a seed and way.")


class Task(NamedTuple):
    """Vectors and label ids of the rows to be labelled and of the test rows, and the vectors of label texts."""

    train: np.ndarray
    targets: np.ndarray
    test: np.ndarray
    test_targets: np.ndarray
    labels: list[str]
    texts: LabelVectors


class Round(NamedTuple):
    """Labels given so far, and the share of test rows (`score`) and of test rows and rows kept apart that are right."""

    labels: int
    score: float
    wider_score: float
    low: float = float("nan")
    rows: float = float("nan")
    high: float = float("nan")
    share_low: float = float("nan")
    share_high: float = float("nan")


def main() -> None:
    """Read, embed, simulate, print."""
    model, data, options = nt.parse([nt.ModelOptions, nt.DataOptions, SimulationOptions], __doc__)
    task = _task(model, data, options)
    every = np.arange(len(task.targets))
    full = _share_right(head_for(task.train, task.targets, len(task.labels), task.texts), task.test, task.test_targets)
    aim = full - 2 * POINT
    print(
        f"{len(every):,} rows, {len(task.labels)} labels: all labels give {100 * full:.1f}; the aim is {100 * aim:.1f}."
    )
    needed: dict[str, list[float]] = {way: [] for way in options.ways}
    rounds_of_next: list[list[Round]] = []
    with open(options.output_file, "a", encoding="utf-8") as file:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for way in options.ways:
                started = time.perf_counter()
                rounds = simulate(task, way, seed, aim, options.first_rows, options.forecasts)
                needed[way].append(labels_for(rounds, aim))
                rounds_of_next += [rounds] * (way == "next")
                result = {
                    "train_file": data.train_file,
                    "way": way,
                    "seed": seed,
                    "aim": aim,
                    "needed": needed[way][-1],
                }
                file.write(json.dumps({**result, "rounds": [_plain(one) for one in rounds]}) + "\n")
                file.flush()
                log.info("%s, seed %d: %.0f labels (%.0f s)", way, seed, needed[way][-1], time.perf_counter() - started)
    for line in _table(needed, rounds_of_next):
        print(line)


def simulate(task: Task, way: str, seed: int, aim: float, first: int, forecasts: bool = False) -> list[Round]:
    """The rounds of a loop until the aim is reached for good, which four rounds in a row are taken for."""
    random = np.random.default_rng(seed)
    count, labels = len(task.targets), len(task.labels)
    order = random.permutation(count)
    apart = order[: round(CHECK_SHARE * count)] if way == "next" else order[:0]
    wider = np.concatenate([task.test, task.train[apart]]), np.concatenate([task.test_targets, task.targets[apart]])
    free = np.setdiff1d(np.arange(count), apart)
    done, given, head = free[:0], 0, None
    rounds: list[Round] = []
    while len(free):
        given += min(max(first, round(_GROWTH * given)), len(free))
        checked = min(round(CHECK_SHARE * given), len(apart))
        wanted = min(given - checked - len(done), len(free))
        if way == "random":
            some = random.choice(free, wanted, replace=False)
        else:
            some = _next(task, head, done, free, wanted, seed + given)
        done, free = np.concatenate([done, some]), np.setdiff1d(free, some)
        head = head_for(task.train[done], task.targets[done], labels, task.texts)
        one = Round(given, _share_right(head, task.test, task.test_targets), _share_right(head, *wider))
        if forecasts and way == "next" and given <= _MOST_FORECASTS:
            one = _with_forecast(one, task, done, apart[:checked], seed, labels)
        rounds.append(one)
        if len(rounds) > 3 and all(past.score >= aim for past in rounds[-4:]):
            break
    return rounds


def _next(task: Task, head: LabelHead | None, done: np.ndarray, free: np.ndarray, wanted: int, seed: int) -> np.ndarray:
    """What `label next` picks."""
    guesses = guessed_labels(task.train, head, task.labels, task.texts)
    weights = balancing_weights(guesses.kinds, task.targets[done], len(task.labels))
    return pick(task.train, free, wanted, guesses.uncertainty if head else None, weights, seed)


def _share_right(head: LabelHead, vectors: np.ndarray, targets: np.ndarray) -> float:
    return float((head.logits(vectors).argmax(axis=1) == targets).mean())


def _with_forecast(one: Round, task: Task, done: np.ndarray, check: np.ndarray, seed: int, labels: int) -> Round:
    """The round with its forecasts: rows for one point, and the share right after the next batch."""
    curve = learning_curve(
        task.train[done], task.targets[done], task.train[check], task.targets[check], labels, task.texts, seed
    )
    future = forecast(curve, seed, ahead=max(1, round(_GROWTH * one.labels)))
    if future is None:
        return one
    low, rows, high = (float("inf") if part is None else float(part) for part in (future.low, future.rows, future.high))
    return one._replace(low=low, rows=rows, high=high, share_low=future.share.low, share_high=future.share.high)


def labels_for(rounds: Sequence[Round], aim: float) -> float:
    """The labels at which the score, a mean over three rounds, first reaches the aim; NaN where it never does."""
    return _first(np.array([one.labels for one in rounds], float), _smooth([one.score for one in rounds]), aim)


def covered(rounds: Sequence[Round]) -> tuple[list[bool], list[bool]]:
    """Of each forecast whether it held: rows for one point, by the smoothed score, and the share after the next batch.

    Where the point is never reached, an interval that ends behind the last round has held.
    """
    by_rows, by_share = [], []
    labels, scores = np.array([one.labels for one in rounds], float), _smooth([one.wider_score for one in rounds])
    for place, one in enumerate(rounds[:-1]):
        if np.isnan(one.low):
            continue
        until = _first(labels[place:], scores[place:], scores[place] + POINT) - labels[place]
        by_rows.append(one.high >= labels[-1] - labels[place] if np.isnan(until) else one.low <= until <= one.high)
        by_share.append(one.share_low <= rounds[place + 1].wider_score <= one.share_high)
    return by_rows, by_share


def _smooth(scores: Sequence[float]) -> np.ndarray:
    padded = np.array([scores[0], *scores, scores[-1]])
    return (padded[:-2] + padded[1:-1] + padded[2:]) / 3


def _first(labels: np.ndarray, scores: np.ndarray, aim: float) -> float:
    reached = np.flatnonzero(scores >= aim)
    if not len(reached):
        return float("nan")
    place = int(reached[0])
    if place == 0:
        return float(labels[0])
    part = (aim - scores[place - 1]) / (scores[place] - scores[place - 1])
    return float(labels[place - 1] + part * (labels[place] - labels[place - 1]))


def _table(needed: Mapping[str, Sequence[float]], rounds_of_next: Sequence[Sequence[Round]]) -> list[str]:
    base = float(np.nanmean(needed.get("random", [float("nan")])))
    lines = [
        f"{way:<8}{np.nanmean(labels):>8.0f} labels, {np.nanmean(labels) / base:.2f} of random's "
        f"({', '.join(f'{one:.0f}' for one in labels)})"
        for way, labels in needed.items()
    ]
    held = [covered(rounds) for rounds in rounds_of_next]
    for what, place in (("rows for one point", 0), ("score after the next batch", 1)):
        each = [one for pair in held for one in pair[place]]
        if each:
            lines.append(f"forecast of {what}: held in {sum(each)} of {len(each)} rounds ({np.mean(each):.2f}).")
    return lines


def _task(model: nt.ModelOptions, data: nt.DataOptions, options: SimulationOptions) -> Task:
    splits = nt.load_splits(nt.DataOptions(**{**asdict(data), "validation_split_percentage": 0.0}), "classification")
    assert splits.test is not None, "give a --test_file"
    names = sorted({*splits.train.data["label"][:], *splits.test.data["label"][:]})
    written = [(label, text) for label, texts in label_texts(names, options.labels_file).items() for text in texts]
    encoder = TextEncoder(model.model_name_or_path, model.max_length, model.trust_remote_code)
    folder = Path(options.vectors_dir)
    parts = (splits.train.data["text"][:], splits.test.data["text"][:], [text for _, text in written])
    vectors = []
    for part in parts:
        rows = [RawText("", text, 0) for text in part]
        vectors.append(kept_vectors(folder / _name(part), rows, encoder.name, encoder.embed))
    train, test, of_labels = comparable(*vectors)
    targets, test_targets = (
        np.array([names.index(label) for label in rows.data["label"][:]]) for rows in (splits.train, splits.test)
    )
    owners = np.array([names.index(label) for label, _ in written])
    return Task(train, targets, test, test_targets, names, LabelVectors(of_labels, owners))


def _name(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12]


def _plain(one: Round) -> dict[str, float]:
    """A round as JSON can hold it."""
    return {name: value for name, value in one._asdict().items() if value == value}


if __name__ == "__main__":
    nt.run_recipe(main)
