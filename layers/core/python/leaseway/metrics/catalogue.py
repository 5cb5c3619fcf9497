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
        "Time in the API function, a value a request: its SampleCount is the number of requests",
        ((), ("route", "status")),
        summed=False,
    ),
    "HttpErrors": Metric(_COUNT, "1 for an answer of 500 or above, else 0: its Average is the error rate"),
    "JobsCreated": Metric(_COUNT, "Jobs created", _BY_TYPE),
    "JobsStarted": Metric(_COUNT, "Attempts that a worker began", _BY_TYPE),
    "JobsCompleted": Metric(_COUNT, "Jobs that ended COMPLETED", _BY_TYPE),
    "JobsFailed": Metric(_COUNT, "Jobs that ended FAILED", _BY_TYPE),
    "JobFailures": Metric(
        _COUNT, "1 for a job that ended FAILED, 0 for one that COMPLETED: its Average is the failure rate", summed=False
    ),
    "JobsCancelled": Metric(_COUNT, "Jobs that ended CANCELLED", _BY_TYPE),
    "JobsRetried": Metric(_COUNT, "Jobs put back to CREATED: after an error, or by hand", _BY_TYPE),
    "JobWait": Metric(_MS, "From when a job could run to when a worker began it", _BY_TYPE, summed=False),
    "JobRun": Metric(_MS, "From the last attempt's begin to the job's end", _BY_TYPE, summed=False),
    "JobsDeadLettered": Metric(_COUNT, "Jobs FAILED because no claim ever settled their message"),
    "TallyLag": Metric(_MS, "How old a batch's oldest change of a job was when it was counted", summed=False),
    "RetentionLag": Metric(
        _MS, "How old a batch's oldest removal of a job was when what the job left was deleted", summed=False
    ),
    "JobsRunning": Metric(_COUNT, "RUNNING jobs that a sweep saw: of two sweeps in a minute, the Maximum is right"),
    "ActiveJobs": Metric(
        _COUNT,
        "RUNNING jobs of a worker, a value a worker and sweep: Maximum is the busiest's, Average a worker's",
        summed=False,
    ),
    "LeasesLost": Metric(_COUNT, "Attempts whose result was not recorded: taken over, or cancelled meanwhile"),
    "LateResults": Metric(_COUNT, "Attempts that ended after their time to live; the result was dropped"),
    "SweepFound": Metric(_COUNT, "Live jobs that a sweep looked at"),
    "SweepResent": Metric(_COUNT, "Messages that a sweep sent again"),
    "SweepCancelled": Metric(_COUNT, "Jobs that a sweep cancelled, past their time to live"),
    "SweepSetAside": Metric(_COUNT, "Jobs that a sweep could not judge or move, and looks at again an hour later"),
    "SweepFailed": Metric(
        _COUNT, "Jobs and shards of the live index for which a call of a sweep failed; the next sweep repeats it"
    ),
    "SweepLag": Metric(_MS, "How overdue a sweep's most overdue look was; none if a shard was not read", summed=False),
    "TasksStarted": Metric(_COUNT, "Runs that the schedule started"),
    "TasksSkipped": Metric(_COUNT, "Slots skipped, because the run before was not done"),
    "TasksMissed": Metric(_COUNT, "Slots that came while nobody looked"),
    "TasksSetAside": Metric(
        _COUNT, "Due tasks that cannot run: their job type has no queue, or they cannot be planned"
    ),
    "TaskSkipStreak": Metric(_COUNT, "Slots that a task has skipped in a row, the most of a tick", summed=False),
    "TaskFailureStreak": Metric(
        _COUNT, "Runs of a task that ended otherwise than COMPLETED in a row, the most of a tick", summed=False
    ),
    "SchedulerLag": Metric(_MS, "How long ago a tick's earliest slot had come, over all shards", summed=False),
    "BalanceUpdatesGranted": Metric(_COUNT, "Updates, transfers and reversals that were made"),
    "BalanceUpdatesRefused": Metric(_COUNT, "Those that were refused: no such account, too little, too much"),
    "BalanceUpdatesConflicted": Metric(_COUNT, "Times that one was planned anew, because another came first"),
    "LedgerEntries": Metric(_COUNT, "Ledger entries written"),
    "LedgerLag": Metric(_MS, "How old a batch's oldest change of an account was when it was recorded", summed=False),
    "LedgerMismatches": Metric(_COUNT, "Batches with a change that does not explain itself"),
    "LedgerDifferences": Metric(_COUNT, "Differences that the check of the ledger found"),
    "LedgerAccountsBehind": Metric(_COUNT, "Accounts whose newest entries were not there yet at the check"),
    "LedgerEntriesChecked": Metric(_COUNT, "Entries that the check read"),
    "ColdStarts": Metric(_COUNT, "Environments that began", _BY_FUNCTION),
    "MemoryUsed": Metric(_MB, "Most memory that an environment has used, told once a minute", _BY_FUNCTION, False),
    "CpuUsed": Metric(_MS, "CPU time that an environment has used since it told last, once a minute", _BY_FUNCTION),
}
