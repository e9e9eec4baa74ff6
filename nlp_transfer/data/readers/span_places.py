"""The places of spans in a text, in HTML and in a dialogue, as Label Studio writes them."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from typing import Any, NamedTuple

from nlp_transfer.data.readers.columns import TEXT
from nlp_transfer.data.readers.offsets import bare

LABELS = ("labels", "hypertextlabels", "htmllabels", "paragraphlabels")
"""Under these names the labels of a span of text, HTML or dialogue stand; others are of pictures, sound and film."""

_MARKUP = re.compile(r"</?[a-zA-Z!][^<>]*>|&(?:#\d+|#x[0-9a-fA-F]+|[a-zA-Z]+);")
_BLOCKS = frozenset(
    {
        "address", "article", "aside", "blockquote", "br", "caption", "dd", "div", "dl", "dt", "figcaption", "figure",
        "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section",
        "table", "td", "th", "tr", "ul",
    }
)  # fmt: skip
_HIDDEN = ("script", "style")
_ROOT = re.compile(r"(?:/text\(\)\[1\])?")  # the XPath of a text without markup
_ADDRESS = re.compile(r"(?:https?|s3|gs|azure-blob)://\S+|/data/\S+")
_SPOKEN = (*TEXT.known, "phrase", "message", "body")  # usual names of what is said in a dialogue


class Marked(NamedTuple):
    """A text, and the spans in it, as `span_layouts.marks_of` takes them."""

    text: Any
    spans: Sequence[Any]


class Refusal(NamedTuple):
    """Why a row has no spans to learn from; where that `is_meant`, an annotator has taken it out."""

    fault: str
    is_meant: bool = False


def placed(field: Any, spans: Sequence[Any], is_html: bool) -> Marked | Refusal:
    """The text of a field and its spans, with offsets into that text: of HTML into its text without tags, of a list
    of paragraphs into these, a line each."""
    if is_dialogue(field):
        return _in_dialogue(field, spans)
    if not isinstance(field, str):
        return Refusal("no text")
    if spans and _ADDRESS.fullmatch(field) and not holds(field, spans):
        return Refusal(f"an address in place of its text ({field[:60]})")
    if is_html and _MARKUP.search(field):
        return _in_html(field, spans)
    return _with_offsets(field, spans)


def is_dialogue(field: Any) -> bool:
    """Whether a field of a task is a list of paragraphs, each an object of texts."""
    return isinstance(field, list) and bool(field) and all(isinstance(part, dict) and part for part in field)


def spoken(field: Any) -> Any:
    """A dialogue as one text, a line for each paragraph; any other field as it is."""
    if not is_dialogue(field):
        return field
    key = _spoken_key(field, [])
    return field if key is None else "\n".join(str(part.get(key) or "") for part in field)


def shows_html(marked: Marked | Refusal) -> bool:
    """Whether spans mark places in HTML, by XPath, and their field has such markup."""
    if isinstance(marked, Refusal) or not isinstance(marked.text, str) or not _MARKUP.search(marked.text):
        return False
    return any(isinstance(span, dict) and str(span.get("start")).startswith("/") for span in marked.spans)


def holds(field: Any, spans: Sequence[Any]) -> bool:
    """Whether a field has the texts that its spans have; an address of a text has them only where these are given."""
    whole = bare(" ".join(str(text) for part in field for text in part.values()) if is_dialogue(field) else field)
    surfaces = [span["text"] for span in spans if isinstance(span, dict) and isinstance(span.get("text"), str)]
    return all(bare(surface) in whole for surface in surfaces) and (
        bool(surfaces) or not _ADDRESS.fullmatch(str(field))
    )


def _with_offsets(text: str, spans: Sequence[Any]) -> Marked | Refusal:
    found = []
    for span in spans:
        if isinstance(span, dict) and isinstance(span.get("start"), str) and span["start"].startswith("/"):
            offsets = _path_offsets(span)
            if offsets is None:
                return Refusal(f"a span by XPath without globalOffsets ({span['start'][:60]})")
            span = span | {"start": offsets[0], "end": offsets[1]}
        found.append(_plain(span))
    return Marked(text, found)


def _path_offsets(span: Mapping[str, Any]) -> tuple[Any, Any] | None:
    whole = span.get("globalOffsets")
    if isinstance(whole, dict):
        return whole.get("start"), whole.get("end")
    if all(_ROOT.fullmatch(str(span.get(end))) for end in ("start", "end")):
        return span.get("startOffset"), span.get("endOffset")
    return None


def _plain(span: Any) -> Any:
    """A span with its labels under the name "labels"."""
    if not isinstance(span, dict):
        return span
    name = next((name for name in LABELS if name in span), None)
    kept = {key: span[key] for key in ("start", "end", "text", "answer") if key in span}
    return kept if name is None else kept | {"labels": span[name]}


def _in_html(html: str, spans: Sequence[Any]) -> Marked | Refusal:
    if any(isinstance(span, dict) and not isinstance(span.get("text"), str) for span in spans):
        return Refusal("a span of HTML without its text, by which its place can be checked")
    found = _with_offsets(html, spans)
    if isinstance(found, Refusal):
        return found
    # A browser may count <br> as a character or not: the texts of the spans tell.
    tried = [_without_markup(html, found.spans, counts_break) for counts_break in (False, True)]
    return next((marked for marked in tried if all(_stands(marked.text, span) for span in marked.spans)), tried[0])


def _without_markup(html: str, spans: Sequence[Any], counts_break: bool) -> Marked:
    """The text of HTML, a line end where words of two blocks would meet, and the spans with offsets into that."""
    parser = _TextOf(counts_break)
    parser.feed(html)
    parser.close()
    placed_spans = []
    for span in spans:
        if isinstance(span, dict) and all(isinstance(span.get(end), int) for end in ("start", "end")):
            added = [bisect_right(parser.added, span["start"]), bisect_left(parser.added, span["end"])]
            span = span | {"start": span["start"] + added[0], "end": span["end"] + added[1]}
        placed_spans.append(span)
    return Marked("".join(parser.parts), placed_spans)


def _stands(text: str, span: Any) -> bool:
    if not isinstance(span, dict) or not all(isinstance(span.get(end), int) for end in ("start", "end")):
        return False
    return bare(text[span["start"] : span["end"]]) == bare(str(span.get("text")))


class _TextOf(HTMLParser):
    """The text of HTML in `parts`; `added` are the offsets at which a line end stands that no offset counts."""

    def __init__(self, counts_break: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.counts_break = counts_break
        self.parts = [""]
        self.added: list[int] = []
        self.length = self.hidden = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.hidden += tag in _HIDDEN
        if tag == "br" and self.counts_break:
            self.handle_data("\n")
        elif tag in _BLOCKS:
            self.part()

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in _HIDDEN and self.hidden > 0
        if tag in _BLOCKS:
            self.part()

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data)
            self.length += len(data)

    def part(self) -> None:
        """Begin a line, unless one begins here already."""
        if self.parts[-1] and not self.parts[-1][-1].isspace():
            self.parts.append("\n")
            self.added.append(self.length)


def _in_dialogue(paragraphs: Sequence[Mapping[str, Any]], spans: Sequence[Any]) -> Marked | Refusal:
    key = _spoken_key(paragraphs, spans)
    if key is None:
        return Refusal("no text in its paragraphs")
    texts = [str(part.get(key) or "") for part in paragraphs]
    lengths = [len(text.encode("utf-16-le", "surrogatepass")) // 2 + 1 for text in texts]  # as a browser counts
    begins = [0, *itertools.accumulate(lengths)]
    found = []
    for span in spans:
        if not isinstance(span, dict):
            return Refusal("a span that is no object")
        places = [str(span.get(end)) for end in ("start", "end")]
        offsets: list[Any] = [span.get(name) for name in ("startOffset", "endOffset")]
        if not all(re.fullmatch("[0-9]{1,9}", place) and int(place) < len(texts) for place in places):
            return Refusal(f"a span in a paragraph that is not there ({', '.join(places)})")
        if not all(isinstance(offset, int) for offset in offsets):
            return Refusal(f"a span without its offsets in the paragraph ({', '.join(places)})")
        start, end = (begins[int(place)] + offset for place, offset in zip(places, offsets, strict=True))
        found.append(_plain(span | {"start": start, "end": end}))
    return Marked("\n".join(texts), found)


def _spoken_key(paragraphs: Sequence[Mapping[str, Any]], spans: Sequence[Any]) -> str | None:
    """The name under which paragraphs have what is said: a usual one, or the one that has the longest texts."""
    lengths: dict[str, int] = {}
    for part in paragraphs:
        for name, value in part.items():
            if isinstance(value, str):
                lengths[name] = lengths.get(name, 0) + len(value)
    ranked = [name for name in _SPOKEN if name in lengths] or sorted(lengths, key=lambda name: -lengths[name])
    surfaces = [bare(span["text"]) for span in spans if isinstance(span, dict) and isinstance(span.get("text"), str)]
    for name in [*ranked, *lengths]:
        whole = bare(" ".join(str(part.get(name) or "") for part in paragraphs))
        if all(surface in whole for surface in surfaces):
            return name
    return ranked[0] if ranked else None
