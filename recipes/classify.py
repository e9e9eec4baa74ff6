"""Fine-tune an encoder to give each text, or each pair of texts, one label, several labels, or a number.

    accelerate launch recipes/classify.py --train_file train.csv --test_file test.csv
    nlp-transfer classify --train_file train.csv --test_file test.csv

Several labels are lists (JSONL, Parquet), or named by --label_columns late,rude or --label_delimiter ";"; a column of
fractions is a number (--problem says what else it is); pairs have a second text in --text_pair_column_name.
Without options it trains on the sample set of the package, messages to a city's service desk with eight labels:
accuracy 0.82 on its test rows, where TF-IDF with a linear SVM has 0.41, in one to three minutes on two CPU cores.

With --checkpoint_every "500 steps" it can be killed at any time; the same command with --resume continues the run.
"""

import logging
from typing import NamedTuple

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.classify")


class Options(NamedTuple):
    """What can be set, by what it is about."""

    model: nt.ModelOptions
    data: nt.DataOptions
    head: nt.ClassificationOptions
    strategy: nt.StrategyOptions
    training: nt.TrainingOptions
    unknown: nt.RejectionOptions
    cache: nt.CacheOptions
    output: nt.OutputOptions


def main() -> None:
    """Read data, make a head, load, choose, fit, evaluate, write."""
    options = nt.parse(Options, __doc__)
    nt.require_files(options.data)  # at once: what follows loads torch
    nt.launch_processes(options.training.processes)
    strategy = nt.strategy_from(options.strategy)
    training, cache, output = options.training, options.cache, options.output

    target = output.output_dir or "runs/classify"
    with nt.RunFolder(target, output.overwrite_output_dir, output.resume, training.verify) as folder:
        splits, head = nt.TextClassificationHead.load_task(options.data, options.head, seed=training.seed)
        splits = nt.check_quickly(splits, strict=options.data.strict_data)
        accelerator = nt.make_accelerator(training, folder.path)
        for note in splits.notes:
            log.info(note)

        nt.set_seed(training.seed)
        model = nt.TransferModel.from_options(options.model, head)
        folder.require_room(2 * model.bytes)
        if options.unknown.reject:
            nt.require_rejection(model, splits)

        strategy, strategy_options = nt.resolve_strategy(
            strategy,
            options.strategy,
            model=model,
            splits=splits,
            training=training,
            accelerator=accelerator,
            cache=cache,
            folder=folder.path,
        )
        splits = splits if options.unknown.reject else strategy.splits(splits)
        run = nt.fit(
            model,
            splits,
            options=training,
            accelerator=accelerator,
            strategy=strategy,
            cache=cache,
            checkpoints=folder.checkpoints,
            resume=output.resume,
        )
        nt.fit_rejection(model, splits, options.unknown, accelerator, training.per_device_eval_batch_size)
        report = nt.evaluate_run(
            model,
            splits,
            run=run,
            accelerator=accelerator,
            batch_size=training.per_device_eval_batch_size,
            cache=cache,
        )
        if report:  # on the first process
            options = options._replace(strategy=strategy_options)
            nt.write_run(folder.path, model, splits=splits, report=report, options=options)
            print(report.table())
        accelerator.end_training()
    log.info("The run is in %s.", folder.target)


if __name__ == "__main__":
    nt.run_recipe(main)
