"""Metrics: what a function notes while it works becomes one embedded-metric line of its log an invocation, which
CloudWatch turns into numbers.

`CATALOGUE` is the one list of them: dashboard, alarms, docs and tests are held to it.
"""

import resource
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

import msgspec
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from leaseway.settings import settings

NAMESPACE = "Leaseway"

SERVICE = "service"
"""The dimension that every metric has: the stack."""

_COUNT, _MS, _MB = MetricUnit.Count, MetricUnit.Milliseconds, MetricUnit.Megabytes
# Powertools writes a metric out by itself when it holds 100 values, CloudWatch's limit for a line.
_VALUES_A_LINE = 99
_PROCESS_SECONDS = 60.0

P = ParamSpec("P")
R = TypeVar("R")


class UnknownMetricError(Exception):
    """The catalogue has no metric of that name, or not with those dimensions."""


class Metric(NamedTuple):
    """A metric: its unit, what it means, and the dimensions it is kept by besides the stack.

    `by` has a tuple for each set of dimensions: `()` is the stack's total. With `summed`, what an invocation notes is
    added up to one value; else each value counts for percentiles.
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
    "JobsCancelled": Metric(_COUNT, "Jobs that ended CANCELLED", _BY_TYPE),
    "JobsRetried": Metric(_COUNT, "Jobs put back to CREATED: after an error, or by hand", _BY_TYPE),
    "JobWait": Metric(_MS, "From when a job could run to when a worker began it", _BY_TYPE, summed=False),
    "JobRun": Metric(_MS, "From the last attempt's begin to the job's end", _BY_TYPE, summed=False),
    "JobsDeadLettered": Metric(_COUNT, "Jobs FAILED because no claim ever settled their message"),
    "TallyLag": Metric(_MS, "How old a batch's oldest change of a job was when it was counted", summed=False),
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
    "SweepLag": Metric(_MS, "How overdue a sweep's most overdue look was", summed=False),
    "TasksStarted": Metric(_COUNT, "Runs that the schedule started"),
    "TasksSkipped": Metric(_COUNT, "Slots skipped, because the run before was not done"),
    "TasksMissed": Metric(_COUNT, "Slots that came while nobody looked"),
    "SchedulerLag": Metric(_MS, "How long ago a tick's earliest slot had come", summed=False),
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

_Pending = dict[tuple[tuple[str, str], ...], dict[str, list[float]]]

_pending: _Pending = {}
_noting = threading.Lock()  # a worker's jobs run in threads
_process_told: float | None = None
_cpu_told = 0.0  # seconds


def note(name: str, value: float = 1, **dimensions: str) -> None:
    """Keep a value until `flush`. Costs a microsecond, and no call.

    Raises:
        UnknownMetricError: the catalogue does not have it so.
    """
    metric = CATALOGUE.get(name)
    if metric is None or set(dimensions) != {dimension for names in metric.by for dimension in names}:
        raise UnknownMetricError(f"{name} by {sorted(dimensions)}")
    with _noting:
        for names in metric.by:
            held = _pending.setdefault(tuple((each, dimensions[each]) for each in names), {}).setdefault(name, [])
            if metric.summed and held:
                held[0] += value
            else:
                held.append(value)


def flush(function: str) -> None:
    """Write what was noted: one line, and more where one cannot hold it. `function` is who writes."""
    _note_process(function)
    with _noting:
        taken = dict(_pending)
        _pending.clear()
    for line in _lines(part for dimensions, held in taken.items() for part in _parts(dict(dimensions), held)):
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")


def flushed(function: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a handler write what was noted while it ran, also where it raises."""

    def around(handler: Callable[P, R]) -> Callable[P, R]:
        @wraps(handler)
        def handle(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return handler(*args, **kwargs)
            finally:
                flush(function)

        return handle

    return around


def _note_process(function: str) -> None:
    global _process_told, _cpu_told  # noqa: PLW0603 - the process's own
    now = time.monotonic()
    if _process_told is None:
        note("ColdStarts", function=function)
    if _process_told is None or now - _process_told >= _PROCESS_SECONDS:
        _process_told = now
        cpu = time.process_time()
        note("CpuUsed", round((cpu - _cpu_told) * 1000, 3), function=function)
        _cpu_told = cpu
        note("MemoryUsed", _most_memory() // 1024, function=function)


def _most_memory() -> int:
    """KiB that this process has held at most; as Linux tells it of the program itself.

    `ru_maxrss` would be that of whoever started it, where that was more: it survives the start of another program.
    """
    try:
        with open("/proc/self/status") as status:
            return int(next(line.split()[1] for line in status if line.startswith("VmHWM:")))
    except OSError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _parts(dimensions: Mapping[str, str], held: Mapping[str, Sequence[float]]) -> Iterable[dict[str, Any]]:
    """What Powertools makes of the values of one set of dimensions."""
    longest = max(len(values) for values in held.values())
    for start in range(0, longest, _VALUES_A_LINE):
        part = EphemeralMetrics(namespace=NAMESPACE, service=settings().service)
        for dimension, of in dimensions.items():
            part.add_dimension(dimension, of)
        for name, values in held.items():
            for value in values[start : start + _VALUES_A_LINE]:
                part.add_metric(name, CATALOGUE[name].unit, value)
        yield dict(part.serialize_metric_set())


def _lines(parts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts, joined where they say nothing different of the same name: a line is billed and read as one."""
    lines: list[dict[str, Any]] = []
    for part in parts:
        facts = {name: value for name, value in part.items() if name != "_aws"}
        fitting = (line for line in lines if all(line.get(name, value) == value for name, value in facts.items()))
        line = next(fitting, None)
        if line is None:
            lines.append(part)
        else:
            line["_aws"]["CloudWatchMetrics"] += part["_aws"]["CloudWatchMetrics"]
            line.update(facts)
    return lines
