"""Values noted since the last flush, by dimensions and metric."""

import threading

from leaseway.metrics.catalogue import CATALOGUE

Values = dict[str, list[float]]
"""Values by metric."""

_pending: dict[tuple[tuple[str, str], ...], Values] = {}
_lock = threading.Lock()  # a worker's jobs run in threads


class UnknownMetricError(Exception):
    """The catalogue has no metric of that name, or not with those dimensions."""


def note(name: str, value: float = 1, **dimensions: str) -> None:
    """Keep a value in memory until the next flush. Costs a microsecond, and no call.

    Raises:
        UnknownMetricError: the catalogue has no such metric, or other dimensions for it.
    """
    metric = CATALOGUE.get(name)
    if metric is None or set(dimensions) != {dimension for names in metric.by for dimension in names}:
        raise UnknownMetricError(f"{name} by {sorted(dimensions)}")
    with _lock:
        for names in metric.by:
            group = _pending.setdefault(tuple((each, dimensions[each]) for each in names), {})
            values = group.setdefault(name, [])
            if metric.summed and values:
                values[0] += value
            else:
                values.append(value)


def take_all() -> list[tuple[dict[str, str], Values]]:
    """Remove the noted values and return them, by their dimensions."""
    with _lock:
        groups = [(dict(dimensions), values) for dimensions, values in _pending.items()]
        _pending.clear()
    return groups
