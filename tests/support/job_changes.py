"""Changes of jobs as the tally counts them, without a stream."""

from leaseway.counters import CounterChange
from leaseway.tally.job_totals import Group, move


def make_job_change(event_id: str, before: Group | None, after: Group | None) -> CounterChange:
    """Make a record of the jobs stream that moves a job from one group to another."""
    return CounterChange(event_id, move(before, after))
