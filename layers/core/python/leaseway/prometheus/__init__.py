"""The page that Prometheus reads: what functions logged and what is stored, in its text format.

    API function      one line of its log a request: route, status, duration        no call, no write
         |  subscription of the log group
    meter function    adds each line to stored counters, once                       `meter`
         |
    totals table      <-  tally function adds what became of jobs
         |
    GET /metrics      a few reads, the same numbers from every instance  `page`

An instance that counted for itself would report its own part only, because a scrape reaches one of many.
"""

from leaseway.prometheus.families import FAMILIES, Family, MetricKind

__all__ = ["FAMILIES", "Family", "MetricKind"]
