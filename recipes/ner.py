"""Fine-tune an encoder to find entities: persons, places, products, whatever the tags name.

    accelerate launch recipes/ner.py --train_file train.conll --test_file test.conll

Without options it trains on the sample set of the package: sentences with four entity types.

With --checkpoint_every "500 steps" it can be killed at any time; the same command with --resume goes on.
"""

import logging

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.ner")


def main() -> None:
    """Read, train, score, write: one straight path."""
    options = nt.parse(
        [
            nt.ModelOptions,
            nt.DataOptions,
            nt.NEROptions,
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

    with nt.RunFolder(output.output_dir or "runs/ner", output.overwrite_output_dir, output.resume) as folder:
        splits = nt.load_splits(data_options, "ner", training.seed)
        splits = nt.check_quickly(splits, strict=data_options.strict_data)
        accelerator = nt.make_accelerator(training, folder.path)
        head, splits = nt.NERHead.for_splits(splits, **vars(head_options))
        for note in splits.notes:
            log.info(note)

        nt.set_seed(training.seed)
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
