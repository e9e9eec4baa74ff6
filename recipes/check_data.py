"""Look at labelled texts before anything is trained on them.

    python recipes/check_data.py --train_file train.csv --test_file test.csv --label_errors

It prints what it finds, the worst first, and writes check.json and check.html, a page with pictures. It takes what the
training recipes take, and half a minute for 100,000 rows; --label_errors runs the encoder over all of them besides,
and --label_errors thorough trains it on them, twice for an epoch.
"""

import logging

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.check_data")


def main() -> None:
    """Read, look, tell: one straight path."""
    options = nt.parse(
        [nt.ModelOptions, nt.DataOptions, nt.CheckOptions, nt.CacheOptions, nt.OutputOptions],
        __doc__,
    )
    model_options, data_options, check_options, cache, output = options
    nt.require_files(data_options)  # told at once, as is a package that is missing
    nt.require_packages(check_options)

    # What this recipe wrote by itself it may write anew.
    with nt.RunFolder(
        output.output_dir or "runs/check_data", output.overwrite_output_dir or not output.output_dir
    ) as folder:
        task = nt.task_of(data_options, check_options.task)
        splits, unreadable = nt.read_for_checks(data_options, task)
        tokenizer, max_length = nt.tokenizer_of(model_options, of_words=task == "ner")

        report = nt.check_data(
            splits, task, tokenizer, max_length, check_options, model_options, cache, more=unreadable
        )  # fmt: skip

        nt.write_report(folder.path, report)
        print(nt.report_table(report))
    log.info("check.json and check.html are in %s.", folder.target)
    if data_options.strict_data:
        nt.refuse_leaks(report.findings)


if __name__ == "__main__":
    nt.run_recipe(main)
