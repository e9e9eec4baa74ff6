"""Check labelled texts for leaks, duplicates, rare and wrong labels before anything is trained on them.

    python recipes/check_data.py --train_file train.csv --test_file test.csv --label_errors
    nlp-transfer check_data --train_file train.csv --test_file test.csv --label_errors

It prints its findings, the worst first, and writes check.json and check.html, a page with pictures. It reads the files
that the training recipes read; 100,000 rows take half a minute. --label_errors runs the encoder over all rows as well,
and --label_errors thorough trains it on them, for one epoch twice.
"""

import logging
from typing import NamedTuple

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.check_data")


class Options(NamedTuple):
    """What can be set, by what it is about."""

    model: nt.ModelOptions
    data: nt.DataOptions
    check: nt.CheckOptions
    cache: nt.CacheOptions
    output: nt.OutputOptions


def main() -> None:
    """Read data, check it, write the findings."""
    options = nt.parse(Options, __doc__)
    nt.require_files(options.data)  # at once: what follows loads torch
    nt.require_packages(options.check)

    target = options.output.output_dir or "runs/check_data"
    overwrite = options.output.overwrite_output_dir or not options.output.output_dir  # its default folder is its own
    with nt.RunFolder(target, overwrite=overwrite) as folder:
        task = nt.task_of(options.data, options.check.task)
        splits, unreadable = nt.read_for_checks(options.data, task)
        tokenizer, max_length = nt.tokenizer_of(options.model, of_words=task == "ner")

        report = nt.check_data(
            splits,
            task,
            tokenizer=tokenizer,
            max_length=max_length,
            options=options.check,
            model_options=options.model,
            cache=options.cache,
            more=unreadable,
        )

        nt.write_report(folder.path, report)
        print(nt.report_table(report))
    log.info("check.json and check.html are in %s.", folder.target)
    if options.data.strict_data:
        nt.refuse_leaks(report.findings)


if __name__ == "__main__":
    nt.run_recipe(main)
