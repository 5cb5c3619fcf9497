"""The catalogue of metrics: dashboard, alarms, docs and tests are checked against it."""

from collections.abc import Mapping
from typing import NamedTuple

from aws_lambda_powertools.metrics import MetricUnit

NAMESPACE = "Leaseway"

SERVICE = "service"
"""The dimension that every metric has: the stack."""

_COUNT, _MS, _MB = MetricUnit.Count, MetricUnit.Milliseconds, MetricUnit.Megabytes


class Metric(NamedTuple):
    """A metric: its unit, what it means, and its dimensions besides the stack.

    `by` has a tuple for each set of dimensions: `()` is the stack's total. With `summed`, the values of an invocation
    are added up to one; otherwise each value counts for percentiles.
    """

    unit: MetricUnit
    meaning: str
    by: tuple[tuple[str, ...], ...] = ((),)
    summed: bool = True


_BY_TYPE: tuple[tuple[str, ...], ...] = ((), ("type",))
_BY_FUNCTION = (("function",),)

CATALOGUE: Mapping[str, Metric] = {
    "HttpDuration": Metric(
        _MS,
        "Time in the API function, one value per request: its SampleCount is the number of requests",
        ((), ("route", "status")),
        summed=False,
    ),
    "HttpErrors": Metric(_COUNT, "1 for a response with status 500 or above, else 0: its Average is the error rate"),
    "JobsCreated": Metric(_COUNT, "Jobs created", _BY_TYPE),
    "JobsStarted": Metric(_COUNT, "Attempts that a worker started", _BY_TYPE),
    "JobsCompleted": Metric(_COUNT, "Jobs that ended COMPLETED", _BY_TYPE),
    "JobsFailed": Metric(_COUNT, "Jobs that ended FAILED", _BY_TYPE),
    "JobFailures": Metric(
        _COUNT, "1 for a job that ended FAILED, 0 for one that COMPLETED: its Average is the failure rate", summed=False
    ),
    "JobsCancelled": Metric(_COUNT, "Jobs that ended CANCELLED", _BY_TYPE),
    "JobsRetried": Metric(_COUNT, "Jobs returned to CREATED, after an error or by hand", _BY_TYPE),
    "JobWait": Metric(_MS, "Time from when a job could run to when a worker started it", _BY_TYPE, summed=False),
    "JobRun": Metric(_MS, "Time from the start of the last attempt to the job's end", _BY_TYPE, summed=False),
    "JobsDeadLettered": Metric(_COUNT, "Jobs that FAILED because no worker could process their message"),
    "TallyLag": Metric(_MS, "Age of the oldest change of a job in a batch when it was counted", summed=False),
    "RetentionLag": Metric(
        _MS, "Age of the oldest removal of a job in a batch when the job's objects were deleted", summed=False
    ),
    "JobsRunning": Metric(_COUNT, "RUNNING jobs that a sweep saw; if two sweeps ran in a minute, use the Maximum"),
    "ActiveJobs": Metric(
        _COUNT,
        "RUNNING jobs of a worker, one value per worker and sweep: Maximum is that of the busiest worker",
        summed=False,
    ),
    "LeasesLost": Metric(_COUNT, "Attempts whose result was not recorded, because the job was taken over or cancelled"),
    "LateResults": Metric(_COUNT, "Attempts that ended after their time to live; their results were discarded"),
    "SweepFound": Metric(_COUNT, "Live jobs that a sweep checked"),
    "SweepResent": Metric(_COUNT, "Messages that a sweep resent"),
    "SweepCancelled": Metric(_COUNT, "Jobs that a sweep cancelled because their time to live had passed"),
    "SweepSetAside": Metric(_COUNT, "Jobs that a sweep could not read or change, and checks again an hour later"),
    "SweepFailed": Metric(
        _COUNT, "Jobs and shards of the live index for which a sweep's call failed; the next sweep repeats it"
    ),
    "SweepLag": Metric(
        _MS, "How overdue a sweep's most overdue check was; no value if a shard was not read", summed=False
    ),
    "TasksStarted": Metric(_COUNT, "Runs that the schedule started"),
    "TasksSkipped": Metric(_COUNT, "Slots skipped because the previous run had not ended"),
    "TasksMissed": Metric(_COUNT, "Slots that no tick handled in time"),
    "TasksSetAside": Metric(
        _COUNT, "Due tasks that cannot run, because their job type has no queue or they cannot be planned"
    ),
    "TaskSkipStreak": Metric(_COUNT, "Most consecutive slots that a task has skipped, per tick", summed=False),
    "TaskFailureStreak": Metric(
        _COUNT, "Most consecutive runs of a task that did not end COMPLETED, per tick", summed=False
    ),
    "SchedulerLag": Metric(_MS, "How late a tick's earliest slot was, over all shards", summed=False),
    "BalanceUpdatesGranted": Metric(_COUNT, "Updates, transfers and reversals that were carried out"),
    "BalanceUpdatesRefused": Metric(
        _COUNT, "Updates, transfers and reversals that were refused: no such account, or a limit exceeded"
    ),
    "BalanceUpdatesConflicted": Metric(_COUNT, "Times that one was planned again because another change came first"),
    "LedgerEntries": Metric(_COUNT, "Ledger entries written"),
    "LedgerLag": Metric(_MS, "Age of the oldest change of an account in a batch when it was recorded", summed=False),
    "LedgerMismatches": Metric(_COUNT, "Batches with a change that does not match its description"),
    "LedgerDifferences": Metric(_COUNT, "Differences that the check of the ledger found"),
    "LedgerAccountsBehind": Metric(_COUNT, "Accounts whose newest entries had not arrived when the check ran"),
    "LedgerEntriesChecked": Metric(_COUNT, "Entries that the check read"),
    "ColdStarts": Metric(_COUNT, "Execution environments that started", _BY_FUNCTION),
    "MemoryUsed": Metric(_MB, "Peak memory of an environment, reported once a minute", _BY_FUNCTION, False),
    "CpuUsed": Metric(_MS, "CPU time of an environment since its last report, once a minute", _BY_FUNCTION),
}
