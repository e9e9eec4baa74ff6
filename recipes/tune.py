"""Search for the best options of a training recipe with Optuna, on validation rows alone.

    python recipes/tune.py --train_file train.csv --task classification --strategies full,lora --trials 20
    nlp-transfer tune --train_file train.csv --task classification --strategies full,lora --trials 20

It tries learning rates, epochs and options of each strategy (--search names others), prunes trials that lag behind, and
never opens --test_file. After an interruption the same command resumes until there are --trials. The same command
started several times, at once or on machines that share the folder, works on the same search. It writes best.yaml, and

    nlp-transfer classify --config runs/tune/best.yaml

then trains with the best options and scores the test rows. Needs pip install "nlp-transfer[tune]".
"""

import logging
from typing import NamedTuple

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.tune")


class Options(NamedTuple):
    """What can be set, by what it is about."""

    tuning: nt.TuningOptions
    model: nt.ModelOptions
    data: nt.DataOptions
    text_head: nt.SentimentOptions
    word_head: nt.NEROptions
    strategy: nt.StrategyOptions
    training: nt.TrainingOptions
    cache: nt.CacheOptions


def main() -> None:
    """Read data, search, print the trials."""
    options = nt.parse(Options, __doc__)
    nt.require_optuna()
    nt.require_files(options.data)  # at once: the next line loads torch

    splits, head = nt.rows_to_tune_on(
        options.tuning.task,
        options.data,
        of_texts=options.text_head,
        of_words=options.word_head,
        seed=options.training.seed,
    )
    splits = nt.check_quickly(splits, strict=options.data.strict_data)
    for note in splits.notes:
        log.info(note)

    tuned = nt.tune(
        options.tuning,
        splits,
        head=head,
        model=options.model,
        data=options.data,
        of_texts=options.text_head,
        of_words=options.word_head,
        strategy=options.strategy,
        training=options.training,
        cache=options.cache,
    )
    print(tuned.table())
    if doubt := tuned.doubt():
        log.info(doubt)
    log.info(tuned.next_step())


if __name__ == "__main__":
    nt.run_recipe(main)
