"""The page of `GET /metrics`, put together from what is stored."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from leaseway.counters import read_scope
from leaseway.dynamodb.table import Item
from leaseway.jobs.find.active import count_active_jobs
from leaseway.jobs.find.totals import ALL_JOBS, DEAD_LETTERS
from leaseway.prometheus import meter
from leaseway.prometheus.families import BUCKETS
from leaseway.prometheus.text import Histogram, Labels, Values, render
from leaseway.tally.job_totals import CUMULATIVE

UNREAD_WORKERS = "others"
"""The label of RUNNING jobs behind a backlog, whose workers are not read."""

_BALANCE_UPDATES = "BalanceUpdates"
_JOBS = {short: f"leaseway_jobs_{short}_total" for short in CUMULATIVE.values()}
_BUCKETS = (*(meter.bucket(bound) for bound in BUCKETS), meter.bucket(float("inf")))


def page() -> str:
    """Render the current value of every metric.

    Three consistent Queries, of a few items per route that was ever called, of `TOTALS_SHARDS` and of one; and what
    `count_active_jobs` reads. Consistent, because a counter that decreased would look like a restart to Prometheus,
    which would add all of it again.
    """
    counted = _Counted(read_scope(meter.SCOPE, consistent=True))
    jobs = read_scope(ALL_JOBS.scope, consistent=True)
    return render(
        {
            "http_requests_total": {labels: sum(histogram.counts) for labels, histogram in counted.requests.items()},
            "http_request_duration_seconds": counted.requests,
            "app_active_tasks_total": _active_jobs(),
            "process_resident_memory_bytes": counted.memory,
            "process_cpu_seconds_total": {
                names: numbers["CpuUsed"] / 1e6 for names, numbers in counted.processes.items()
            },
            "leaseway_cold_starts_total": {
                names: numbers["ColdStarts"] for names, numbers in counted.processes.items()
            },
            **_jobs(jobs),
            "leaseway_dead_letters": {(): max(0, _total(read_scope(DEAD_LETTERS.scope, consistent=True)))},
            "leaseway_balance_updates_total": counted.balance_updates,
        }
    )


def _active_jobs() -> dict[Labels, float | Histogram]:
    active = count_active_jobs()
    values: dict[Labels, float | Histogram] = {(worker,): jobs for worker, jobs in active.by_worker.items()}
    return values | ({(UNREAD_WORKERS,): active.unread} if active.unread else {})


class _Counted:
    """The counters that the meter has stored, their copies added up."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.processes: defaultdict[Labels, Counter[str]] = defaultdict(Counter)
        self.memory: dict[Labels, float] = {}
        requests: defaultdict[Labels, Counter[str]] = defaultdict(Counter)
        for item in items:
            kind, *names = item["shard"]["S"].split(meter.BETWEEN)
            numbers = {name: int(value["N"]) for name, value in item.items() if "N" in value}
            if kind == meter.HTTP:
                requests[_request(*names[:2])].update(numbers)
            elif kind == meter.PROCESS:
                self.processes[names[0],].update(numbers)
            elif kind == meter.MEMORY:
                self.memory[names[0],] = numbers["bytes"]
        self.requests = {labels: _histogram(numbers) for labels, numbers in requests.items()}
        whole = sum(requests.values(), Counter[str]())
        outcomes = ("Granted", "Refused", "Conflicted")
        self.balance_updates: dict[Labels, float] = {
            (each.lower(),): whole[f"{_BALANCE_UPDATES}{each}"] for each in outcomes
        }


def _request(route: str, status: str) -> Labels:
    method, _, path = route.partition(" ")
    return method, path or method, status


def _histogram(numbers: Mapping[str, int]) -> Histogram:
    return Histogram([numbers.get(name, 0) for name in _BUCKETS], numbers[meter.SUM] / 1e6)


def _jobs(items: Iterable[Item]) -> Values:
    values: defaultdict[str, Counter[Labels]] = defaultdict(Counter)
    for item in items:
        for name, value in item.items():
            status, bar, kind = name.partition("|")
            change, slash, changed = name.partition("/")
            if bar:
                values["leaseway_jobs"][status, kind] += int(value["N"])
            elif slash:
                values[_JOBS[change]][changed,] += int(value["N"])
    return {**values, "leaseway_jobs": {labels: max(0, jobs) for labels, jobs in values["leaseway_jobs"].items()}}


def _total(items: Iterable[Item]) -> int:
    return sum(int(value["N"]) for item in items for name, value in item.items() if "|" in name)
