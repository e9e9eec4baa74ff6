"""A server in its own process: it answers each with its own, stays within its bounds, and ends without losing any."""

from __future__ import annotations

import http.client
import json
import random
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import BAD, GOOD, THINGS, run_recipe
from contract_cases import lively
from random_models import models
from served import Server, served

import nlp_transfer as nt

__all__ = ["lively", "models"]

TOKEN = "a-token-of-tests"
CLIENTS, REQUESTS = 32, 8


@pytest.fixture(scope="module")
def server(models, tmp_path_factory) -> Iterator[Server]:
    """All kinds of models behind a token, with narrow bounds."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(TOKEN + "\n")
    bounds = "--max_text_length 400 --max_body_bytes 20000 --max_texts 64 --read_timeout 1 --mixed_precision no"
    folders = [models(head) for head in ("native", "ner", "pairs", "multi_label", "regression", "sentiment")]
    with served(*folders, *bounds.split(), "--token_file", token, "--threads", "1") as server:
        server.token = TOKEN
        yield server


def texts(count: int) -> list[str]:
    """Texts that differ in words and length, so that their predictions do."""
    draw = random.Random(0)
    return [
        f"the {draw.choice(THINGS)} was " + " and ".join(draw.choices(GOOD + BAD, k=1 + number % 9))
        for number in range(count)
    ]


@pytest.mark.parametrize("head", ["native", "ner", "pairs", "multi_label", "regression", "sentiment"])
def test_it_answers_as_the_model_predicts(server, models, head):
    sent: list = texts(20)
    if head == "pairs":
        sent = [[text, text[::-1]] for text in sent]
    if head == "ner":
        sent = ["😀 Anna was in Oslo 😀", "Boris met Clara.", ["Anna", "was", "in", "Oslo"]]
    answer = server.ask("/predict", {"texts": sent, "model": head})
    assert (answer.status, answer.body["model"]) == (200, head)
    model = nt.TransferModel.load(models(head))
    every = not model.head.no_probabilities
    expected = [one.output(all_probabilities=every, abstains=False) for one in model.predict(sent, precision="no")]
    assert (
        json.loads(json.dumps(expected), parse_float=lambda x: pytest.approx(float(x), abs=2e-6))
        == (answer.body["predictions"])
    )
    for text, prediction in zip(sent, answer.body["predictions"], strict=True):
        for span in prediction.get("spans", []) if isinstance(text, str) else []:
            assert text[span["start"] : span["end"]] == span["text"]
    one = {"text": sent[0]} if head != "pairs" else {"text": sent[0][0], "text_pair": sent[0][1]}
    assert len(server.ask("/predict", one | {"model": head}).body["predictions"]) == 1


def test_abstention_and_probabilities_are_asked_for(server):
    asked = {"text": "the coffee was good", "abstain_below": 1.0, "all_probabilities": False}
    (prediction,) = server.ask("/predict", asked).body["predictions"]
    assert (prediction["label"], prediction["abstained"]) == (None, True)
    assert prediction["best_guess"] in ("praise", "complaint")
    assert "probabilities" not in prediction


def test_one_bad_text_of_many_fails_alone(server):
    sent = ["the coffee was good", " ", 3, None, "x" * 401, "\ud83d", ["a", "list"], "the train was bad"]
    answer = server.ask("/predict", {"texts": sent})
    assert answer.status == 200
    assert [result.get("error") for result in answer.body["predictions"]] == [
        None,
        "no text.",
        "not a text, nor a list of texts.",
        "not a text, nor a list of texts.",
        "a text of 401 characters; 400 are allowed.",
        "half a character (a lone surrogate such as \\ud83d).",
        "a list where this model takes one text.",
        None,
    ]
    assert server.ask("/predict", {"texts": []}).body["predictions"] == []


REFUSED = {
    "no JSON": (b'{"text": "a', 422, "the body is no JSON: Unterminated string"),
    "not even text": (b"\xff\xfe\xfa", 422, "the body is no JSON"),
    "too deep": (b"[" * 10_000, 422, "the body is no JSON: it is nested too deeply."),
    "a huge number": (b'{"text": ' + b"1" * 5000 + b"}", 422, "the body is no JSON"),
    "a list": (b"[]", 422, "the body: Input should be a valid dictionary"),
    "nothing": (b"{}", 422, 'give either "text" or "texts".'),
    "both": (b'{"text": "a", "texts": ["b"]}', 422, 'give either "text" or "texts".'),
    "a number": (b'{"text": 3}', 422, "text: Input should be a valid string"),
    "unknown field": (b'{"text": "a", "lable": 1}', 422, "lable: Extra inputs are not permitted"),
    "threshold": (b'{"text": "a", "abstain_below": 2}', 422, "abstain_below: Input should be less than or equal to 1."),
    "not a number": (b'{"text": "a", "abstain_below": NaN}', 422, "abstain_below: Input should be "),
    "blank": (b'{"text": " "}', 422, "no text."),
    "one of a pair": (b'{"text": "a", "model": "pairs"}', 422, "this model takes pairs of texts"),
    "a pair": (b'{"text": "a", "text_pair": "b"}', 422, "a list where this model takes one text."),
    "tagger abstains": (b'{"text": "a", "model": "ner", "abstain_below": 0.5}', 422, "abstain_below needs one confide"),
    "number has none": (
        b'{"text": "a", "model": "regression", "all_probabilities": true}',
        422,
        "all_probabilities is",
    ),
    "unknown model": (b'{"text": "a", "model": "\\ud83d"}', 404, "no model '?' is served; there are: native, ner, pa"),
    "long text": (b'{"text": "' + b"x" * 401 + b'"}', 413, "a text of 401 characters; 400 are allowed."),
    "many texts": (json.dumps({"texts": ["a"] * 65}).encode(), 413, "65 texts; 64 are allowed in one request."),
    "large body": (b" " * 20_001, 413, "a body of more than 20,000 bytes."),
    "huge body": (b" " * 3_000_000, 413, "a body of more than 20,000 bytes."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_answered_is_one_line(server, case):
    body, status, message = REFUSED[case]
    try:
        answer = server.ask("/predict", body=body)
    except (ConnectionResetError, BrokenPipeError):
        assert case == "huge body"  # the connection is closed in the face of who sends on and on
        return
    assert (answer.status, list(answer.body)) == (status, ["error"])
    assert message in answer.body["error"]
    assert "\n" not in answer.body["error"]


@pytest.mark.parametrize("path", ["/predict", "/model", "/metrics"])
def test_without_the_token_nothing_is_told(server, path):
    body = b'{"text": "a"}' if path == "/predict" else None
    for wrong in ("", "wrong", TOKEN + "x", TOKEN[:-1], "\xe9"):
        server.token = None
        answer = server.ask(path, body=body, token=wrong)
        server.token = TOKEN
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert server.ask(path, body=body).status == 200


def test_what_watches_over_a_server_needs_no_token(server):
    assert server.ask("/health", token="").body == {"status": "alive"}
    assert server.ask("/ready", token="").body == {"status": "ready"}
    assert server.ask("/predict", token="x").status == 401
    assert server.ask("/nothing").body["error"] == "GET /nothing: Not Found; GET /docs lists the paths."
    assert server.ask("/predict").status == 405


def test_the_pages_load_nothing_from_elsewhere(server):
    for path in ("/", "/docs"):
        page = server.ask(path, token="").body
        assert "<html" in page
        assert "http://" not in page.replace("http://127.0.0.1", "")
        assert "https://" not in page
    assert "/predict" in server.ask("/openapi.json", token="").body["paths"]
    assert "POST /predict" in server.ask("/docs", token="").body


def test_models_and_counts_are_told(server):
    server.ask("/predict", {"texts": ["a", "b", " "]})
    server.ask("/" + "x" * 50)
    told = {model["name"]: model for model in server.ask("/model").body["models"]}
    assert list(told) == ["native", "ner", "pairs", "multi_label", "regression", "sentiment"]
    assert told["native"]["labels"] == ["praise", "complaint"]
    assert told["native"]["form"] == "torch, fp32"
    assert (told["ner"]["can_abstain"], told["regression"]["has_probabilities"]) == (False, False)
    counts = server.ask("/metrics").body
    assert 'nlp_transfer_requests_total{path="/predict",status="200"}' in counts
    assert 'nlp_transfer_refused_texts_total{model="native"}' in counts
    assert "nlp_transfer_waiting_texts 0.0" in counts
    assert 'path="other",status="404"' in counts
    assert "xxxx" not in counts


def test_who_sends_too_slowly_is_not_waited_for(server):
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as slow_body:
        slow_body.sendall((head + '{"text"').encode())
        response = http.client.HTTPResponse(slow_body)
        response.begin()
        assert response.status == 408
    for sent in (b"", b"POST /predict HTTP/1.1\r\nHost"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as slow_head:
            slow_head.sendall(sent)
            assert slow_head.recv(100) == b""  # it is closed


def test_each_of_many_clients_gets_its_own_answer_and_a_stop_loses_none(models):
    sent = texts(CLIENTS * REQUESTS)
    model = nt.TransferModel.load(models("native"))
    expected = {
        text: one.output(all_probabilities=False, abstains=False)
        for text, one in zip(sent, model.predict(sent, precision="no"), strict=True)
    }
    assert len({one["probability"] for one in expected.values()}) > len(expected) * 0.9
    assert {one["label"] for one in expected.values()} == {"praise", "complaint"}
    statuses: Counter[int | str] = Counter()
    faults: list[str] = []
    lock, half = threading.Lock(), threading.Event()
    flags = "--max_body_bytes 5000 --read_timeout 1 --mixed_precision no --max_batch 8 --threads 1"
    with served(models("native"), *flags.split()) as server:

        def client(number: int) -> None:
            draw = random.Random(number)
            # Until the server stops; the first half of it is a load, the second one goes on while it ends.
            for text in sent[number::CLIENTS] * 1000:
                kind = draw.choices(("right", "wrong", "huge", "slow"), (12, 1, 1, 0.2))[0]
                try:
                    if kind == "right":
                        status = right(text)
                    elif kind == "wrong":
                        status = server.ask("/predict", body=b'{"text": ["').status
                    elif kind == "huge":
                        status = server.ask("/predict", body=b"x" * 9000).status
                    else:
                        status = slow()
                except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError, http.client.HTTPException):
                    if server.process.poll() is None and not stopping.is_set():
                        faults.append(f"{kind}: the connection was lost")
                    return
                with lock:
                    statuses[f"{kind} {status}"] += 1
                    if statuses["right 200"] >= CLIENTS * REQUESTS:
                        half.set()

        def right(text: str) -> int:
            answer = server.ask("/predict", {"text": text, "all_probabilities": False})
            if answer.status == 200:
                (given,) = answer.body["predictions"]
                wanted = expected[text]
                if given["label"] != wanted["label"] or abs(given["probability"] - wanted["probability"]) > 2e-6:
                    faults.append(f"{text}: {given}, and not {wanted}")
            return answer.status

        def slow() -> int:
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
                connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
                response = http.client.HTTPResponse(connection)
                response.begin()
                return response.status

        stopping = threading.Event()
        clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        for thread in clients:
            thread.start()
        assert half.wait(120), statuses
        batches = server.ask("/metrics").body
        stopping.set()
        status, told = server.stop(60)
        for thread in clients:
            thread.join(60)
    assert faults == []
    assert status == 0, told
    # Every request that the server has answered has reached its client.
    assert f"Stopped; {statuses['right 200']:,} requests to predict were answered." in told
    assert {kind: status for kind, status in map(str.split, statuses) if status != "503"} == {
        "right": "200", "wrong": "422", "huge": "413", "slow": "408",
    }  # fmt: skip
    in_batches, count = (
        float(re.search(rf'batch_texts_{name}{{model="native"}} (.*)', batches)[1]) for name in ("sum", "count")
    )
    assert in_batches > 2 * count, "requests share no batches"


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_port_in_use_is_one_line(models, taken_port, tmp_path):
    outcome = run_recipe("serve", [str(models("native")), "--port", str(taken_port)], tmp_path)
    assert (outcome.status, outcome.out) == (2, "")
    assert (
        outcome.err == f"error: port {taken_port} of 127.0.0.1 is in use; give another --port, or 0 for a free one.\n"
    )


BAD_STARTS = {
    "no folder": (["./nothing"], "./nothing"),
    "no run": (["."], ". is no run: it holds neither model/ nor runtime.json; name the folder that a training recipe"),
    "a file": (["a.txt"], "a.txt is a file; name the folder of a run, or an exported one."),
    "none": ([], "name the folder of a run, as in: nlp-transfer serve runs/classify."),
    "twice": (["M", "M"], "is named twice; name it once."),
    "options first": (["--port", "0", "M"], "the folders of runs come first, then the options: serve RUN --port 8000."),
    "no token file": (["M", "--token_file", "none"], "cannot read --token_file none: No such file or directory."),
    "empty token": (["M", "--token_file", "empty"], "--token_file empty must hold one word of ASCII characters; make"),
    "no host": (["M", "--host", "256.1.1.1"], "cannot listen at --host 256.1.1.1, --port 0: "),
    "no port": (["M", "--port", "70000"], "--port must be from 0 to 65535; got 70000."),
    "queue": (["M", "--max_texts", "9", "--max_queue", "8"], "--max_texts 9 is more than may wait, --max_queue 8"),
    "max_length": (["M", "--max_length", "5000"], "max_length 5000 is more than the"),
}


@pytest.mark.parametrize("case", BAD_STARTS)
def test_what_cannot_be_served_is_one_line(models, tmp_path, case):
    words, message = BAD_STARTS[case]
    (tmp_path / "empty").touch()
    (tmp_path / "a.txt").touch()
    words = [str(models("native")) if word == "M" else word for word in words]
    port = [] if not words or "--port" in words else ["--port", "0"]
    started = time.monotonic()
    outcome = run_recipe("serve", [*words, *port], tmp_path)
    lines = [line for line in outcome.err.splitlines() if not line.startswith("Loading ")]
    assert (outcome.status, len(lines)) == (2, 1), outcome.err
    assert message in lines[0]
    assert time.monotonic() - started < 30


def test_a_missing_package_is_one_line_with_the_command(models, tmp_path, monkeypatch):
    find = nt.serve.__globals__["importlib"].util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "uvicorn" else find(name))
    outcome = run_recipe("serve", [str(models("native"))], tmp_path)
    assert (outcome.status, outcome.err) == (
        2, 'error: serving needs uvicorn, not installed here; install with: pip install "nlp-transfer[serve]"\n',
    )  # fmt: skip


def test_runs_of_one_name_are_told_apart(models, tmp_path):
    from nlp_transfer.serving.served_models import name_models

    paths = [tmp_path / one / "run" for one in ("a", "b")] + [tmp_path / "c" / "exported", tmp_path / "d"]
    for path in paths:
        path.mkdir(parents=True)
    names = list(name_models([str(path) for path in paths], nt.ServingOptions()))
    assert names[2:] == ["c-exported", "d"]
    assert [name.endswith(end) for name, end in zip(names, ("-a-run", "-b-run"), strict=False)] == [True, True]
    with pytest.raises(nt.OptionError, match="one folder, or of one name"):
        name_models([str(paths[0]), f"{Path(paths[0])}/../run"], nt.ServingOptions())
