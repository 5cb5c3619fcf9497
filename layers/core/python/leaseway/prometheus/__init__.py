"""The page that Prometheus reads: what functions told in their logs and what is stored, as its text format.

    API function      one line of its log a request: route, status, duration        no call, no write
         |  subscription of the log group
    meter function    adds each line to stored counters, once                       `meter`
         |
    totals table      <-  tally function adds what became of jobs
         |
    GET /metrics      a few reads, the same numbers from whatever instance answers  `page`

An instance that counted for itself would tell its own part only: whoever scrapes reaches one of many.
"""

from leaseway.prometheus.families import FAMILIES, Family, Kind

__all__ = ["FAMILIES", "Family", "Kind"]
