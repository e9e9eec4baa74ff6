"""Which encoder, and which of its layers, suits these rows? Told before anything is trained.

    python recipes/select_encoder.py --encoders all-MiniLM-L6-v2,bert-base-uncased --train_file train.csv

Each encoder runs once over at most --sample rows of train; a linear probe in cross-validation ranks them, and LogME,
H-score and NLEEP stand beside it. It prints a table and writes select.json and select.csv: a minute for MiniLM and
1,000 short texts on one core.
"""

import logging

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.select_encoder")


def main() -> None:
    """Read, look, tell: one straight path."""
    options = nt.parse([nt.SelectionOptions, nt.DataOptions, nt.CacheOptions, nt.OutputOptions], __doc__)
    selection_options, data_options, cache, output = options
    nt.require_files(data_options)  # told at once: what comes next loads torch

    # What this recipe wrote by itself it may write anew.
    with nt.RunFolder(
        output.output_dir or "runs/select_encoder", output.overwrite_output_dir or not output.output_dir
    ) as folder:
        task = nt.task_of(data_options, selection_options.task)
        splits = nt.load_splits(data_options, task, selection_options.seed)

        selection = nt.select_encoders(splits, selection_options, cache)

        nt.write_selection(folder.path, selection)
        print(nt.selection_table(selection))
    log.info("select.json and select.csv are in %s.", folder.target)


if __name__ == "__main__":
    nt.run_recipe(main)
