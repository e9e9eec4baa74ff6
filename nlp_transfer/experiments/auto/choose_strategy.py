"""The choice of `--strategy auto`: by the number of rows, by memory, or by trials on some of the rows."""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from nlp_transfer.config import CacheOptions, TrainingOptions
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits, hold_out
from nlp_transfer.encoders.cost import free_memory, training_memory
from nlp_transfer.encoders.encoder import Encoder
from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.experiments.auto.try_candidates import (
    ADAPTER_TRAINING,
    ENCODER_TRAINING,
    EVERYTHING,
    FEATURES,
    FROM_FEW,
    LEAST,
    OTHERS,
    PROBE,
    Trials,
)
from nlp_transfer.heads import TaskHead
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies import STRATEGIES, Strategy, StrategyOptions
from nlp_transfer.strategies.auto import Auto
from nlp_transfer.strategies.choice import Choice, read_choice, write_choice
from nlp_transfer.system.cli import quiet
from nlp_transfer.training import fsdp
from nlp_transfer.training.accelerator import make_accelerator
from nlp_transfer.training.defaults import with_defaults

log = logging.getLogger(__name__)

_ENOUGH, _FEW, _SCARCE = 300, 50, 10  # rows a label
_MANY = 2000  # rows
_HELD_OUT = 1 / 3  # share of the training rows that a trial is scored on
_SHARE_OF_MEMORY = 0.8  # of what is free; how much training takes is an estimate


def resolve_strategy(
    strategy: Strategy,
    strategy_options: StrategyOptions,
    *,
    model: TransferModel,
    splits: Splits,
    training: TrainingOptions,
    accelerator: Accelerator,
    cache: CacheOptions,
    folder: Path,
) -> tuple[Strategy, StrategyOptions]:
    """The strategy to train with, and the options that name it: those given, or for `auto` what is chosen here.

    With the options that are returned a run's options.yaml repeats the run without choosing again. A choice is written
    with its reasons into the run's `folder`, where a run that is resumed reads it, and `write_run` for transfer.json.

    >>> strategy, strategy_options = resolve_strategy(strategy, strategy_options, model=model, splits=splits, ...)
    """
    if not isinstance(strategy, Auto):
        return strategy, strategy_options
    choice = read_choice(folder)
    if choice:
        log.info("Strategy %s, as chosen when the run began.", choice.name)
    else:
        choice = choose_strategy(model, splits, training, accelerator, cache)
        for reason in choice.reasons:
            log.info(reason)
        accelerator.wait_for_everyone()  # all have looked whether the file is there
        if accelerator.is_main_process:
            write_choice(choice, folder)
    return choice.strategy, replace(strategy_options, strategy=choice.name, **choice.options)


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
    """The former name of `resolve_strategy`, which writes what is chosen into `given` instead of returning it."""
    warnings.warn("nt.settled is now nt.resolve_strategy, and goes with the next release", DeprecationWarning, 2)
    strategy, chosen = resolve_strategy(
        strategy, given,
        model=model, splits=splits, training=options, accelerator=accelerator, cache=cache, folder=folder,
    )  # fmt: skip
    vars(given).update(vars(chosen))
    return strategy


def choose_strategy(
    model: TransferModel,
    splits: Splits,
    options: TrainingOptions | None = None,
    accelerator: Accelerator | None = None,
    cache: CacheOptions | None = None,
) -> Choice:
    """Choose what trains best on these rows; `model` stays as it is, validation and test are not looked at.

    Where training all weights of the encoder on rows so long takes more memory than is free (`training_memory`), `lora`
    stands in for `head_then_full` in all that follows; where that takes too much, too, it is `features` at once. For a
    head that has to be trained by steps (hidden layers, windows) `freeze` stands in for `features`, without a trial.
    `full` stands in for `head_then_full` where weights below the layers are new, so that nothing can be frozen.

    With 2,000 rows, or 300 a label, `head_then_full`: a trial costs as much as the run, and its choice was this one.
    Test scores of MiniLM, beside `full`, both at 5e-5 for 3 epochs: SST-2 88.8 and 89.0 (one seed), TREC 96.3 and 96.1,
    TweetEval emotion 81.5 and 81.8, VADER's sentences on products in three levels 77.8 and 76.1 (three seeds).

    For tags `head_then_full` too, of any number of rows: `features` was 10 to 33 behind it on six sets of 35 to 5,000
    sentences, `full` 0.4 behind on WikiANN and 7 on WNUT-17. `lora` was 1 and 3 ahead on 150 and 270 sentences (three
    seeds), where a trial on a third of them had it 11 and 7 behind, and 7 behind on WNUT-17, all or 270 sentences.

    With fewer rows, candidates are trained on two thirds of the training rows, and scored on the last third: of the
    classifiers on features the one that successive halving leaves, and of what trains the encoder the one that leads on
    an eighth of these rows, of `head_then_full`, the same at half its learning rate, and the strategies that ask to be
    tried (`Strategy.tried_by_auto`). Below 50 rows a label `few_shot` is tried instead, on all these rows, where texts
    can say what labels mean. The usual one is taken unless another leads by more than a standard error:
    `head_then_full`, or below 10 rows a label, where a third less hurts most, `few_shot`, or `features` for heads that
    it does not suit. With fewer than 40 rows it is that one without a trial.

    On five sources that no rule here was made on (glosses of WordNet, entries of FOLDOC, manual pages, one-line
    descriptions of Debian's packages, fortune cookies; 4 to 15 labels, 81 to 10,232 training rows, 400 to 2,000 test
    rows; 14 draws) its accuracy was at most 0.9 points behind the best of `compare`. These figures are of version 0.1,
    whose trials took as many steps as the run. Every process of a run calls this, and gets the same.

    >>> choice = choose_strategy(model, splits)
    >>> fit(model, splits, strategy=choice.strategy)
    """
    given = options or TrainingOptions()
    accelerator = accelerator or make_accelerator(given)
    rows = splits.train
    options = with_defaults(given, model, splits, STRATEGIES[ENCODER_TRAINING](), accelerator.num_processes)
    inputs = TokenInputs(model.encode(rows.data), model.pad_id)
    trains, room = _fitting(model.encoder, inputs, options, accelerator)
    facts = f"{_facts(model, rows, inputs)}; {room}."
    if at_once := _without_trials(trains, model, rows):
        name, why, so = at_once
        return Choice(name, {}, (facts, f"auto: {why}.", f"auto: {name}, {so} ({OTHERS})."), {})
    try:
        train, held_out = hold_out(rows, _HELD_OUT, options.seed, "label")
    except DataError:
        why = "no label has rows enough to hold some out, so no trials are run"
        name = FROM_FEW if trains == ENCODER_TRAINING and _learns_from_few(model.head) else trains
        return Choice(name, {}, (facts, f"auto: {why}.", f"auto: {name} ({OTHERS})."), {})
    trial = replace(
        options, early_stopping_patience=0, report_to=[], metric_for_best_model=None, eval_steps=None,
        checkpoint_every=[], torch_compile=False,
        restart_on_collapse=0,  # which validation rows would have to tell
        learning_rate=given.learning_rate, num_train_epochs=given.num_train_epochs,  # each strategy has its own
    )  # fmt: skip
    usual_epochs = options.num_train_epochs or 1
    trials = Trials(model, train, held_out, trial, usual_epochs, cache, low_memory=trains != ENCODER_TRAINING)
    each, from_few = _rows_a_label(model, rows), trains == ENCODER_TRAINING and _learns_from_few(model.head)
    usual = trains if each >= _SCARCE else FROM_FEW if from_few else FEATURES
    return trials.choice(trains, facts, usual, from_few=from_few and each < _FEW)


def _without_trials(trains: str, model: TransferModel, rows: Rows) -> tuple[str, str, str] | None:
    """The strategy that encoder and rows alone decide for, why, and what speaks for it; None where trials have to.

    `trains` is what trains the encoder in the free memory, or "".
    """
    head, count = model.head, len(rows.data)
    few_weights = "whose few weights fit into memory" if trains == ADAPTER_TRAINING else ""
    if not trains:
        why = "training the encoder needs more memory than that (less with a smaller --per_device_train_batch_size)"
        return _frozen(head), why, "which only runs it"
    if trains == ENCODER_TRAINING and not _is_freezable(model.encoder):
        why = "the checkpoint lacks weights below its layers, so that nothing can be frozen"
        return EVERYTHING, why, "which trains them"
    if count >= _MANY or _rows_a_label(model, rows) >= _ENOUGH:
        why = f"{_MANY:,} rows, or {_ENOUGH} rows a label, are enough to train the encoder on, so no trials are run"
        return trains, why, few_weights or "which does best on many rows"
    if head.labels_words:
        why = "tags want an encoder that is trained for them, so no trials are run"
        return trains, why, few_weights or "which does not need many rows"
    if count < LEAST and trains == ENCODER_TRAINING and _learns_from_few(head):
        return FROM_FEW, f"fewer than {LEAST} rows are too few to try anything on", "which begins with what labels mean"
    if count < LEAST:
        return _frozen(head), f"fewer than {LEAST} rows are too few to try anything on", "which has the least to learn"
    return None


def _rows_a_label(model: TransferModel, rows: Rows) -> float:
    return len(rows.data) / max(len(model.head.labels), 1)


def _fitting(
    encoder: Encoder, inputs: TokenInputs, options: TrainingOptions, accelerator: Accelerator
) -> tuple[str, str]:
    """What trains the encoder in the free memory, or "", and how much memory it takes. The first process decides."""
    if fsdp.is_requested():
        return ENCODER_TRAINING, "its weights are cut into shards"
    on_gpu = accelerator.device.type != "cpu"
    beside = 1 if on_gpu else int(os.environ.get("LOCAL_WORLD_SIZE", accelerator.num_processes))  # in the same memory
    # Where memory runs out a GPU takes a batch in parts.
    rows = 1 if on_gpu else options.per_device_train_batch_size or 1
    rows *= int(np.diff([*inputs.firsts, len(inputs.lengths)]).max())  # windows
    takes = {
        name: beside * training_memory(
            encoder, inputs.lengths, rows, accelerator.mixed_precision,
            all_weights=STRATEGIES[name].trains_all_weights, on_gpu=on_gpu,
        )
        for name in (ENCODER_TRAINING, ADAPTER_TRAINING)
    }  # fmt: skip
    to_spare = _SHARE_OF_MEMORY * free_memory(accelerator.device)
    trains = next((name for name, bytes_ in takes.items() if bytes_ <= to_spare), "")
    all_ = takes[ENCODER_TRAINING]
    decision = [trains, f"full fine-tuning needs about {all_ / 1e9:.1f} GB ({to_spare / 1e9:.1f} GB available)"]
    if accelerator.num_processes > 1:
        broadcast_object_list(decision)
    return decision[0], decision[1]


def _frozen(head: TaskHead) -> str:
    """What only runs the encoder: `features`, or `freeze` for a head that has to be trained by steps."""
    try:
        with quiet():
            head.require_features(next(iter(head.classifiers), ""))
    except OptionError:
        return PROBE
    return FEATURES


def _learns_from_few(head: TaskHead) -> bool:
    """Whether texts can say what its labels mean, and its last layer can be fitted."""
    return bool(head.described) and not head.labels_words and not head.pairs and _frozen(head) == FEATURES


def _is_freezable(encoder: Encoder) -> bool:
    try:
        encoder.require_freezable(encoder.depth)
    except OptionError:
        return False
    return True


def _facts(model: TransferModel, rows: Rows, inputs: TokenInputs) -> str:
    count, labels = len(rows.data), len(model.head.labels)
    each = f", {labels} labels ({count / labels:,.0f} rows each)" if labels > 1 else ""
    return (
        f"auto: {count:,} training rows{each}, {inputs.lengths.mean():.0f} tokens a row; "
        f"{model.encoder.family} of {model.encoder.depth} layers, {model.encoder.parameter_count:,} weights"
    )
