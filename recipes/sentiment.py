"""Fine-tune an encoder to place each text on an ordered scale, such as negative < neutral < positive.

    accelerate launch recipes/sentiment.py --train_file reviews.csv --label_column_name stars

A numeric score is cut into levels: --levels negative neutral positive --level_edges -0.5 0.5
or learned as the number that it is: --problem regression
Without options it trains on the sample set of the package: short customer reviews, three levels.

With --checkpoint_every "500 steps" it can be killed at any time; the same command with --resume goes on.
"""

import logging

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.sentiment")


def main() -> None:
    """Read, train, score, write: one straight path."""
    options = nt.parse(
        [
            nt.ModelOptions,
            nt.DataOptions,
            nt.SentimentOptions,
            nt.StrategyOptions,
            nt.TrainingOptions,
            nt.CacheOptions,
            nt.OutputOptions,
        ],
        __doc__,
    )
    model_options, data_options, head_options, strategy_options, training, cache, output = options
    nt.require_files(data_options)  # told at once: the next line loads torch
    strategy = nt.strategy_from(strategy_options)

    def prepare(rows: nt.Rows) -> nt.Rows:
        levels, edges = head_options.levels, head_options.level_edges
        return nt.cut_into_levels(rows, levels, edges) if edges else rows

    with nt.RunFolder(output.output_dir or "runs/sentiment", output.overwrite_output_dir, output.resume) as folder:
        splits = nt.load_splits(data_options, "sentiment", training.seed, prepare)
        splits = nt.check_quickly(splits, strict=data_options.strict_data)
        accelerator = nt.make_accelerator(training, folder.path)
        for note in splits.notes:
            log.info(note)

        nt.set_seed(training.seed)
        shape = {k: v for k, v in vars(head_options).items() if k not in ("levels", "level_edges")}
        head: nt.TextHead
        if data_options.problem == "regression":
            head = nt.RegressionHead.for_splits(splits, **vars(head_options))
        else:
            head = nt.SentimentHead.for_splits(splits, head_options.levels, head_options.level_edges, **shape)
        model = nt.TransferModel.load(
            model_options.model_name_or_path,
            head,
            max_length=model_options.max_length,
            revision=model_options.model_revision,
            trust_remote_code=model_options.trust_remote_code,
            keep_head=model_options.keep_head,
        )
        folder.require_room(2 * model.bytes)

        strategy = nt.settled(strategy, strategy_options, model, splits, training, accelerator, cache, folder.path)
        run = nt.fit(model, splits, training, accelerator, strategy, cache, folder.checkpoints, output.resume)

        report = nt.evaluate_run(model, splits, run, accelerator, training.per_device_eval_batch_size, cache)
        if report:
            nt.write_run(folder.path, model, splits, report, *options)
            print(report.table())
        accelerator.end_training()
    log.info("The run is in %s.", folder.target)


if __name__ == "__main__":
    nt.run_recipe(main)
