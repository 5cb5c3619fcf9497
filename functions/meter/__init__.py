"""The meter function: log lines of the others become the counters of `GET /metrics`."""
