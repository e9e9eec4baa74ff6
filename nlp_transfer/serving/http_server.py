"""Uvicorn, with a time limit on what arrives, and an end that loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from nlp_transfer.config.serving_options import ServingOptions
from nlp_transfer.serving.access import ServerState

_DRAIN = 0.3
"""Seconds in which a stopping server still takes what is on its way, and closes connections with each answer."""

_MORE_CONNECTIONS = 256
"""Connections beyond the texts that may wait: idle ones, and requests that are not to predict."""


class HttpServer(uvicorn.Server):
    """A server that says that it is stopping before it stops to listen."""

    def __init__(self, app: FastAPI, options: ServingOptions, state: ServerState) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_protocol(options.read_timeout),
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=2048,
                limit_concurrency=options.max_queue + _MORE_CONNECTIONS,
                timeout_graceful_shutdown=options.stop_timeout,
            )
        )
        self._state = state
        # One line for each request that is none would let anybody fill the disk.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is in flight or on its way, then close."""
        self._state.is_stopping = True
        await asyncio.sleep(_DRAIN)
        await super().shutdown(sockets)


def _protocol(seconds: float) -> type[H11Protocol]:
    """Uvicorn's protocol, which closes a connection whose request line and headers have not arrived in time.

    The time limit of a body is `BodyReader`'s; that of an idle connection, after an answer, is uvicorn's.
    """

    class TimedProtocol(H11Protocol):
        _headers_due: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._await_headers()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._forget()
            elif self._headers_due is None:  # the beginning of a further request
                self._await_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            super().connection_lost(exc)

        def _await_headers(self) -> None:
            self._headers_due = self.loop.call_later(seconds, self._close)

        def _forget(self) -> None:
            if self._headers_due is not None:
                self._headers_due.cancel()
                self._headers_due = None

        def _close(self) -> None:
            with contextlib.suppress(OSError):
                self.transport.close()

    return TimedProtocol
