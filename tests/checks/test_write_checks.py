"""The page needs nothing else, says everything in words too, and takes no text for code."""

from __future__ import annotations

import json

import pytest
from conftest import Elements
from made import FILLER, sentences, texts

from nlp_transfer.checks.check_data import check_data
from nlp_transfer.checks.check_table import report_table
from nlp_transfer.checks.write_checks import page, write_report
from nlp_transfer.run.html.drawing import fitting

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'></text></svg>&amp; $x_1$ {{ 7 * 7 }}"


@pytest.fixture(params=["texts", "tags"])
def evil_page(request, tmp_path) -> str:
    if request.param == "texts":
        rows = [(f"{EVIL} {i % 3}", f"{EVIL}{'ab'[i % 2]}") for i in range(12)]
        return page(check_data(texts(tmp_path, rows, None, rows[:3])))
    rows = [[(EVIL, f"B-{EVIL}"), (EVIL, f"I-{kind}")] for kind in ("x", EVIL)]
    return page(check_data(sentences(tmp_path, rows, rows[:1]), "ner"))


def test_texts_and_labels_cannot_inject(evil_page):
    elements = Elements(evil_page).seen
    assert not {"script", "img", "iframe", "object", "link", "form"} & {tag for tag, _ in elements}
    assert not [name for _, attributes in elements for name in attributes if name.startswith("on")]
    assert evil_page.count("<svg") == evil_page.count("</svg>") > 0
    assert "{{ 7 * 7 }}" in evil_page  # as it stands in the data


def test_the_page_fetches_nothing(evil_page):
    for tag, attributes in Elements(evil_page).seen:
        for name in ("src", "href", "xlink:href", "action"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert "@import" not in evil_page
    assert "url(http" not in evil_page


def test_pictures_have_words_and_no_id_stands_twice(evil_page):
    elements = Elements(evil_page).seen
    pictures = [attributes for _, attributes in elements if attributes.get("role") == "img"]
    assert len(pictures) == evil_page.count("<svg")
    assert all(len(picture["aria-label"] or "") > 20 for picture in pictures)
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_many_labels_are_all_named(tmp_path):
    rows = [(f"text {i}", f"label {i % 77}") for i in range(154)]
    made = page(check_data(texts(tmp_path, rows)))
    assert all(f">label {i}</text>" in made for i in range(77))


def test_labels_are_cut_to_what_has_room():
    assert fitting("short", 100) == "short"
    assert fitting("a" * 60, 100).endswith("…")
    assert len(fitting("長" * 60, 100)) < len(fitting("a" * 60, 100))


def test_what_is_written_is_what_was_found(tmp_path):
    report = check_data(texts(tmp_path, [*FILLER, FILLER[0]], None, [FILLER[1], ("new", "b")]))
    write_report(tmp_path, report)
    read = json.loads((tmp_path / "check.json").read_text())
    assert [finding["kind"] for finding in read["findings"]] == [finding.kind for finding in report.findings]
    assert read["overlaps"] == [{"split": "test", "other": "train", "exact": 1, "near": 0}]
    assert read["splits"]["train"]["labels"] == {"a": 3, "b": 2}
    assert "1 of 2 (50.0%) test rows are also in train" in (tmp_path / "check.html").read_text()
    assert "leak: 1 of 2 (50.0%) test rows are also in train" in report_table(report)


def test_a_clean_data_set_has_no_findings(tmp_path):
    rows = [(f"{letter} {letter}{letter}", "ab"[i % 2]) for i, letter in enumerate("klmnopqrstuvwxyz")]
    report = check_data(texts(tmp_path, rows))
    assert report.findings == ()
    assert "No findings." in report_table(report)
    assert "<p>No findings.</p>" in page(report)
