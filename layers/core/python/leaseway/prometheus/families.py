"""What `GET /metrics` offers: one list of names, which the page, its documentation and the dashboards are held to."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram's buckets in seconds, those of Prometheus' own clients. The last is open."""


class MetricKind(StrEnum):
    """Prometheus' kinds of metrics."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Family(NamedTuple):
    """A metric: its kind, what it means, and its labels. A histogram has `le` besides."""

    kind: MetricKind
    meaning: str
    labels: tuple[str, ...] = ()


_REQUEST = ("method", "route", "status")
_FUNCTION = ("function",)
_TYPE = ("type",)

FAMILIES: Mapping[str, Family] = {
    "http_requests_total": Family(MetricKind.COUNTER, "Requests answered by the API function", _REQUEST),
    "http_request_duration_seconds": Family(MetricKind.HISTOGRAM, "Time of a request in the API function", _REQUEST),
    "app_active_tasks_total": Family(
        MetricKind.GAUGE,
        "Jobs that run now, by worker; `others` are those behind more than `LIST_KEY_BUDGET` live jobs",
        ("worker",),
    ),
    "process_resident_memory_bytes": Family(
        MetricKind.GAUGE, "Most memory that an environment of the function has used, as last reported", _FUNCTION
    ),
    "process_cpu_seconds_total": Family(MetricKind.COUNTER, "CPU time of all environments of the function", _FUNCTION),
    "leaseway_cold_starts_total": Family(MetricKind.COUNTER, "Environments of the function that began", _FUNCTION),
    "leaseway_jobs": Family(MetricKind.GAUGE, "Jobs that there are", ("status", "type")),
    "leaseway_jobs_created_total": Family(MetricKind.COUNTER, "Jobs created", _TYPE),
    "leaseway_jobs_started_total": Family(MetricKind.COUNTER, "Attempts that a worker began", _TYPE),
    "leaseway_jobs_completed_total": Family(MetricKind.COUNTER, "Jobs that ended COMPLETED", _TYPE),
    "leaseway_jobs_failed_total": Family(MetricKind.COUNTER, "Jobs that ended FAILED", _TYPE),
    "leaseway_jobs_cancelled_total": Family(MetricKind.COUNTER, "Jobs that ended CANCELLED", _TYPE),
    "leaseway_jobs_retried_total": Family(MetricKind.COUNTER, "Jobs CREATED again, after an error or by hand", _TYPE),
    "leaseway_dead_letters": Family(MetricKind.GAUGE, "Jobs whose message no claim settled, not yet replayed"),
    "leaseway_balance_updates_total": Family(MetricKind.COUNTER, "Changes of balances, by how they went", ("outcome",)),
}
"""Every metric of the page, in its order."""
