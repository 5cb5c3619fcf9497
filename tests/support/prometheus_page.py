"""The page of `GET /metrics`, read by Prometheus' own parser."""

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, ...], float]
"""Values by name and labels' values: `samples["http_requests_total", "GET", "/health", "2xx"]`."""


def parse_samples(text: str) -> Samples:
    """Parse the samples of a page."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
