"""Sockets of Python in this process and those it starts reach this machine alone; what tries more is written down.

Python runs it at its start where this folder is in PYTHONPATH. Sockets that compiled code opens (gloo's, to the other
processes of a run) do not come by here.
"""

import os
import socket
import sys

_HERE = ("", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::", socket.gethostname())


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # a path of a local socket
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host is None or host in _HERE or str(host).startswith("127."):
        return
    if told := os.environ.get("NLP_TRANSFER_TESTS_REACHED"):
        with open(told, "a", encoding="utf-8") as file:
            file.write(f"{event} {host}\n")
    raise OSError(f"a test tried to reach {host}")


sys.addaudithook(_refuse)
