"""Options of exporting a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nlp_transfer.config.option_fields import check_values, option
from nlp_transfer.errors import OptionError

FORMS = ("fp32", "int8")
"""The forms of a network that can be exported."""


@dataclass
class ExportOptions:
    """What is exported, where to, and what it may lose."""

    _argument_group_name: ClassVar[str] = "export"

    output_dir: str | None = option(None, help="The folder.", default_text="exported/ in the run", most_used=1)
    overwrite_output_dir: bool = option(False, help="Replace the export that the folder holds.")
    forms: list[str] = option(
        default_factory=lambda: list(FORMS),
        choices=FORMS,
        help="Forms of the network to keep and measure.",
        most_used=2,
    )
    take: str | None = option(
        None,
        choices=FORMS,
        help="The form that becomes model.onnx; an error where it loses more than the budget.",
        default_text="the fastest within the budget",
        most_used=3,
    )
    validation_file: str | None = option(
        None,
        help="Rows that every form answers, read as the run read its own.",
        default_text="the rows that the run has kept",
        most_used=4,
    )
    budget: float = option(0.5, help="Points of the score that a form may lose.", at_least=0)
    least_agreement: float = option(
        99.0,
        help="Percent of the labels (NER: of the words' tags) that must be those of the run.",
        above=0,
        at_most=100,
    )
    per_device_eval_batch_size: int = option(32, help="Rows of one batch, where speed is measured.", above=0)
    trust_remote_code: bool = option(False, help="Run code that comes with the model.")

    def __post_init__(self) -> None:
        self.forms = [form for part in self.forms for form in part.split(",") if form]
        check_values(self)
        if not self.forms:
            raise OptionError("--forms names none; give fp32, int8 or both.")
        if self.take and self.take not in self.forms:
            raise OptionError(f"--take {self.take} is not among --forms {','.join(self.forms)}; add it there.")
