"""Characters of a text that nobody sees."""

from __future__ import annotations

import unicodedata

_SAME_TO_THE_EYE = ("Cf", "Cc", "Zs", "Zl", "Zp")  # format and control characters, and blanks of every kind


def bare(text: str) -> str:
    """A text without characters that cannot be seen, and with one blank for each run of blanks of any kind.

    >>> bare("la\\u00adbel\\u200b")
    'label'
    """
    shown = (c if unicodedata.category(c) != "Cf" else "" for c in unicodedata.normalize("NFKC", text))
    return " ".join("".join(shown).split())


def odd_characters(text: str) -> list[str]:
    """The characters of a text that cannot be told from others, or from none, each once: "U+200B ZERO WIDTH SPACE".

    These are format and control characters, blanks that are no plain blank or stand at an end, and forms of letters
    that stand for plain ones, as full-width ones do.
    """
    odd = [c for c in text if c != " " and (unicodedata.category(c) in _SAME_TO_THE_EYE or _is_a_form(c))]
    if text != text.strip(" "):
        odd.append(" ")
    return [f"U+{ord(c):04X} {unicodedata.name(c, 'CONTROL CHARACTER')}" for c in dict.fromkeys(odd)]


def _is_a_form(character: str) -> bool:
    plain = unicodedata.normalize("NFKC", character)
    return plain != character and plain != unicodedata.normalize("NFC", character)
