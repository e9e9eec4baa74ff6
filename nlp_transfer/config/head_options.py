"""What is a task's head, and how does it weigh its labels?"""

from __future__ import annotations

from dataclasses import dataclass

from transformers.hf_argparser import HfArg

from nlp_transfer.errors import OptionError


@dataclass
class ClassificationOptions:
    """The shape of a classification head, and what its loss weighs."""

    pooling: str = HfArg(default="native", help="native (the family's own head), cls, mean or max.")
    hidden: list[int] = HfArg(default_factory=list, help="Units of dense ReLU layers before the softmax layer.")
    dropout: float | None = HfArg(default=None, help="Dropout of the head. Unless given: the family's own.")
    label_smoothing: float = HfArg(default=0.0, help="Share of each target spread over all labels.")
    class_weights: str = HfArg(
        default="none",
        help="none, balanced or effective_number: factors on the loss that make up for rare labels, as --loss "
        "logit_adjusted does in another way.",
    )
    loss: str = HfArg(default="cross_entropy", help="cross_entropy, focal or logit_adjusted.")
    focal_gamma: float = HfArg(default=2.0, help="How much less focal loss counts rows that the network is sure of.")
    long_texts: str = HfArg(
        default="truncate", help="Of texts beyond --max_length: truncate, head_tail, or window (all, in windows)."
    )
    window_pooling: str = HfArg(default="mean", help="mean or max of the logits of a text's windows.")

    def __post_init__(self) -> None:
        # As they are unless given, they may stand in the options.yaml of any run.
        if self.focal_gamma != 2 and self.loss != "focal":
            raise OptionError(f"--focal_gamma is of --loss focal, and the loss is {self.loss}; leave it out.")
        if self.window_pooling != "mean" and self.long_texts != "window":
            raise OptionError(f"--window_pooling needs --long_texts window, which is {self.long_texts}; leave it out.")


@dataclass
class SentimentOptions(ClassificationOptions):
    """The scale of a sentiment head, beside the shape of a classification head."""

    levels: list[str] = HfArg(
        default_factory=list, help="The labels, lowest first. Unless given: told from their names."
    )
    level_edges: list[float] = HfArg(
        default_factory=list, help="Where a numeric label is cut into levels, one fewer than --levels."
    )


@dataclass
class NEROptions:
    """How tags are spelt, in the data and in the network."""

    tag_scheme: str | None = HfArg(
        default=None, help="Scheme of the data: IOB1, IOB2, BIOES, BILOU. Unless given: recognised."
    )
    label_scheme: str = HfArg(default="IOB2", help="Scheme of the network's labels.")
