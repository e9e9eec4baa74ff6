"""The kinds of rows that heads are trained on, and how each is read."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from nlp_transfer.errors import OptionError


@dataclass(frozen=True)
class RowKind:
    """A kind of rows: texts with labels, or words with tags where it is `tagged`.

    `problem` is that of rows whose options name none; without one it is inferred from their labels. Labels that are
    `ordered` may be numbers and stay labels. `refused` are the
    data options that do not apply to such rows, `refused_problems` values of `--problem`; `refusal` is the error.
    """

    name: str
    sample_suffix: str
    tagged: bool = False
    problem: str | None = None
    ordered: bool = False
    refused: tuple[str, ...] = ()
    refused_problems: tuple[str, ...] = ()
    refusal: str = ""

    @property
    def infers_problem(self) -> bool:
        """Whether the labels decide if a text has one label, several, or a number."""
        return not self.tagged and self.problem is None


CLASSIFICATION = RowKind("classification", "csv")
SENTIMENT = RowKind(
    "sentiment",
    "jsonl",
    problem="single_label",
    ordered=True,
    refused=("label_columns", "label_delimiter"),
    refused_problems=("multi_label",),
    refusal="sentiment is one level or one number a text; several labels are for: nlp-transfer classify.",
)
NER = RowKind(
    "ner",
    "conll",
    tagged=True,
    refused=("problem", "text_pair_column_name", "label_columns", "label_delimiter", "label_names", "decimal_mark"),
    refusal="--{option} is for texts with labels; leave it out for tagged words.",
)

ROW_KINDS = {kind.name: kind for kind in (CLASSIFICATION, SENTIMENT, NER)}


def row_kind_named(name: str) -> RowKind:
    """The kind of rows of that name. Raises OptionError for another name, and names the nearest."""
    if name not in ROW_KINDS:
        near = difflib.get_close_matches(name, ROW_KINDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"the kinds are {', '.join(ROW_KINDS)}."
        raise OptionError(f"there is no kind of rows '{name}'; {hint}")
    return ROW_KINDS[name]
