"""Options of scoring files with an engine that has many workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nlp_transfer.config.option_fields import PRECISIONS, QUOTINGS, check_values, option, require_given


@dataclass
class ScoringOptions:
    """Which model scores which files, and where to."""

    _argument_group_name: ClassVar[str] = "scoring"

    model_name_or_path: str | None = option(None, help="A run's folder, an exported one, or a hub id.", most_used=1)
    input_file: str | None = option(
        None, help="Parquet, CSV, TSV or JSONL; wildcards and folders name several.", most_used=2
    )
    output_dir: str | None = option(
        None, help="Folder of Parquet files, in the order of the input; all workers must see it.", most_used=3
    )
    overwrite_output_dir: bool = option(False, help="Remove what another model, input or options left in it.")
    workers: int | None = option(
        None, help="Processes that score.", above=0, default_text="those of the cluster; one a core on one machine"
    )
    threads: int = option(1, help="Threads of each worker.", above=0)
    rows_per_part: int = option(20_000, help="Rows of a file of the output: what a worker takes on at once.", above=0)
    text_column_name: str | None = option(None, help="Column with the text (NER: or lists of words).")
    text_pair_column_name: str | None = option(None, help="Column with the second text, for a model of pairs.")
    delimiter: str | None = option(
        None, help="What stands between columns of CSV: a character, or tab, comma, ...",
        default_text="inferred from the rows",
    )  # fmt: skip
    quoting: str = option(
        "csv", choices=QUOTINGS, help="CSV and TSV: quotes hold a field together (csv), or belong to the text (none)."
    )
    prefix: str = option("", help="Stands before the names of the new columns, for rows that have a label already.")
    skip_bad_rows: bool = option(False, help="Rows without a text get no prediction, instead of stopping the run.")
    all_probabilities: bool = option(False, help="Write the probability of every label.")
    calibrated: bool = option(
        True, help="Scale probabilities by what was fitted to validation rows; false: those of the network."
    )
    abstain_below: float | None = option(
        None,
        help="Abstain on a row whose probability is less; the best guess stands beside it.",
        above=0,
        at_most=1,
    )
    per_device_eval_batch_size: int = option(32, help="Rows of one forward pass.", above=0)
    mixed_precision: str = option(
        "auto",
        choices=PRECISIONS,
        help="no, bf16, fp16; auto takes bf16 where the processor has instructions for it.",
    )
    max_length: int | None = option(None, help="Tokens read of a text.", above=0, default_text="as in training")
    trust_remote_code: bool = option(False, help="Run code that comes with the checkpoint.")

    def __post_init__(self) -> None:
        for name in ("model_name_or_path", "input_file", "output_dir"):
            require_given(self, name)
        check_values(self)
