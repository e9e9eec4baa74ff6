"""The folder that holds the state of a labelling loop, and survives a kill at any instant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.labelling.texts_to_label import RawText, check_order
from nlp_transfer.system.atomic_files import write_atomically
from nlp_transfer.system.locking import Lock

_FORMAT = 1  # raised when the content of the folder comes to mean something else
_STATE, _TEXTS, _LOCK = "state.json", "texts.jsonl", ".lock"

Answer = str | list[list[Any]]
"""What a row is labelled with: a label, or the entities `[start, end, type]` of its text, in characters."""


def spans_of(answer: Answer) -> list[list[Any]]:
    """The entities of an answer; a label has none."""
    return [] if isinstance(answer, str) else answer


def labels_in(answer: Answer) -> list[str]:
    """The label that an answer is, or the types of its entities."""
    return [answer] if isinstance(answer, str) else [kind for _, _, kind in answer]


@dataclass
class Batch:
    """Rows that were picked together, those of them that check the score, and the answers that were guessed.

    `file` is where they are written, as seen from the folder.
    """

    number: int
    format: str
    file: str
    rows: list[str]
    check: list[str]
    guesses: dict[str, Answer]
    is_written: bool = False


@dataclass
class State:
    """All that an action may change. It is one file, so that a kill leaves it as it was before an action or after it.

    `answers` are those of rows, `sources` the files they came from, `rejected` the rows that an annotator has refused,
    and `merged` the SHA-256 of each file that was merged, with its name.
    """

    task: str
    labels: dict[str, list[str]]
    encoder: str
    seed: int
    max_length: int | None = None
    batches: list[Batch] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)

    @property
    def waiting(self) -> list[str]:
        """The rows of all batches that have neither come back nor been rejected, in the order they were offered."""
        offered = dict.fromkeys(name for batch in self.batches for name in batch.rows)
        return [name for name in offered if name not in self.answers and name not in self.rejected]


class LabellingFolder:
    """The state of a labelling loop in its folder, which one process at a time may use.

    >>> with LabellingFolder("labelling") as folder:
    ...     folder.state.answers[row_id] = "praise"
    ...     folder.save()

    `texts` are the raw texts by their ids. Raises OptionError for a folder that another process uses, that cannot be
    written to, or that holds something else, and DataError for a state that is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.texts: dict[str, RawText] = {}
        self._state: State | None = None
        self._lock = Lock(
            self.path / _LOCK, f"--folder {path}: another process is using it; wait for its end, or name another one."
        )

    def __enter__(self) -> LabellingFolder:
        if self.path.exists() and not self.path.is_dir():
            raise OptionError(f"--folder {self.path} is not a folder; name one that is, or a new one.")
        others = [p.name for p in self.path.iterdir() if not p.name.startswith(".")] if self.path.is_dir() else []
        known = {_STATE, _TEXTS} & set(others)
        if others and not known and others != ["vectors"]:
            raise OptionError(f"--folder {self.path} holds other files, such as {min(others)}; name a new folder.")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except OSError as error:
            raise OptionError(f"cannot write to --folder {self.path}: {error.strerror}.") from error
        try:
            if _TEXTS in known:
                self.texts = {text.id: text for text in self._read(_TEXTS, _texts_in)}
            if _STATE in known:
                self._state = self._read(_STATE, _state_in)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lock.release()

    @property
    def is_new(self) -> bool:
        """Whether no batch was ever picked here."""
        return self._state is None

    @property
    def state(self) -> State:
        """The state. Raises OptionError for a folder without one."""
        if self._state is None:
            raise OptionError(
                f"--folder {self.path} holds no labelling yet; begin with: nlp-transfer label next --text_file raw.csv "
                f"--label_names a,b --folder {self.path}"
            )
        return self._state

    def begin(self, state: State) -> None:
        """Take this as the state, which `save` then writes."""
        self._state = state

    def save(self) -> None:
        """Write the state, all of it at once."""
        text = json.dumps({"format": _FORMAT, **asdict(self.state)}, ensure_ascii=False, indent=1)
        self.write(_STATE, text)

    def save_texts(self, texts: Iterable[RawText]) -> None:
        """Write the raw texts, which may only ever become more."""
        self.texts = {text.id: text for text in texts}
        lines = (json.dumps({"row_id": t.id, "text": t.text, "line": t.line}, ensure_ascii=False) for t in texts)
        self.write(_TEXTS, "".join(f"{line}\n" for line in lines))

    def write(self, name: str, text: str) -> Path:
        """Write a file of the folder atomically, and return its path."""
        path = self.path / name
        try:
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, text, flushed=True)
        except OSError as error:
            raise OptionError(f"cannot write {path}: {error.strerror}.") from error
        return path

    @property
    def check_ids(self) -> list[str]:
        """The rows that are kept apart to check the score, in the order in which they are offered."""
        return check_order(self.texts, self.state.seed)

    def answered(self, ids: Iterable[str]) -> list[str]:
        """Those of some rows that have an answer, in the order in which the answers came."""
        some = set(ids)
        return [name for name in self.state.answers if name in some]

    def _read(self, name: str, parse: Any) -> Any:
        path = self.path / name
        try:
            return parse(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise OptionError(f"cannot read {path}: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} is damaged, or of another version of this package ({type(error).__name__}: {error}); restore "
                f"it from a copy, or begin anew in another --folder."
            ) from error


def _texts_in(text: str) -> Sequence[RawText]:
    rows = (json.loads(line) for line in text.split("\n") if line)
    return [RawText(str(row["row_id"]), str(row["text"]), int(row["line"])) for row in rows]


def _state_in(text: str) -> State:
    values: Mapping[str, Any] = json.loads(text)
    if values["format"] != _FORMAT:
        raise ValueError(f"format {values['format']}, not {_FORMAT}")
    fields = {name: value for name, value in values.items() if name != "format"}
    return State(**{**fields, "batches": [Batch(**batch) for batch in fields["batches"]]})
