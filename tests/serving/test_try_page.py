"""The page to try the models, in a Chromium without a window."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chromium import CHROMIUM, Tab, opened
from contract_cases import lively
from random_models import models
from served import Server, served

import nlp_transfer as nt

__all__ = ["lively", "models"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")

TEXT = "😀 Anna was in Oslo 😀 <b>Boris</b>"


@pytest.fixture(scope="module")
def server(models, tmp_path_factory) -> Iterator[Server]:
    """All kinds of models side by side, behind a token."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text("secret")
    folders = [models(head) for head in ("native", "ner", "pairs", "multi_label", "regression", "sentiment")]
    with served(*folders, "--mixed_precision", "no", "--token_file", token) as server:
        server.token = "secret"
        yield server


@pytest.fixture(scope="module")
def tab(tmp_path_factory) -> Iterator[Tab]:
    """A browser."""
    with opened(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_shows_what_the_server_answers(server, tab, models, width):
    tab.open(server.url, width)
    tab.wait("!document.getElementById('access').hidden")  # it asks for the token, and tells no model
    assert tab.run("document.querySelectorAll('#models section').length") == 0
    tab.run(
        f"at('token').value = 'secret'; at('text').value = {TEXT!r}; at('pair').value = 'a film';"
        "at('least').value = '1'; at('form').requestSubmit()"
    )
    tab.wait("document.querySelectorAll('#models section .remark:last-child').length === 6 && !at('go').disabled")
    asked = {"text": TEXT}
    (label,) = server.ask("/predict", asked | {"model": "native"}).body["predictions"]
    shown = tab.run("at('model-native').innerText")
    assert f"{label['label']} {100 * label['probability']:.1f}% is the best guess" in shown
    bars = "[...at('model-native').querySelectorAll('.bar span')].map(bar => bar.style.width)"
    assert tab.run(bars) == [f"{100 * p:.1f}%" for p in sorted(label["probabilities"].values(), reverse=True)]
    model = nt.TransferModel.load(models("ner"))
    (tagged,) = model.predict([TEXT], precision="no")
    marked = (
        "[...at('model-ner').querySelectorAll('mark')].map(mark => [mark.firstChild.data, mark.lastChild.innerText])"
    )
    assert tab.run(marked) == [[span.text, span.type] for span in tagged.spans] != []
    assert tab.run("at('model-ner').querySelector('.marked b')") is None  # what a text spells is no part of the page
    assert "<b>" in tab.run("at('model-ner').innerText")
    assert tab.run("at('model-pairs').querySelectorAll('.bar').length") == 2
    assert "polarity" in tab.run("at('model-sentiment').innerText")
    assert tab.run("at('model-regression').querySelector('.answer').innerText")
    assert tab.run("document.querySelectorAll('.error').length") == 0
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.complaints == []


def test_an_error_of_the_server_is_told_on_the_page(server, tab):
    tab.open(server.url, 400)
    tab.wait("!document.getElementById('access').hidden")
    tab.run("at('token').value = 'secret'; at('text').value = 'x '.repeat(20000); at('form').requestSubmit()")
    tab.wait("document.querySelectorAll('#models .error').length === 6")
    assert tab.run("document.querySelector('.error').innerText") == "a text of 40,000 characters; 20,000 are allowed."
