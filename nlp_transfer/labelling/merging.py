"""What comes back from labelling: matched with the rows that were offered, and kept; what does not fit is listed."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nlp_transfer.config import LabellingOptions
from nlp_transfer.config.option_fields import require_given
from nlp_transfer.data.character_spans import to_characters, word_offsets
from nlp_transfer.data.readers.bad_rows import some_numbers
from nlp_transfer.data.readers.reader_registry import require_file
from nlp_transfer.errors import DataError
from nlp_transfer.labelling.batch_formats import ROW_ID
from nlp_transfer.labelling.labelling_folder import Answer, LabellingFolder, labels_in
from nlp_transfer.labelling.returned_rows import NO_LABEL, ReturnedRow, ReturnedRows, read_returned
from nlp_transfer.labelling.texts_to_label import RawText, id_of

log = logging.getLogger(__name__)


class Problem(NamedTuple):
    """A row whose answer is not kept, or replaces another one; `what` is its kind, `detail` what it is about."""

    row: ReturnedRow
    what: str
    detail: str = ""


class Merged(NamedTuple):
    """What a file has brought: rows with a new answer, with the one they had, without one, and rejected ones."""

    new: list[str]
    same: int
    unlabelled: int
    rejected: list[str]
    problems: list[Problem]


def merge_file(options: LabellingOptions) -> Merged:
    """Keep the answers of `options.labelled_file` in the folder; the file itself is never written to.

    Rows are matched by id, else by text. Rows that do not fit are listed in a file of the folder, and are the
    DataError that is raised once all others are kept, unless `options.skip_bad_rows`. A file that is merged again
    changes nothing. Raises DataError for a file that cannot be read, OptionError for a folder without a state.
    """
    require_given(options, "labelled_file")
    path = Path(str(options.labelled_file))
    require_file(path)
    with LabellingFolder(options.folder) as folder:
        returned = read_returned(options, folder.state.task)
        digest = _digest(path)
        merged = _merge(folder, returned, path.name, is_again=digest in folder.state.merged)
        folder.state.merged.setdefault(digest, path.name)
        listed = _list_problems(folder, path, digest, merged.problems)  # before the rest: nothing may go missing
        folder.save()
        for note in returned.notes:
            log.info(note)
        _log_merged(folder, path, merged)
    _report(path, merged, returned.unit, listed, options.skip_bad_rows)
    return merged


def _merge(folder: LabellingFolder, returned: ReturnedRows, source: str, *, is_again: bool) -> Merged:
    state, matching = folder.state, _Matching(folder)
    merged = Merged([], 0, 0, [], [])
    answers: dict[str, list[tuple[ReturnedRow, Answer]]] = defaultdict(list)
    rejected: dict[str, ReturnedRow] = {}
    same = unlabelled = 0
    for row in returned.rows:
        match = matching.of(row)
        if isinstance(match, Problem):
            merged.problems.append(match)
        elif row.is_rejected:
            rejected[match.id] = row
        elif row.fault in NO_LABEL:
            unlabelled += 1
        elif row.fault:
            merged.problems.append(Problem(row, "with", row.fault))
        else:
            answer = _answer(row, match)
            unknown = [name for name in labels_in(answer) if name not in state.labels]
            if unknown:
                merged.problems.append(Problem(row, "with an unknown label", unknown[0]))
            else:
                answers[match.id].append((row, answer))
    for name, several in answers.items():
        rows, first = [row for row, _ in several], several[0][1]
        if any(answer != first for _, answer in several):
            merged.problems.extend(Problem(row, "that come twice with two answers", name) for row in rows)
            continue
        before = state.answers.get(name)
        if before is not None and before != first and is_again:
            continue  # a file that was merged since has changed it
        if before == first:
            same += 1
            continue
        if before is not None:
            log.warning(
                "%s: the answer of row %s is now %s; it was %s, from %s.",
                source, name, shown(first), shown(before), state.sources.get(name, "?"),
            )  # fmt: skip
        state.answers[name], state.sources[name] = first, source
        state.rejected.pop(name, None)
        merged.new.append(name)
    if matching.by_text:
        count = matching.by_text
        known = f"{count:,} rows with an unknown id are" if count > 1 else "1 row with an unknown id is"
        log.warning("%s: %s known by the text.", source, known)
    for name in rejected:
        if name not in answers and name not in state.answers and name not in state.rejected:
            state.rejected[name] = source
            merged.rejected.append(name)
    return merged._replace(same=same, unlabelled=unlabelled)


class _Matching:
    """Which raw text a row is: by its id where that fits its text, else by its text or its words."""

    def __init__(self, folder: LabellingFolder) -> None:
        self.by_text = 0  # rows whose id is unknown, and whose text is not
        self._texts = folder.texts
        self._by_words = (
            {_words_of(text.text): text for text in folder.texts.values()} if folder.state.task == "ner" else {}
        )

    def of(self, row: ReturnedRow) -> RawText | Problem:
        """The raw text of a row, or why it is none."""
        known = self._texts.get(row.id or "")
        by_content = self._by_content(row)
        if known and (by_content is known or (row.text is None and row.words is None)):
            return known
        if known:
            if by_content:
                return Problem(row, "with the text of another row than the one of its id", row.id or "")
            return Problem(row, "whose text is not the one that was given out")
        if by_content:
            self.by_text += row.id is not None
            return by_content
        if row.id is None:
            return Problem(row, "without an id, and with a text that was not given out")
        return Problem(row, "with an unknown id, and with a text that was not given out", row.id)

    def _by_content(self, row: ReturnedRow) -> RawText | None:
        found = self._texts.get(id_of(row.text)) if row.text is not None else None
        if found is None and row.words is not None:
            found = self._by_words.get(row.words)
        return found


def _words_of(text: str) -> tuple[str, ...]:
    return tuple(text[start:end] for start, end in word_offsets(text))


def _answer(row: ReturnedRow, raw: RawText) -> Answer:
    """The answer of a row; entities with their characters in the raw text."""
    if row.words is None:
        return str(row.answer)
    return [[start, end, kind] for start, end, kind in to_characters(row.answer, word_offsets(raw.text))]


def shown(answer: Answer) -> str:
    """An answer in words."""
    if isinstance(answer, str):
        return f"'{answer}'"
    return ", ".join(f"{kind} [{start}, {end}]" for start, end, kind in answer) or "no entity"


def _digest(path: Path) -> str:
    """The SHA-256 of a file, or of all files of a folder."""
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _list_problems(folder: LabellingFolder, path: Path, digest: str, problems: Sequence[Problem]) -> Path | None:
    """Write the rows that were not merged, each with what it held, and return the path of the file."""
    if not problems:
        return None
    lines = (json.dumps(_listed(problem), ensure_ascii=False) for problem in problems)
    return folder.write(f"problems/{path.stem}-{digest[:8]}.jsonl", "".join(f"{line}\n" for line in lines))


def _listed(problem: Problem) -> Mapping[str, Any]:
    row = problem.row
    values: dict[str, Any] = {"problem": f"{problem.what} {problem.detail}".strip(), "at": row.at, ROW_ID: row.id}
    if row.words is None:
        return values | {"text": row.text, "label": row.answer}
    entities = [[kind, first, end] for kind, first, end in row.answer]
    return values | {"text": row.text, "words": list(row.words), "entities": entities}


def _log_merged(folder: LabellingFolder, path: Path, merged: Merged) -> None:
    state = folder.state
    what = [f"{len(merged.new):,} row{'s' * (len(merged.new) != 1)} labelled"]
    if merged.same:
        what.append(f"{merged.same:,} as before")
    if merged.unlabelled:
        what.append(f"{merged.unlabelled:,} without a label so far")
    if merged.rejected:
        what.append(f"{len(merged.rejected):,} rejected, which are not offered again (next --offer_again does)")
    log.info("%s: %s.", path, ", ".join(what))
    back = {*merged.new, *merged.rejected}
    for batch in state.batches:
        out = [name for name in batch.rows if name not in state.answers and name not in state.rejected]
        if out and back & set(batch.rows):
            log.info("Batch %d: %d of %d rows are still out.", batch.number, len(out), len(batch.rows))
        check = [name for name in batch.check if name in out]
        if check and len(check) == len(batch.check) and back & set(batch.guesses):
            log.warning(
                "Batch %d: none of its %d rows to check has a label; only those are not pre-filled, so look whether "
                "anybody has labelled the others.", batch.number, len(batch.check),
            )  # fmt: skip


def _report(path: Path, merged: Merged, unit: str, listed: Path | None, goes_on: bool) -> None:
    if not merged.problems:
        return
    groups: dict[str, list[Problem]] = defaultdict(list)
    for problem in merged.problems:
        groups[f"{problem.what} {problem.detail}" if problem.what == "with" else problem.what].append(problem)
    parts = [_in_words(what, some, unit) for what, some in groups.items()]
    line = (
        f"{path}: {len(merged.new) + merged.same:,} rows are merged, and these are not: {'; '.join(parts)}. All of "
        f"them are in {listed}, for you to mend and merge."
    )
    if goes_on:
        log.warning(line)
    else:
        raise DataError(line)


def _in_words(what: str, problems: Sequence[Problem], unit: str) -> str:
    """A kind of problem, how many rows have it, and where: "2 rows with an unknown label 'spam' (lines 3, 9)"."""
    details = list(Counter(problem.detail for problem in problems if problem.detail and problem.what != "with"))
    named = " " + ", ".join(f"'{name}'" for name in details[:3]) + " ..." * (len(details) > 3) if details else ""
    count = len(problems)
    return f"{count:,} row{'s' * (count > 1)} {what}{named} ({some_numbers([p.row.at for p in problems], unit)})"
