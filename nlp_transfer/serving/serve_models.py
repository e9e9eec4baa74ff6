"""Serving trained models over HTTP until a signal comes."""

from __future__ import annotations

import errno
import importlib.util
import logging
import os
import socket
from collections.abc import Sequence

from nlp_transfer.config.serving_options import ServingOptions
from nlp_transfer.errors import OptionError

log = logging.getLogger(__name__)

_PACKAGES = ("fastapi", "uvicorn", "prometheus_client")


def require_server() -> None:
    """Raise OptionError where a package of the extra `serve` is missing, before anything is loaded."""
    missing = [name.replace("_", "-") for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise OptionError(
            f"serving needs {' and '.join(missing)}, not installed here; install with: "
            'pip install "nlp-transfer[serve]"'
        )


def serve(paths: Sequence[str], options: ServingOptions) -> None:
    """Answer requests with the models in the folders of runs, or in exported ones, until SIGTERM or Ctrl-C.

    What has been accepted by then is answered first. Raises OptionError for a port in use, a token file that cannot be
    read or a missing package; ModelError where a folder holds no model.
    """
    require_server()
    # they import the extra, of which the line above has told what is missing
    from nlp_transfer.serving.access import ServerState, read_token
    from nlp_transfer.serving.application import make_application
    from nlp_transfer.serving.batching import Batcher
    from nlp_transfer.serving.http_server import HttpServer
    from nlp_transfer.serving.served_models import name_models, open_models
    from nlp_transfer.serving.server_metrics import ServerMetrics

    token = read_token(options.token_file)
    sources = name_models(paths, options)
    for source in sources.values():
        source.require_there()
    listening = _listening(options.host, options.port)
    address = f"http://{_shown(options.host)}:{listening.getsockname()[1]}"
    state, metrics, failures = ServerState(), ServerMetrics(), list[BaseException]()

    def failed(error: BaseException) -> None:
        failures.append(error)
        server.should_exit = True

    def ready() -> None:
        log.info("Ready: %s at %s (GET / is a page to try it).", ", ".join(sources), address)

    batcher = Batcher(
        lambda: open_models(sources, _threads(options.threads, any(not one.is_exported for one in sources.values()))),
        metrics,
        max_batch=options.max_batch,
        max_wait=options.max_wait_ms / 1000,
        max_queue=options.max_queue,
        failed=failed,
        ready=ready,
    )
    server = HttpServer(make_application(batcher, metrics, options, token, state), options, state)
    if token is None and not _is_loopback(options.host):
        log.info("Other machines can reach %s, and it asks for no token: --token_file names one.", address)
    log.info("Loading %s.", ", ".join(paths))
    with listening:
        batcher.start()
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:  # uvicorn raises the signal again when it has finished what was in flight
            pass
        finally:
            batcher.close()
    if failures:
        raise failures[0]
    log.info("Stopped; %s requests to predict were answered.", f"{state.answered:,}")


def _threads(given: int | None, uses_torch: bool) -> int:
    """How many threads compute: those given, or one for each core; torch is told."""
    if not uses_torch:
        may_use = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        return given or len(may_use)
    import torch  # loaded with the models, while the server listens already

    from nlp_transfer.system import hardware

    if given is None:
        hardware.use_cores()
    else:
        torch.set_num_threads(given)
    return torch.get_num_threads()


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens, so that a port in use is told before seconds of loading."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise OptionError(f"port {port} of {host} is in use; give another --port, or 0 for a free one.") from None
        why = error.strerror or str(error)
        raise OptionError(f"cannot listen at --host {host}, --port {port}: {why}.") from None
    return listening


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
