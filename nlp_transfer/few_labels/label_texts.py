"""The texts that say what labels mean: their names in words, or the descriptions of a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nlp_transfer.config.yaml_files import read_yaml
from nlp_transfer.errors import OptionError

LabelTexts = Mapping[str, tuple[str, ...]]
"""One text or several that say what a label means, by the name of the label, in the order of label ids."""

_SHOWN = 5
_ENDS_OF_WORDS = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[_\W]+"


def words_of(name: str) -> str:
    """The name of a label in words: `card_arrival`, `card-arrival` and `cardArrival` become "card arrival".

    A name in which nothing is left then, such as `+`, stays as it is.
    """
    return " ".join(filter(None, re.split(_ENDS_OF_WORDS, name))) or name.strip() or name


def label_texts(labels: Iterable[str], path: str | Path | None = None) -> dict[str, tuple[str, ...]]:
    """The texts of `labels`, in their order: those of a YAML file where one is given, else their names in words.

    The file holds each label's name with one text or a list of them. Raises OptionError for a file that cannot be read,
    an empty text, a text of two labels, a label of the file that is none of `labels`, or a label that it lacks.

    >>> label_texts(["card_arrival", "lost_card"])
    {'card_arrival': ('card arrival',), 'lost_card': ('lost card',)}
    """
    labels = list(labels)
    if path is None:
        return {name: (words_of(name),) for name in labels}
    texts = read_label_texts(path)
    _require_same_labels(texts, labels, path)
    return {name: texts[name] for name in labels}


def read_label_texts(path: str | Path) -> dict[str, tuple[str, ...]]:
    """The labels of a YAML file and their texts, as `label_texts` reads them. Raises OptionError."""
    values = read_yaml(Path(path), str(path))
    if not values:
        raise OptionError(f"{path} holds no labels; write lines such as 'lost_card: my card was lost or stolen'.")
    texts = {_name(name, path): _texts(name, value, path) for name, value in values.items()}
    owners: dict[str, str] = {}
    for name, several in texts.items():
        for text in several:
            owner = owners.setdefault(text.casefold(), name)
            if owner != name:
                raise OptionError(
                    f"{path}: the labels '{owner}' and '{name}' have the same description '{text}', which tells them "
                    f"apart in nothing; change one of them."
                )
    return texts


def _name(name: Any, path: str | Path) -> str:
    if not isinstance(name, str) or not name.strip():
        raise OptionError(f"{path}: a label has no name; write lines such as 'lost_card: my card was lost or stolen'.")
    return name


def _texts(name: str, value: Any, path: str | Path) -> tuple[str, ...]:
    several = value if isinstance(value, list) else [value]
    for text in several:
        if isinstance(text, dict | list):
            raise OptionError(f"{path}: the description of the label '{name}' must be a text, or a list of texts.")
    texts = tuple(dict.fromkeys(" ".join(("" if text is None else str(text)).split()) for text in several))
    if not texts or "" in texts:
        raise OptionError(f"{path}: the description of the label '{name}' is empty; write what it means, or its name.")
    return texts


def _require_same_labels(texts: LabelTexts, labels: list[str], path: str | Path) -> None:
    if unknown := [name for name in texts if name not in labels]:
        raise OptionError(f"{path} describes {_listed(unknown)}, which no row has; take out what is not in the data.")
    if missing := [name for name in labels if name not in texts]:
        raise OptionError(f"{path} does not describe {_listed(missing)}, which rows have; add a line for each.")


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)
    return f"the label {shown}" if len(names) == 1 else f"{len(names)} labels ({shown})"
