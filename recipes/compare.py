"""Train several strategies and encoders on the same rows, and say which to take, how surely, and at what cost.

    python recipes/compare.py --train_file train.csv --test_file test.csv --strategies freeze,features:svm,lora,full \
--fractions 0.05,0.2,1.0 --seeds 3

Beside them stand the majority label, TF-IDF with a linear SVM, and the same network from random weights (`scratch`).
Choosing is done on validation rows; test rows are scored once for each training. Stopped, by whatever, the same command
goes on where it was; more candidates, fractions and seeds may be asked for then. It takes the options of data, heads,
strategies and training that the recipes of the tasks take. Leave --num_train_epochs out where fractions are small: few
rows are then seen more often. --workers trainings run at once; their models are measured, and not kept.
"""

import logging

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.compare")


def main() -> None:
    """Read, train all, compare, write: one straight path."""
    options = nt.parse(
        [
            nt.CompareOptions,
            nt.ModelOptions,
            nt.DataOptions,
            nt.SentimentOptions,
            nt.NEROptions,
            nt.StrategyOptions,
            nt.TrainingOptions,
            nt.CacheOptions,
            nt.OutputOptions,
        ],
        __doc__,
    )
    compare, model_options, data_options, of_texts, of_words, strategy_options, training, cache, output = options
    nt.require_files(data_options)  # told at once: the next line loads torch
    encoders = compare.encoders or [model_options.model_name_or_path]
    candidates = nt.candidates_from(compare.strategies, encoders, strategy_options)

    folder = nt.ComparisonFolder(output.output_dir or "runs/compare", output.overwrite_output_dir)
    splits, head = nt.read_task(compare.task, data_options, of_texts, of_words, training.seed)
    splits = nt.check_quickly(splits, strict=data_options.strict_data)
    for note in splits.notes:
        log.info(note)

    found = nt.compare(folder, candidates, splits, head, compare, model_options, training, cache)

    nt.write_comparison(folder, found, *options)
    print(nt.comparison_table(found))
    log.info("The comparison is in %s.", folder.path)


if __name__ == "__main__":
    nt.run_recipe(main)
