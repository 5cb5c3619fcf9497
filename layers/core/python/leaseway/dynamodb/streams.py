"""Streams of tables: how far behind its table a reader is."""

from collections.abc import Iterable, Mapping
from typing import Any

from leaseway import clock


def lag_ms(records: Iterable[Mapping[str, Any]]) -> int | None:
    """How long ago the oldest change among them was made, by the items' own `updated_at`; None if no item has it."""
    images = (record["dynamodb"].get("NewImage", {}) for record in records)
    times = [int(image["updated_at"]["N"]) for image in images if "updated_at" in image]
    return max(0, clock.now_ms() - min(times)) if times else None
