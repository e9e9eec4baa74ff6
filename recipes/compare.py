"""Compare strategies and encoders on the same rows: which to take, how certain that is, and what each costs.

    python recipes/compare.py --train_file train.csv --test_file test.csv --strategies freeze,features:svm,lora,full \
--fractions 0.05,0.2,1.0 --seeds 3
    nlp-transfer compare --train_file train.csv --test_file test.csv --strategies freeze,lora,full --seeds 3

The baselines are the majority label, TF-IDF with a linear SVM, and the same network from random weights (`scratch`).
The choice is made on validation rows; test rows are scored once for each training. After an interruption the same
command resumes, also with more candidates, fractions and seeds. It takes the options of data, heads, strategies and
training that the training recipes take. Leave --num_train_epochs out where fractions are small: the default trains
longer on few rows. --workers trainings run at the same time; their models are scored and not saved.
"""

import logging
from typing import NamedTuple

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.compare")


class Options(NamedTuple):
    """What can be set, by what it is about."""

    compare: nt.CompareOptions
    model: nt.ModelOptions
    data: nt.DataOptions
    text_head: nt.SentimentOptions
    word_head: nt.NEROptions
    strategy: nt.StrategyOptions
    training: nt.TrainingOptions
    cache: nt.CacheOptions
    output: nt.OutputOptions


def main() -> None:
    """Name the candidates, read data, train and score them all, write."""
    options = nt.parse(Options, __doc__)
    nt.require_files(options.data)  # at once: the next lines load torch
    encoders = options.compare.encoders or [options.model.model_name_or_path]
    candidates = nt.candidates_from(options.compare.strategies, encoders, options=options.strategy)

    folder = nt.ComparisonFolder(options.output.output_dir or "runs/compare", options.output.overwrite_output_dir)
    splits, head = nt.read_task(
        options.compare.task,
        options.data,
        of_texts=options.text_head,
        of_words=options.word_head,
        seed=options.training.seed,
    )
    splits = nt.check_quickly(splits, strict=options.data.strict_data)
    for note in splits.notes:
        log.info(note)

    comparison = nt.compare(
        folder,
        candidates,
        splits=splits,
        head=head,
        options=options.compare,
        model=options.model,
        training=options.training,
        cache=options.cache,
    )

    nt.write_comparison(folder, comparison, *options)
    print(nt.comparison_table(comparison))
    log.info("The comparison is in %s.", folder.path)


if __name__ == "__main__":
    nt.run_recipe(main)
