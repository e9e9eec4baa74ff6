"""Texts that were read in a wrong encoding are found; whole languages are left alone."""

from __future__ import annotations

import pytest
from made import lines, parts, texts

from nlp_transfer.checks.encoding_errors import encoding_findings, is_broken

WHOLE = [
    "Ein schöner Tag für Straßen, Ärger und „Spaß“ – „Größe“",
    "L'été, à Noël: «ça coûte 5 €», façade, où, œuvre… Â l'arrivée",
    "São Paulo, informação, AMANHÃ, maçã",
    "Żółć, łódź, Škoda, România: în câmpie, Țară",
    "“Quotes” and ‘more’ – dashes — and … dots • 20 °C ½ £5",
    "Москва, Ñandú, Ðóra, 今天天气很好, 東京タワー, ภาษาไทย, עברית 😀🎉",
]


@pytest.mark.parametrize("text", WHOLE)
def test_whole_texts_are_whole(text):
    assert not is_broken(text)


@pytest.mark.parametrize("page", ["cp1252", "latin-1"])
@pytest.mark.parametrize("text", ["café crème", "“well” he said", "it’s", "£5", "Москва", "5 – 6", "😀"])
def test_what_was_read_in_a_wrong_code_page_is_broken(text, page):
    assert is_broken(text.encode().decode(page, errors="replace"))


def test_rows_are_told_by_line(tmp_path):
    train = [("fine", "a"), ("cafÃ©", "b"), ("café", "a"), ("lost \ufffd", "b")]
    (finding,) = encoding_findings(parts(texts(tmp_path, train)))
    assert lines(finding) == [2, 4]
    assert finding.examples[0].note == "U+00C3 at character 4"
