"""Options of telling texts that are unlike anything in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nlp_transfer.config.option_fields import check_values, option
from nlp_transfer.errors import OptionError


@dataclass
class RejectionOptions:
    """Whether the model is to mark texts unlike anything in training, and rows to try that on."""

    _argument_group_name: ClassVar[str] = "unknown texts"

    reject: bool = option(False, help='Mark texts unlike anything in training: "known": false in predictions.')
    reject_keeps: float = option(
        95.0, help="Percent of the validation rows that the threshold keeps as known.", above=0, below=100
    )
    unknown_file: str | None = option(
        None, help="Texts of no label of these, in any form of file, to measure how well they are told."
    )

    def __post_init__(self) -> None:
        check_values(self)
        if self.unknown_file and not self.reject:
            raise OptionError("--unknown_file measures --reject; give both, or neither.")
