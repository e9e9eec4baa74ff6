"""Where does a run keep what it makes?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers.hf_argparser import HfArg

from nlp_transfer.config.option_values import require
from nlp_transfer.errors import OptionError

CHECKPOINTS = "checkpoints"
"""The folder in that of a run that holds its state until it ends."""


@dataclass
class CacheOptions:
    """Where the outputs of frozen layers are kept, so that these layers run once."""

    cache_dir: str | None = HfArg(
        default=None, help="Folder of the cache. Unless given: $NLP_TRANSFER_CACHE, or one in the user's cache folder."
    )
    cache_dtype: str = HfArg(default="auto", help="fp32, bf16, fp16; auto is that of --mixed_precision.")
    cache_gb: float | None = HfArg(
        default=None, help="Room for it on disk; 0 for none. Unless given: a tenth of what is free."
    )

    def __post_init__(self) -> None:
        dtypes = ("auto", "fp32", "bf16", "fp16")
        require(self, "cache_dtype", lambda value: value in dtypes, "auto, fp32, bf16 or fp16")
        require(self, "cache_gb", lambda value: value >= 0, "0 or more")


@dataclass
class OutputOptions:
    """Where the run goes."""

    output_dir: str | None = HfArg(default=None, help="Folder of the run. Unless given: runs/ and the recipe's name.")
    overwrite_output_dir: bool = HfArg(default=False, help="Replace the run that the folder holds.")
    report: bool = HfArg(default=True, help="Write report.html, a page that shows the run; false leaves it out.")
    resume: str | None = HfArg(
        default=None,
        metadata={"nargs": "?", "const": ""},
        help="Go on from the newest checkpoint of a run that was stopped: the one in --output_dir, or in the folder "
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
            raise OptionError(f"--resume {self.resume} goes on in {run}; leave --output_dir out.")
        self.output_dir = str(run)
        self.resume = self.resume if run != path else ""


@dataclass
class ReportOptions:
    """Where the page goes."""

    output_file: str | None = HfArg(
        default=None,
        help="The page. Unless given: report.html, of one run in its folder, of several in the current one.",
    )
