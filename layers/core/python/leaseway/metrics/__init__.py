"""Metrics: each invocation writes one embedded-metric line to its log, which CloudWatch turns into numbers.

    metrics.note("JobsCreated", type="SLEEP")   anywhere, as often as needed: keeps a value in memory   `notes`
    @metrics.flush_after("worker")              around a handler: writes the line when it ends           `emf`

`catalogue` lists every metric; `process` adds those of the environment itself.
"""

from leaseway.metrics.catalogue import CATALOGUE, NAMESPACE, SERVICE, Metric
from leaseway.metrics.emf import flush, flush_after
from leaseway.metrics.notes import UnknownMetricError, note

__all__ = ["CATALOGUE", "NAMESPACE", "SERVICE", "Metric", "UnknownMetricError", "flush", "flush_after", "note"]
