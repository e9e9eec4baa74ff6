"""Search for the options that a training recipe does best with, on validation rows alone, and write them to best.yaml.

    python recipes/tune.py --train_file train.csv --task classification --strategies full,lora --trials 20

It tries rates, epochs and options of each strategy (--search says others), ends early what lags behind, and never opens
--test_file. Stopped, by whatever, the same command goes on until there are --trials. The same command started several
times, at once or on machines that share the folder, works on the same search. At the end

    accelerate launch recipes/classify.py --config runs/tune/best.yaml

trains with the best options, and scores the test rows. Needs pip install "nlp-transfer[tune]".
"""

import logging

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.tune")


def main() -> None:
    """Read, try, write: one straight path."""
    options = nt.parse(
        [
            nt.TuningOptions,
            nt.ModelOptions,
            nt.DataOptions,
            nt.SentimentOptions,
            nt.NEROptions,
            nt.StrategyOptions,
            nt.TrainingOptions,
            nt.CacheOptions,
        ],
        __doc__,
    )
    tuning, model, data, of_texts, of_words, strategy, training, cache = options
    nt.require_optuna()
    nt.require_files(data)  # told at once: the next line loads torch

    splits, head = nt.rows_to_tune_on(tuning.task, data, of_texts, of_words, training.seed)
    splits = nt.check_quickly(splits, strict=data.strict_data)
    for note in splits.notes:
        log.info(note)

    tuned = nt.tune(tuning, splits, head, model, data, of_texts, of_words, strategy, training, cache)
    print(tuned.table())
    if doubt := tuned.doubt():
        log.info(doubt)
    log.info("The best options are in %s. Train with them: %s", tuned.best, tuned.command)


if __name__ == "__main__":
    nt.run_recipe(main)
