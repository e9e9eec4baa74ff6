"""Options of the folders that a run writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nlp_transfer.config.option_fields import check_values, option
from nlp_transfer.errors import OptionError

CHECKPOINTS = "checkpoints"
"""The folder in that of a run that holds its state until it ends."""


@dataclass
class CacheOptions:
    """Where activations of frozen layers are cached, so that these layers run once."""

    _argument_group_name: ClassVar[str] = "cache"

    cache_dir: str | None = option(
        None, help="Folder of the cache.", default_text="$NLP_TRANSFER_CACHE, or one in the user's cache folder"
    )
    cache_dtype: str = option(
        "auto",
        choices=("auto", "fp32", "bf16", "fp16"),
        help="Type of the cached numbers; auto is that of --mixed_precision.",
    )
    cache_gb: float | None = option(
        None, help="Room for it on disk; 0 for none.", at_least=0, default_text="a tenth of what is free"
    )

    def __post_init__(self) -> None:
        check_values(self)


@dataclass
class OutputOptions:
    """Where the run goes."""

    _argument_group_name: ClassVar[str] = "output"

    output_dir: str | None = option(
        None, help="Folder of the run.", default_text="runs/ and the recipe's name", most_used=6
    )
    overwrite_output_dir: bool = option(False, help="Replace the run that the folder holds.")
    report: bool = option(True, help="Write report.html, a page that shows the run; false leaves it out.")
    resume: str | None = option(
        None,
        const="",
        help="Resume from the newest checkpoint of a run that was stopped: the one in --output_dir, or in the folder "
        "named, which may also be that of one checkpoint.",
    )

    def __post_init__(self) -> None:
        if not self.resume:
            return
        path = Path(self.resume)
        run = path.parent.parent if path.parent.name == CHECKPOINTS else path
        if not path.is_dir():
            raise OptionError(f"--resume {self.resume} is no folder; name that of a run, or of one of its checkpoints.")
        if self.output_dir and Path(self.output_dir).resolve() != run.resolve():
            raise OptionError(f"--resume {self.resume} resumes the run in {run}; leave --output_dir out.")
        self.output_dir = str(run)
        self.resume = self.resume if run != path else ""


@dataclass
class ReportOptions:
    """Where the page goes."""

    _argument_group_name: ClassVar[str] = "output"

    output_file: str | None = option(
        None,
        help="The page.",
        default_text="report.html, of one run in its folder, of several in the current one",
    )
