"""The rows of a task and its head, read as the recipe of the task reads them."""

from __future__ import annotations

import dataclasses
from typing import Any

from nlp_transfer.config import DataOptions, NEROptions, SentimentOptions
from nlp_transfer.data.splits import Splits
from nlp_transfer.errors import OptionError
from nlp_transfer.heads import HEADS, TaskHead, head_named


def read_task(
    task: str,
    data: DataOptions,
    of_texts: SentimentOptions | None = None,
    of_words: NEROptions | None = None,
    seed: int = 0,
    *,
    options: Any = None,
) -> tuple[Splits, TaskHead]:
    """The splits of `task`, that of a registered head, and the head that its own recipe would give them.

    `options` are the `task_options` of the head, in place of those that `of_texts` and `of_words` have for it. Raises
    DataError and OptionError, the latter also for an option of another task.

    >>> splits, head = nt.read_task("irony", data, options=IronyOptions(tone=["dry"]))
    """
    head = head_named(task)
    if options is None:
        options = task_options_from(task, *(group for group in (of_texts, of_words) if group is not None))
    elif not isinstance(options, head.task_options):
        raise OptionError(f"the task {task} takes {head.task_options.__name__}; got {type(options).__name__}.")
    return head.load_task(data, options, seed)


def task_options_from(task: str, *groups: Any) -> Any:
    """The `task_options` of a task's head, with the values that differ from the defaults in groups of options.

    Raises OptionError for such a value of an option of another task.
    """
    kind = head_named(task).task_options
    own = {field.name for field in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for group in groups:
        defaults = vars(type(group)())
        values |= {name: value for name, value in vars(group).items() if value != defaults[name]}
    for name in values:
        if name not in own:
            raise OptionError(f"--{name} is of --task {' and '.join(_tasks_with(name))}, not of {task}; leave it out.")
    return kind(**values)


def _tasks_with(option: str) -> list[str]:
    return sorted(
        task
        for task, head in HEADS.items()
        if option in {field.name for field in dataclasses.fields(head.task_options)}
    )
