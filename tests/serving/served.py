"""A server in a process of its own, as users start it, and requests to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from conftest import RECIPES


class Answer(NamedTuple):
    """The status, the body, read as JSON where it is such, and the headers."""

    status: int
    body: Any
    headers: dict[str, str]


class Server:
    """A server that runs."""

    def __init__(self, process: subprocess.Popen[str], lines: list[str], port: int) -> None:
        self.process, self.lines, self.port = process, lines, port
        self.token: str | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, values: Any = None, *, body: bytes | None = None, token: str | None = None) -> Answer:
        """The answer to a request: a POST where there is a body."""
        token = self.token if token is None else token
        headers = {"Connection": "close"} | ({"Authorization": f"Bearer {token}"} if token else {})
        if values is not None:
            body = json.dumps(values).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET" if body is None else "POST", path, body, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        kind = response.headers.get("content-type", "")
        return Answer(
            response.status,
            json.loads(content) if kind == "application/json" else content.decode(),
            {name.lower(): value for name, value in response.headers.items()},
        )

    def stop(self, seconds: float = 30) -> tuple[int, str]:
        """Send SIGTERM; the exit status and the log."""
        self.process.terminate()
        rest, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, "".join(self.lines) + rest


@contextlib.contextmanager
def served(*arguments: str | Path) -> Iterator[Server]:
    """A server that is ready, on a free port; ended at last."""
    command = [sys.executable, str(RECIPES / "serve.py"), *map(str, arguments), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines: list[str] = []
    try:
        assert process.stdout
        until = time.monotonic() + 120
        while not (lines and lines[-1].startswith("Ready: ")):
            line = process.stdout.readline()
            assert line, f"the server has ended: {''.join(lines)}"
            assert time.monotonic() < until, "".join(lines)
            lines.append(line)
        yield Server(process, lines, int(lines[-1].partition(" (GET")[0].rpartition(":")[2]))
    finally:
        process.kill()
        process.wait()
