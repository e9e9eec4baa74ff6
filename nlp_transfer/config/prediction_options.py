"""What does a trained model predict, and how?"""

from __future__ import annotations

from dataclasses import dataclass

from transformers.hf_argparser import HfArg

from nlp_transfer.config.option_values import PRECISIONS, require, require_given
from nlp_transfer.errors import OptionError


@dataclass
class PredictionOptions:
    """Which model predicts what, and where to."""

    model_name_or_path: str | None = HfArg(default=None, help="Trained model: a run's folder, or a hub id.")
    model_revision: str | None = HfArg(default=None, help="Branch, tag or commit of a hub id.")
    trust_remote_code: bool = HfArg(default=False, help="Run code that comes with the checkpoint.")
    max_length: int | None = HfArg(default=None, help="Tokens read of a text. Unless given: as in training.")
    input_file: str | None = HfArg(
        default=None,
        help="CSV, TSV, JSONL, JSON, Parquet, Arrow, CoNLL columns, .spacy, .txt with one text a line, or a folder "
        "of .txt with one text each.",
    )
    dataset_name: str | None = HfArg(default=None, help="A data set of the hub, in place of a file.")
    dataset_config_name: str | None = HfArg(default=None, help="Which configuration of that data set.")
    dataset_split_name: str | None = HfArg(default=None, help="Which split of it. Unless given: test.")
    text_column_name: str | None = HfArg(default=None, help="Column with the text (NER: or lists of words).")
    text_pair_column_name: str | None = HfArg(default=None, help="Column with the second text, for a model of pairs.")
    id_column_name: str | None = HfArg(
        default=None, help="Column that is copied beside each prediction; of a folder: file."
    )
    skip_bad_rows: bool = HfArg(default=False, help="Leave out rows that cannot be used instead of stopping.")
    delimiter: str | None = HfArg(
        default=None, help="What stands between columns: a character, or tab, comma, ... Unless given: told from rows."
    )
    conll_columns: str | None = HfArg(default=None, help="Column of the word in CoNLL columns, such as 1 or FORM.")
    output_file: str | None = HfArg(default=None, help="Where to: a .jsonl or .parquet file, one line a row.")
    overwrite_output_file: bool = HfArg(default=False, help="Replace the file that is there.")
    all_probabilities: bool = HfArg(default=False, help="Write the probability of every label.")
    calibrated: bool = HfArg(
        default=True, help="Scale probabilities by what was fitted to validation rows; false: those of the network."
    )
    abstain_below: float | None = HfArg(
        default=None, help="Say nothing of a row whose probability is less; the best guess stands beside it."
    )
    per_device_eval_batch_size: int = HfArg(default=32, help="Rows of one process in one forward pass.")
    mixed_precision: str = HfArg(
        default="auto", help="no, bf16, fp16; auto takes bf16 where the processor has instructions for it."
    )
    check_precision: int = HfArg(
        default=256, help="First rows that are predicted in fp32 too, to tell how many labels agree; 0 for none."
    )

    def __post_init__(self) -> None:
        for name in ("model_name_or_path", "output_file"):
            require_given(self, name)
        if not self.dataset_name:
            require_given(self, "input_file")
        elif self.input_file:
            raise OptionError("--input_file and --dataset_name both say what to predict; give one of them.")
        for name in ("dataset_config_name", "dataset_split_name"):
            if getattr(self, name) and not self.dataset_name:
                raise OptionError(f"--{name} needs the --dataset_name that it belongs to.")
        for name in ("per_device_eval_batch_size", "max_length"):
            require(self, name, lambda value: value > 0, "more than 0")
        require(self, "check_precision", lambda value: value >= 0, "0 or more")
        require(self, "abstain_below", lambda value: 0 < value <= 1, "more than 0, and 1 at most")
        require(self, "mixed_precision", lambda value: value in PRECISIONS, "auto, no, bf16 or fp16")
