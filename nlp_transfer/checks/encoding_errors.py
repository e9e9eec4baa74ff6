"""Texts that were decoded with the wrong encoding."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nlp_transfer.checks.checked_rows import Part
from nlp_transfer.checks.finding import Finding, share, some

# What UTF-8 looks like when it is read as Windows-1252 or Latin-1. Each form is one that hardly any language writes:
# single letters such as a lone Ã or â are left alone, which Portuguese and Romanian have.
_HALVES = "\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"  # second bytes, as either code page shows them
_SIGNS = re.compile(
    "\ufffd"  # what a decoder puts where it gave up
    "|[\u0080-\u0084\u0086-\u009f]"  # control characters that only a wrong code page gives; 0085 is a line end
    "|Ã[\u0080-\u009f\u00a1-\u00bfƒ„…†‡ˆ‰Š‹Œ‘’“”•–—˜™š›œžŸ]"  # é as Ã©
    "|Â[\u00a0-\u00bf]"  # £ as Â£
    f"|â€[{_HALVES}]"  # a curly quote or a dash
    "|ï»¿"  # a byte order mark
    f"|ðŸ[{_HALVES}]"  # an emoji
    f"|(?:[ÐÑ][{_HALVES}]){{2}}"  # Cyrillic, two letters in a row
)


def is_broken(text: str) -> bool:
    """Whether a text shows signs of a wrong encoding, so-called mojibake.

    >>> is_broken("CafÃ© crÃ¨me"), is_broken("Café crème, São Paulo, Ärger")
    (True, False)
    """
    return not text.isascii() and _SIGNS.search(text) is not None


def encoding_findings(parts: Sequence[Part]) -> Iterator[Finding]:
    """Rows of each split that show signs of a wrong encoding."""
    for part in parts:
        rows = [index for index, text in enumerate(part.texts()) if is_broken(text)]
        if rows:
            yield Finding(
                "warning",
                "mojibake",
                f"{share(len(rows), len(part))} {part.name} rows show signs of a wrong encoding, such as Ã© for é.",
                f"Save {part.rows.source} as UTF-8 again from where its texts come from, or mend them with ftfy.",
                tuple(map(part.place, rows)),
                some(part.example(index, _sign(part.text(index))) for index in rows),
            )


def _sign(text: str) -> str:
    sign = _SIGNS.search(text)
    return f"U+{ord(sign.group()[0]):04X} at character {sign.start() + 1}" if sign else ""
