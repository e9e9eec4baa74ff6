"""What stands before all paths of a server: the token, the counting, and the headers of every answer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from nlp_transfer.errors import OptionError
from nlp_transfer.serving.server_metrics import ServerMetrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OPEN = ("/", "/health", "/ready", "/docs", "/openapi.json")
"""Paths that tell nothing of the models, and need no token."""


@dataclass
class ServerState:
    """Whether the server is stopping, and how many requests to predict it has answered."""

    is_stopping: bool = False
    answered: int = 0


def read_token(path: str | None) -> str | None:
    """The token that a file holds. Raises OptionError where there is no such file, or none in it."""
    if path is None:
        return None
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise OptionError(f"cannot read --token_file {path}: {why}.") from None
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise OptionError(
            f"--token_file {path} must hold one word of ASCII characters; make one with: openssl rand -hex 32."
        )
    return token


def content_policy(page: str) -> str:
    """The Content-Security-Policy of a page whose scripts and styles stand in it: nothing else runs, nothing loads."""

    def hashes(tag: str) -> str:
        parts = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.S)
        digests = (base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in parts)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class Access:
    """ASGI middleware: asks for the token, counts requests, and closes connections while the server stops."""

    def __init__(
        self, app: ASGIApp, token: str | None, metrics: ServerMetrics, state: ServerState, paths: frozenset[str]
    ) -> None:
        self._app, self._metrics, self._state, self._paths = app, metrics, state, paths
        self._expected = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
                if self._state.is_stopping or status in (408, 413):  # of these, the rest of a body may be on its way
                    more.append((b"connection", b"close"))
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        try:
            if self._is_allowed(scope):
                await self._app(scope, receive, answer)
            else:
                refusal = JSONResponse(
                    {"error": "the token is missing or wrong; send it as: Authorization: Bearer TOKEN."},
                    401,
                    {"WWW-Authenticate": "Bearer"},
                )
                await refusal(scope, receive, answer)
        finally:
            # What is no path of ours may be anything, and would fill the memory of what counts.
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.requests.labels(path, str(status)).inc()
            self._metrics.seconds.labels(path).observe(time.monotonic() - started)
            if path == "/predict" and status == 200:
                self._state.answered += 1

    def _is_allowed(self, scope: Scope) -> bool:
        if self._expected is None or scope["path"] in _OPEN:
            return True
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return hmac.compare_digest(given, self._expected)
