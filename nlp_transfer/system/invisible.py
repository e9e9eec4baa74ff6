"""Characters of a text that nobody sees."""

from __future__ import annotations

import unicodedata

_SAME_TO_THE_EYE = ("Cf", "Cc", "Zs", "Zl", "Zp")  # format and control characters, and blanks of every kind


def bare(text: str) -> str:
    """A text without characters that cannot be seen, and with one blank for each run of blanks of any kind.

    >>> bare("la\\u00adbel\\u200b")
    'label'
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    normal = unicodedata.normalize("NFKC", text)
    shown = (c if unicodedata.category(c) != "Cf" and c not in _UNSEEN else "" for c in normal)
    return " ".join("".join(shown).split())


def odd_characters(text: str) -> list[str]:
    """The characters of a text that nobody sees, or takes for a plain blank, each once: "U+200B ZERO WIDTH SPACE"."""
    odd = [c for c in text if c != " " and _is_unseen(c) and c not in _OF_SCRIPTS]
    if text != text.strip(" "):
        odd.append(" ")
    return [f"U+{ord(c):04X} {unicodedata.name(c, 'CONTROL CHARACTER')}" for c in dict.fromkeys(odd)]


def forms_of_letters(text: str) -> list[str]:
    """The characters that stand for plain ones, as full-width letters do, or join others, each once and in words."""
    odd = [c for c in text if c in _OF_SCRIPTS or (not c.isascii() and not _is_unseen(c) and _stands_for_another(c))]
    return [f"U+{ord(c):04X} {unicodedata.name(c, 'CHARACTER')}" for c in dict.fromkeys(odd)]


def visible(text: str) -> str:
    """A text with what nobody sees in it written out.

    >>> visible("good\\u200b")
    'good<U+200B>'
    """
    return "".join(f"<U+{ord(c):04X}>" if c != " " and _is_unseen(c) else c for c in text)


_UNSEEN = "\u034f\u115f\u1160\u2800\u3164\ufe0e\ufe0f"  # joiners, fillers and selectors of other categories


_OF_SCRIPTS = "\u200c\u200d\ufe0e\ufe0f"  # Persian, Hindi and emoji are written with them


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _SAME_TO_THE_EYE or character in _UNSEEN


def _stands_for_another(character: str) -> bool:
    plain = unicodedata.normalize("NFKC", character)
    return plain != character and plain != unicodedata.normalize("NFC", character)
