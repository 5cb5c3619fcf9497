"""The metrics of `GET /metrics`: one list of names that the page, its documentation and the dashboards follow."""

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
    """A metric: its kind, what it means, and its labels. A histogram also has `le`."""

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
        "Running jobs by worker; `others` are those beyond the first `LIST_KEY_BUDGET` live jobs",
        ("worker",),
    ),
    "process_resident_memory_bytes": Family(
        MetricKind.GAUGE, "Peak memory of an environment of the function, as last reported", _FUNCTION
    ),
    "process_cpu_seconds_total": Family(MetricKind.COUNTER, "CPU time of all environments of the function", _FUNCTION),
    "leaseway_cold_starts_total": Family(MetricKind.COUNTER, "Environments of the function that started", _FUNCTION),
    "leaseway_jobs": Family(MetricKind.GAUGE, "Current number of jobs", ("status", "type")),
    "leaseway_jobs_created_total": Family(MetricKind.COUNTER, "Jobs created", _TYPE),
    "leaseway_jobs_started_total": Family(MetricKind.COUNTER, "Attempts that a worker started", _TYPE),
    "leaseway_jobs_completed_total": Family(MetricKind.COUNTER, "Jobs that ended COMPLETED", _TYPE),
    "leaseway_jobs_failed_total": Family(MetricKind.COUNTER, "Jobs that ended FAILED", _TYPE),
    "leaseway_jobs_cancelled_total": Family(MetricKind.COUNTER, "Jobs that ended CANCELLED", _TYPE),
    "leaseway_jobs_retried_total": Family(
        MetricKind.COUNTER, "Jobs returned to CREATED, after an error or by hand", _TYPE
    ),
    "leaseway_dead_letters": Family(MetricKind.GAUGE, "Dead letters that have not been replayed"),
    "leaseway_balance_updates_total": Family(MetricKind.COUNTER, "Changes of balances, by outcome", ("outcome",)),
}
"""Every metric of the page, in its order."""
