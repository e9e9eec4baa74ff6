"""Which rows and which head does a comparison of a task have?"""

from __future__ import annotations

from dataclasses import fields

from nlp_transfer.config import ClassificationOptions, DataOptions, NEROptions, SentimentOptions
from nlp_transfer.data.load import load_splits
from nlp_transfer.data.read_rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.errors import OptionError
from nlp_transfer.heads import NERHead, RegressionHead, SentimentHead, TaskHead, text_head_for
from nlp_transfer.heads.sentiment import cut_into_levels


def read_task(
    task: str, data: DataOptions, of_texts: SentimentOptions, of_words: NEROptions, seed: int = 0
) -> tuple[Splits, TaskHead]:
    """The splits of `task` (classification, sentiment or ner), and the head that its own recipe would give them.

    Raises DataError and OptionError, the latter also for an option of another task.
    """
    _refuse_options_of_others(task, of_texts, of_words)
    if task == "ner":
        head, splits = NERHead.for_splits(load_splits(data, task, seed), **vars(of_words))
        return splits, head
    shape = {field.name: getattr(of_texts, field.name) for field in fields(ClassificationOptions)}
    if task == "classification":
        splits = load_splits(data, task, seed)
        return splits, text_head_for(splits, **shape)
    levels, edges = of_texts.levels, of_texts.level_edges

    def prepare(rows: Rows) -> Rows:
        return cut_into_levels(rows, levels, edges) if edges else rows

    splits = load_splits(data, task, seed, prepare)
    if data.problem == "regression":
        return splits, RegressionHead.for_splits(splits, **vars(of_texts))
    return splits, SentimentHead.for_splits(splits, levels, edges, **shape)


def _refuse_options_of_others(task: str, of_texts: SentimentOptions, of_words: NEROptions) -> None:
    of_both = {field.name for field in fields(ClassificationOptions)}
    for group, blank in ((of_texts, SentimentOptions()), (of_words, NEROptions())):
        for name, value in vars(group).items():
            owners = ["ner"] if group is of_words else ["sentiment", *(["classification"] if name in of_both else [])]
            if task not in owners and value != getattr(blank, name):
                raise OptionError(f"--{name} is of --task {' and '.join(sorted(owners))}, not of {task}; leave it out.")
