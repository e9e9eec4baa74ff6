"""What a server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128)


class ServerMetrics:
    """Counts of requests, texts and batches, their times, and the memory of the process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "requests", "Requests by path and status.", ["path", "status"], "nlp_transfer", registry=self._registry
        )
        self.seconds = Histogram(
            "request_seconds", "From a request to its answer.", ["path"], "nlp_transfer", registry=self._registry,
            buckets=_SECONDS,
        )  # fmt: skip
        self.refused_texts = Counter(
            "refused_texts", "Texts among others that cannot be predicted.", ["model"], "nlp_transfer",
            registry=self._registry,
        )  # fmt: skip
        self.waiting = Gauge("waiting_texts", "Texts that wait.", namespace="nlp_transfer", registry=self._registry)
        self._texts = Counter("texts", "Texts predicted.", ["model"], "nlp_transfer", registry=self._registry)
        self._batches = Histogram(
            "batch_texts", "Texts of a batch.", ["model"], "nlp_transfer", registry=self._registry, buckets=_TEXTS
        )
        self._batch_seconds = Histogram(
            "batch_seconds", "Time of a batch.", ["model"], "nlp_transfer", registry=self._registry, buckets=_SECONDS
        )

    def batch(self, model: str, texts: int, seconds: float) -> None:
        """Count a batch."""
        self._texts.labels(model).inc(texts)
        self._batches.labels(model).observe(texts)
        self._batch_seconds.labels(model).observe(seconds)

    def text(self) -> bytes:
        """All of it in Prometheus' own format."""
        return generate_latest(self._registry)
