"""The registered task heads, by the name of their task."""

from __future__ import annotations

import difflib
from typing import Any, TypeVar

from nlp_transfer.data.labels import problem_of
from nlp_transfer.data.row_kinds import ROW_KINDS
from nlp_transfer.data.splits import Splits
from nlp_transfer.errors import OptionError
from nlp_transfer.heads.task_head import TaskHead

HEADS: dict[str, type[TaskHead]] = {}
"""Task name -> head; a saved model names its task."""

_DECLARED = (
    "task", "title", "reads", "recipe", "auto_class", "pipeline_tag", "peft_task", "prediction", "best_metric",
    "headline_scores", "slice_metric", "choice_metric", "task_options",
)  # fmt: skip

Head = TypeVar("Head", bound=type[TaskHead])


def register_head(head: Head) -> Head:
    """Register a head under its task, for saved models that name it, and for recipes with a `--task`.

    A class decorator. Raises TypeError for a class that lacks what `TaskHead` declares, or has another head's task.

    >>> @register_head
    ... class IronyHead(TextClassificationHead):
    ...     task = "irony"
    """
    if missing := [name for name in _DECLARED if not hasattr(head, name)]:
        raise TypeError(f"{head.__name__} does not declare {', '.join(missing)}, which every head has; see TaskHead.")
    other = HEADS.get(head.task)
    if other and (other.__module__, other.__qualname__) != (head.__module__, head.__qualname__):
        raise TypeError(f"{head.__name__}: the task {head.task!r} is that of {other.__name__}; choose another name.")
    HEADS[head.task] = head
    return head


def head_named(task: str) -> type[TaskHead]:
    """The class of a task's head. Raises OptionError for a task that is not registered, and names the nearest."""
    if task not in HEADS:
        near = difflib.get_close_matches(task, HEADS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"the tasks are {', '.join(HEADS)}."
        raise OptionError(f"there is no task {task!r}; {hint}")
    return HEADS[task]


def text_head_for(splits: Splits, **options: Any) -> Any:
    """The head for the labels of `splits`: one a text, several a text, or a number.

    Raises OptionError for `options` that such a head does not have.

    >>> head = text_head_for(load_splits(DataOptions(train_file="mails.jsonl"), "classification"), pooling="mean")
    """
    problem = problem_of(splits.train.data)
    head = next(head for head in HEADS.values() if getattr(head, "problem", None) == problem)
    return head.for_splits(splits, **options)  # type: ignore[attr-defined]


def head_of_rows(splits: Splits, **options: Any) -> tuple[TaskHead, Splits]:
    """The head for the tags or the labels of `splits`, and the splits as it trains on them.

    `options` are those of a head for labels (`text_head_for`); a head for tags gets none.
    """
    if not splits.are_tagged:
        return text_head_for(splits, **options), splits
    tagged = [kind.name for kind in ROW_KINDS.values() if kind.tagged]
    head = next(head for head in HEADS.values() if head.reads in tagged)
    return head.for_splits(splits)  # type: ignore[attr-defined, no-any-return]
