"""Options of task heads: their shape, their loss, and how their labels are spelt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nlp_transfer.config.option_fields import check_values, option
from nlp_transfer.errors import OptionError

_TAG_SCHEMES = ("IOB1", "IOB2", "BIOES", "BILOU")


@dataclass
class ClassificationOptions:
    """The shape of a classification head, and what its loss weighs."""

    _argument_group_name: ClassVar[str] = "task head"

    pooling: str | None = option(
        None,
        choices=("native", "cls", "mean", "max"),
        help="native (the family's own head), cls, mean or max.",
        default_text="how a sentence encoder was trained to pool, native for others",
    )
    hidden: list[int] = option(default_factory=list, help="Units of dense ReLU layers before the softmax layer.")
    dropout: float | None = option(
        None, help="Dropout of the head.", default_text="the family's own", at_least=0, below=1
    )
    label_smoothing: float = option(0.0, help="Share of each target spread over all labels.", at_least=0, below=1)
    class_weights: str = option(
        "none",
        choices=("none", "balanced", "effective_number"),
        help="none, balanced or effective_number: factors on the loss that make up for rare labels, as --loss "
        "logit_adjusted does in another way.",
    )
    loss: str = option(
        "cross_entropy",
        choices=("cross_entropy", "focal", "logit_adjusted"),
        help="cross_entropy, focal or logit_adjusted.",
    )
    focal_gamma: float = option(
        2.0, help="How much less focal loss counts rows that the network is sure of.", at_least=0
    )
    long_texts: str = option(
        "truncate",
        choices=("truncate", "head_tail", "window"),
        help="Of texts beyond --max_length: truncate, head_tail, or window (all, in windows).",
    )
    window_pooling: str = option("mean", choices=("mean", "max"), help="mean or max of the logits of a text's windows.")

    def __post_init__(self) -> None:
        check_values(self)
        # Their defaults may stand in the options.yaml of any run.
        if self.focal_gamma != 2 and self.loss != "focal":
            raise OptionError(f"--focal_gamma needs --loss focal; got --loss {self.loss}.")
        if self.window_pooling != "mean" and self.long_texts != "window":
            raise OptionError(f"--window_pooling needs --long_texts window; got --long_texts {self.long_texts}.")


@dataclass
class SentimentOptions(ClassificationOptions):
    """The scale of a sentiment head, beside the shape of a classification head."""

    levels: list[str] = option(
        default_factory=list, help="The labels, lowest first.", default_text="inferred from their names"
    )
    level_edges: list[float] = option(
        default_factory=list, help="Where a numeric label is cut into levels, one fewer than --levels."
    )


@dataclass
class NEROptions:
    """How tags are spelt, in the data and in the network."""

    _argument_group_name: ClassVar[str] = "tags"

    tag_scheme: str | None = option(
        None,
        choices=_TAG_SCHEMES,
        help="Scheme of the data: IOB1, IOB2, BIOES, BILOU.",
        default_text="inferred from the tags",
    )
    label_scheme: str = option("IOB2", choices=_TAG_SCHEMES, help="Scheme of the network's labels.")

    def __post_init__(self) -> None:
        for name in ("tag_scheme", "label_scheme"):
            if scheme := getattr(self, name):
                setattr(self, name, "BIOES" if scheme.upper() == "IOBES" else scheme.upper())
        check_values(self)
