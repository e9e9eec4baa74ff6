"""Labels that look alike, and labels with characters that nobody sees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nlp_transfer.data.labels import problem_of
from nlp_transfer.data.row_store import values
from nlp_transfer.data.rows import Rows
from nlp_transfer.system.invisible import bare, forms_of_letters, odd_characters, visible

_SHOWN = 5


def alike_names(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ by case, white space, unicode form or characters that nobody sees alone."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(bare(name).casefold().replace(" ", ""), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def odd_in(names: Iterable[str], *, forms: bool = False) -> dict[str, list[str]]:
    """The names that hold characters which nobody sees, and these; with `forms`, those that stand for others too."""
    found = ((name, odd_characters(name) + (forms_of_letters(name) if forms else [])) for name in names)
    return {name: odd for name, odd in found if odd}


def in_words(odd: Mapping[str, Sequence[str]]) -> str:
    """Names and their odd characters: " ('good<U+200B>' has U+200B ZERO WIDTH SPACE)"; nothing for none."""
    if not odd:
        return ""
    parts = [f"'{visible(name)}' has {', '.join(characters)}" for name, characters in list(odd.items())[:_SHOWN]]
    return f" ({'; '.join(parts)}{' ...' * (len(odd) > _SHOWN)})"


def notes_on_names(rows: Rows) -> tuple[str, ...]:
    """A sentence each for labels, or tags, that look alike or hold what nobody sees."""
    column = "tags" if "tags" in rows.data.column_names else "label"
    if column == "label" and problem_of(rows.data) == "regression":
        return ()
    found = values(rows.data, column)
    is_list = column == "tags" or problem_of(rows.data) == "multi_label"
    names = dict.fromkeys((name for several in found for name in several) if is_list else found)
    kind = "tag" if column == "tags" else "label"
    groups = alike_names(names)
    notes = []
    for group in groups[:_SHOWN]:
        listed = ", ".join(f"'{visible(name)}'" for name in group)
        odd = in_words(odd_in(group, forms=True))
        notes.append(f"{rows.source}: the {kind}s {listed} look alike, and count as different ones{odd}.")
    in_groups = {name for group in groups for name in group}
    if others := odd_in(name for name in names if name not in in_groups):
        what = f"a {kind} has" if len(others) == 1 else f"{len(others):,} {kind}s have"
        notes.append(f"{rows.source}: {what} characters that nobody sees{in_words(others)}.")
    return tuple(notes)
