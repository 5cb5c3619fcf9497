"""Sample tasks: six things to run again and again, each at least two minutes long unless it is shortened."""

from collections.abc import Iterator
from typing import Any

from leaseway_local.connection.api_client import ApiClient, ApiProblem

SECONDS = 120
"""How long a run takes by default."""

_TTL_MARGIN_MS = 180_000
_MOST_SECONDS = 600


def samples(seconds: int, url: str) -> list[dict[str, Any]]:
    """Return the definitions, for runs of so many seconds; `url` is the page that one of them checks."""
    duration = min(seconds, _MOST_SECONDS) * 1000
    return [
        _sample("check-pages", "URL_CHECK", {"urls": [url], "duration_ms": duration}, every="15m"),
        _sample("draw-pictures", "PICTURE_SERIES", {"duration_ms": duration}, cron="*/20 * * * *"),
        _sample(
            "audit-storage", "STORAGE_AUDIT", {"duration_ms": duration}, cron="30 3 * * *", timezone="Europe/Berlin"
        ),
        _sample("count-primes", "PRIME_COUNT", {"duration_ms": duration}, every="10m", jitter_seconds=30),
        _sample("wait-a-while", "SLEEP", {"duration_ms": duration}, every="5m"),
        _sample("wait-at-night", "SLEEP", {"duration_ms": duration * 5 // 4}, cron="0 2 * * *", catch_up="none"),
    ]


def install(api: ApiClient, definitions: list[dict[str, Any]]) -> Iterator[tuple[str, bool]]:
    """Define the tasks, and yield each name and whether the task is new. An existing task is not changed."""
    for definition in definitions:
        try:
            api.post("/api/tasks", definition)
        except ApiProblem as refusal:
            if refusal.code != "TASK_EXISTS":
                raise
            yield definition["name"], False
        else:
            yield definition["name"], True


def _sample(name: str, type_name: str, payload: dict[str, Any], **more: Any) -> dict[str, Any]:
    ttl_ms = payload["duration_ms"] + _TTL_MARGIN_MS
    return {"name": name, "type": type_name, "payload": payload, "ttl_ms": min(ttl_ms, 840_000), **more}
