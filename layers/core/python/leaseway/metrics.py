"""Metrics: one embedded-metric line in the log, which CloudWatch turns into numbers."""

from aws_lambda_powertools.metrics import Metrics, MetricUnit

NAMESPACE = "Leaseway"


def count(**values: int) -> None:
    """Write values, such as `LedgerDifferences=0`, as one line."""
    metrics = Metrics(namespace=NAMESPACE, service="leaseway")
    for name, value in values.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
    metrics.flush_metrics()
