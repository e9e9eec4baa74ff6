"""Rank encoders, and the layers of each, for a training file before anything is trained.

    python recipes/select_encoder.py --encoders all-MiniLM-L6-v2,bert-base-uncased --train_file train.csv
    nlp-transfer select_encoder --encoders all-MiniLM-L6-v2,bert-base-uncased --train_file train.csv

Each encoder runs once over at most --sample rows of train; a cross-validated linear probe ranks them, and the table
shows LogME, H-score and NLEEP beside it. It prints the table and writes select.json and select.csv: a minute for MiniLM
and 1,000 short texts on one core.
"""

import logging
from typing import NamedTuple

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.select_encoder")


class Options(NamedTuple):
    """What can be set, by what it is about."""

    selection: nt.SelectionOptions
    data: nt.DataOptions
    cache: nt.CacheOptions
    output: nt.OutputOptions


def main() -> None:
    """Read data, rank the encoders, write the table."""
    options = nt.parse(Options, __doc__)
    nt.require_files(options.data)  # at once: what follows loads torch

    target = options.output.output_dir or "runs/select_encoder"
    overwrite = options.output.overwrite_output_dir or not options.output.output_dir  # its default folder is its own
    with nt.RunFolder(target, overwrite=overwrite) as folder:
        task = nt.task_of(options.data, options.selection.task)
        splits = nt.load_splits(options.data, task, seed=options.selection.seed)

        selection = nt.select_encoders(splits, options.selection, cache=options.cache)

        nt.write_selection(folder.path, selection)
        print(nt.selection_table(selection))
    log.info("select.json and select.csv are in %s.", folder.target)


if __name__ == "__main__":
    nt.run_recipe(main)
