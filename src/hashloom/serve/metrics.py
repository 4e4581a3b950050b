"""Counters for Prometheus: requests, ways of answers, times and the state of models, without names or tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashloom.serve.drafts import Answer
    from hashloom.serve.engine import Engine

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
SECONDS = (0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.3, 2.6, 5.0, 10.0)


class Metrics:
    """One service's counters, in a registry of its own.

    >>> metrics = Metrics()
    >>> metrics.request("/v1/suggest", "POST", 200, 0.004)
    >>> b'hashloom_requests_total{method="POST",route="/v1/suggest",status="200"} 1.0' in metrics.text(None)
    True
    """

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = made = CollectorRegistry()
        kinds = ["route", "method", "status"]
        self._requests = Counter("hashloom_requests", "Requests answered.", kinds, registry=made)
        self._seconds = Histogram(
            "hashloom_request_seconds", "Time to answer.", ["route"], buckets=SECONDS, registry=made
        )
        self._answers = Counter("hashloom_answers", "Drafts answered, by the way it was done.", ["way"], registry=made)
        self._failures = Counter("hashloom_model_failures", "Drafts a model did not answer.", ["kind"], registry=made)
        self._refused = Counter("hashloom_refused", "Requests refused before they were read.", ["why"], registry=made)
        self._posts = Gauge("hashloom_posts", "Posts that the service knows.", registry=made)
        self._behind = Gauge("hashloom_behind_seconds", "Age of the oldest change not taken in.", registry=made)
        self._models = Gauge("hashloom_model", "Models in place.", ["place", "digest"], registry=made)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request by the pattern of its route, never by its address."""
        method = method if method in METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def refused(self, why: str) -> None:
        """Count a request that was turned away at the door."""
        self._refused.labels(why).inc()

    def answer(self, answer: Answer) -> None:
        """Count an answered draft."""
        self._answers.labels(answer.way).inc()
        if answer.kind:
            self._failures.labels(answer.kind).inc()

    def text(self, engine: Engine | None) -> bytes:
        """All counters in Prometheus' text format."""
        from prometheus_client import generate_latest

        if engine is not None:
            self._look(engine.health())
        return generate_latest(self.registry)

    def _look(self, health: Any) -> None:
        self._posts.set(health.posts)
        self._behind.set(health.behind_seconds)
        self._models.clear()
        shadow = health.shadow["digest"] if health.shadow else None
        places = {"recommender": health.recommender, "previous": health.previous, "forecaster": health.forecaster}
        for place, digest in (places | {"shadow": shadow}).items():
            if digest:
                self._models.labels(place, digest[:16]).set(1)
