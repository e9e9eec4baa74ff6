"""Which strategy suits these rows and this encoder? Short runs on a part of the rows say so."""

from __future__ import annotations

import copy
import importlib.util
import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from nlp_transfer.config import CacheOptions, StrategyOptions, TrainingOptions
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.read import Rows
from nlp_transfer.data.splits import Splits, hold_out
from nlp_transfer.errors import UserError
from nlp_transfer.heads import MultiLabelHead, NERHead, RegressionHead, TaskHead
from nlp_transfer.inference import infer
from nlp_transfer.model import TransferModel
from nlp_transfer.plan import epochs_of
from nlp_transfer.strategies import Strategy, strategy_named
from nlp_transfer.strategies.auto import Auto
from nlp_transfer.training import fit, make_accelerator

log = logging.getLogger(__name__)

_LEAST = 40  # rows: of fewer nothing can be held out that tells strategies apart
_JUDGED = 1000  # rows at most on which short runs are scored
_TRAINED = 1000  # rows at most of the longer of the two
_FILE = Path("logs") / "strategy.json"  # in the folder of a run: what a run that was stopped leaves there stays


@dataclass(frozen=True)
class Choice:
    """A strategy, its options as a recipe names them, and why: `scores` are those of the short runs, by candidate."""

    name: str
    options: Mapping[str, Any]
    reasons: tuple[str, ...]
    scores: Mapping[str, Sequence[float]]

    @property
    def strategy(self) -> Strategy:
        """What `fit` takes."""
        return strategy_named(self.name, **self.options)


def settled(
    strategy: Strategy,
    given: StrategyOptions,
    model: TransferModel,
    splits: Splits,
    options: TrainingOptions,
    accelerator: Accelerator,
    cache: CacheOptions,
    folder: Path,
) -> Strategy:
    """The strategy of a run: the one that is given, or for `auto` the one that is chosen here.

    What is chosen is written into `given`, so that the run's options.yaml repeats the run without choosing anew, and
    with its reasons into the run's `folder`, from where a run that goes on takes it, and `write_run` transfer.json.
    """
    if not isinstance(strategy, Auto):
        return strategy
    path = folder / _FILE
    if path.exists():
        choice = Choice(**json.loads(path.read_text(encoding="utf-8")))
        log.info("Strategy %s, as chosen when the run began.", choice.name)
    else:
        choice = choose_strategy(model, splits, options, accelerator, cache)
        for reason in choice.reasons:
            log.info(reason)
        accelerator.wait_for_everyone()  # all have looked whether the file is there
        if accelerator.is_main_process:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({field.name: getattr(choice, field.name) for field in fields(choice)}, indent=1)
            path.write_text(f"{text}\n", encoding="utf-8")
    for name, value in {"strategy": choice.name, **choice.options}.items():
        setattr(given, name, value)
    return choice.strategy


def chosen(folder: Path) -> dict[str, Any] | None:
    """What `settled` has written into the folder of a run, if anything."""
    path = folder / _FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def choose_strategy(
    model: TransferModel,
    splits: Splits,
    options: TrainingOptions | None = None,
    accelerator: Accelerator | None = None,
    cache: CacheOptions | None = None,
) -> Choice:
    """Choose between what usually wins, by successive halving (Jamieson and Talwalkar 2016). `model` stays as it is.

    The candidates learn a quarter of the training rows, and are scored on a half that none has seen; those that are
    within a standard error of the best, two at most, learn the other half whole, for as many epochs as the run will
    take. The better one is chosen, and where they are within a standard error of each other the one that stands first
    here: `head_then_full`, `full`, `lora`, `features`. `freeze` is not asked, since a classifier on features does what
    it does, nor `scratch`, which costs as much as `full` and wins where an encoder knows nothing of the language. Of
    validation and test nothing is seen. Every process of a run calls this, and hears the same.

    >>> choice = choose_strategy(model, splits)
    >>> fit(model, splits, strategy=choice.strategy)
    """
    options = options or TrainingOptions()
    rows = splits.train
    lengths = TokenInputs(model.encode(rows.data), model.pad_id)
    facts = _facts(model, rows, lengths)
    epochs = epochs_of(lengths, options, (accelerator or make_accelerator(options)).num_processes)
    candidates = _candidates(model.head)
    if len(rows.data) < _LEAST:
        name = "features:logistic" if any(one.startswith("features") for one in candidates) else "head_then_full"
        why = f"auto: fewer than {_LEAST} rows are too few to try anything on."
        return _choice(name, facts, why, f"auto: {name}, which has little to fit.", {})
    short = replace(
        options, num_train_epochs=epochs, max_train_steps=None, early_stopping_patience=None, report_to=[],
        metric_for_best_model=None, eval_steps=None, checkpoint_every=[], torch_compile=False,
    )  # fmt: skip
    half, judged = _parted(rows, min(0.5, _JUDGED / len(rows.data)), options.seed, model.head)
    if len(half.data) > _TRAINED:
        half = _parted(half, 1 - _TRAINED / len(half.data), options.seed, model.head)[0]
    quarter = _parted(half, 0.5, options.seed, model.head)[0]
    scores: dict[str, list[float]] = {}
    told: list[str] = []
    left = candidates
    for learned in (quarter, half):
        for name in left:
            if (score := _score(name, model, learned, judged, short, cache)) is not None:
                scores.setdefault(name, []).append(score)
        left = _best({name: scores[name][-1] for name in left if name in scores}, len(judged.data))
        told.append(f"{len(learned.data)} rows: {_listed({n: s[-1] for n, s in scores.items() if len(s) > len(told)})}")
        if len(left) < 2:
            break
    name = left[0] if left else "head_then_full"
    metric = _metric(model.head)
    why = f"auto: {metric} on {len(judged.data)} rows after {'; after '.join(told)}."
    return _choice(name, facts, why, _because(name, scores, len(judged.data)), scores)


def _candidates(head: TaskHead) -> list[str]:
    """What is tried, in the order of preference; a strategy, and after a colon its classifier."""
    classifier = "svm" if importlib.util.find_spec("skops") else "logistic"
    if isinstance(head, NERHead | MultiLabelHead | RegressionHead):
        classifier = "logistic"
    return ["head_then_full", "full", "lora", f"features:{classifier}"]


def _named(name: str) -> tuple[str, dict[str, Any]]:
    strategy, _, classifier = name.partition(":")
    return strategy, {"classifier": classifier} if classifier else {}


def _choice(name: str, facts: str, why: str, so: str, scores: Mapping[str, Sequence[float]]) -> Choice:
    strategy, options = _named(name)
    return Choice(strategy, options, (facts, why, so), {name: tuple(found) for name, found in scores.items()})


def _facts(model: TransferModel, rows: Rows, inputs: TokenInputs) -> str:
    count, labels = len(rows.data), len(model.head.labels)
    each = f" ({count / labels:,.0f} a label)" if labels and not isinstance(model.head, NERHead) else ""
    return (
        f"auto: {count:,} training rows, {labels} labels{each}, {inputs.lengths.mean():.0f} tokens a row; "
        f"{model.encoder.family} of {model.encoder.depth} layers, {model.encoder.parameter_count:,} weights."
    )


def _because(name: str, scores: Mapping[str, Sequence[float]], judged: int) -> str:
    rungs = max((len(found) for found in scores.values()), default=0)
    last = {one: found[-1] for one, found in scores.items() if len(found) == rungs}
    others = {one: score for one, score in last.items() if one != name}
    if not others:
        return f"auto: {name}."
    rival = max(others, key=lambda one: others[one])
    lead = 100 * (last[name] - others[rival])
    is_tie = abs(lead) <= 100 * _error(max(last.values()), judged)
    how = "a standard error or less apart, and it wins more often" if is_tie else "more than chance gives"
    return f"auto: {name}, {lead:+.1f} beside {rival}: {how}."


def _parted(rows: Rows, share: float, seed: int, head: TaskHead) -> tuple[Rows, Rows]:
    return hold_out(rows, share, seed, None if isinstance(head, NERHead) else "label")


def _best(scores: Mapping[str, float], judged: int) -> list[str]:
    """The two best of those within a standard error of the best, in the order of preference."""
    if not scores:
        return []
    top = max(scores.values())
    near = [name for name, score in scores.items() if score >= top - _error(top, judged)]
    two = sorted(near, key=lambda name: -scores[name])[:2]
    return [name for name in scores if name in two]


def _error(score: float, rows: int) -> float:
    """About the standard error of a share of rows."""
    inside = min(max(score, 0.05), 0.95)
    return math.sqrt(inside * (1 - inside) / rows)


def _score(
    name: str, model: TransferModel, learned: Rows, judged: Rows, options: TrainingOptions, cache: CacheOptions | None
) -> float | None:
    """The score of a candidate that has learned some rows, on others; None where it cannot be trained so."""
    strategy, given = _named(name)
    tried = TransferModel(
        copy.deepcopy(model.network), copy.copy(model.head), model.tokenizer, model.max_length, model.new_parameters,
        model.checkpoint,
    )  # fmt: skip
    accelerator = make_accelerator(options)
    try:
        with _quietly():
            fit(tried, Splits(learned, None, None), options, accelerator, strategy_named(strategy, **given), cache)
            inputs = TokenInputs(tried.encode(judged.data), tried.pad_id)
            outputs = infer(
                tried.network,
                tried.head,
                inputs,
                batch_size=options.per_device_eval_batch_size,
                accelerator=accelerator,
                progress=name,
            )
    except UserError as error:
        log.info("auto: %s is left out: %s", name, error)
        return None
    found = [float(tried.head.evaluate(outputs, judged.data[:])[_metric(tried.head)])]
    if accelerator.num_processes > 1:
        broadcast_object_list(found)
    return found[0]


def _metric(head: TaskHead) -> str:
    """The score by which candidates are compared, of which more is better."""
    return "pearson" if isinstance(head, RegressionHead) else head.best_metric


@contextmanager
def _quietly() -> Iterator[None]:
    """Short runs say nothing of themselves."""
    logger = logging.getLogger("nlp_transfer")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _listed(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {100 * score:.1f}" for name, score in scores.items())
