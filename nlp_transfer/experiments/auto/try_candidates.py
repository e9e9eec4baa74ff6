"""How good is a candidate on rows that it has not seen, and which of several is the best for the least work?"""

from __future__ import annotations

import copy
import importlib.util
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from accelerate.utils import broadcast_object_list

from nlp_transfer.config import CacheOptions, TrainingOptions
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.labels import problem_of
from nlp_transfer.data.read_rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.encoders.sklearn_head.classifiers import LINEAR
from nlp_transfer.errors import UserError
from nlp_transfer.heads import MultiLabelHead, RegressionHead, TaskHead
from nlp_transfer.models.inference import infer
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies import strategy_named
from nlp_transfer.system.cli import quiet
from nlp_transfer.training.accelerator import make_accelerator
from nlp_transfer.training.loop import fit

log = logging.getLogger(__name__)


def probes(head: TaskHead) -> tuple[str, ...]:
    """`features` with each classifier that can be the best; of two that are as good the first is taken."""
    if isinstance(head, RegressionHead):
        return ("features",)
    may_be_any = not isinstance(head, MultiLabelHead) and importlib.util.find_spec("skops")
    return tuple(f"features:{classifier}" for classifier in (("svm", *LINEAR) if may_be_any else LINEAR))


def halved(names: Sequence[str], score: Callable[[str, Rows], float | None], rows: Rows, seed: int) -> str:
    """The candidate that successive halving leaves (Jamieson and Talwalkar 2016): the worse half goes in each round.

    A round has twice the rows of the one before, and all `rows` are left for the last candidate.
    """
    order = _drawn(rows, seed)
    while len(names) > 1:
        some = order[: len(order) >> math.ceil(math.log2(len(names)))]
        few = replace(rows, data=rows.data.select(some))
        seen = {name: -math.inf if (found := score(name, few)) is None else found for name in names}
        names = sorted(names, key=seen.__getitem__, reverse=True)[: (len(names) + 1) // 2]
    return names[0]


def _drawn(rows: Rows, seed: int) -> np.ndarray:
    """Places of rows, drawn at random; the first ones have a label each, as rows of one label alone teach nothing."""
    order = np.random.default_rng(seed).permutation(len(rows.data))
    if problem_of(rows.data) != "single_label":
        return order
    _, first = np.unique(np.array(rows.data["label"][:])[order], return_index=True)
    return np.concatenate([order[np.sort(first)], np.delete(order, first)])


def named(name: str) -> tuple[str, dict[str, Any]]:
    """A candidate's strategy, and its options."""
    strategy, _, classifier = name.partition(":")
    return strategy, {"classifier": classifier} if classifier else {}


def score_of(
    name: str, model: TransferModel, learned: Rows, judged: Rows, options: TrainingOptions, cache: CacheOptions | None
) -> float | None:
    """The score of a candidate that has learned some rows, on others; None where it cannot be trained so."""
    strategy, given = named(name)
    tried = TransferModel(
        copy.deepcopy(model.network), copy.copy(model.head), model.tokenizer, model.max_length, model.new_parameters,
        model.checkpoint,
    )  # fmt: skip
    accelerator = make_accelerator(options)
    # What is fitted at once takes nothing from the rows that judge it, and reads their features from the cache.
    judging = judged if strategy == "features" else None
    options = replace(options, metric_for_best_model=metric_of(tried.head) if judging else None)
    try:
        with quiet():
            run = fit(
                tried, Splits(learned, judging, None), options, accelerator, strategy_named(strategy, **given), cache
            )
            if judging:
                return run.best_score
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
    found = [float(tried.head.evaluate(outputs, judged.data[:])[metric_of(tried.head)])]
    if accelerator.num_processes > 1:
        broadcast_object_list(found)
    return found[0]


def metric_of(head: TaskHead) -> str:
    """The score by which candidates are compared, of which more is better."""
    return "pearson" if isinstance(head, RegressionHead) else head.best_metric
