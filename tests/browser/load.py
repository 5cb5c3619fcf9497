"""Work of every kind for the dashboard, and what each line of each widget must say of it.

What must be said is known from elsewhere: from what was asked for, from the answers of the API, from the functions' own
log lines, from the processes of the machine, and from this program's clock around a call.
"""

import os
import re
import secrets
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from leaseway import clock
from leaseway.jobs.table import live_key
from leaseway.jobs.types import catalogue
from leaseway.tasks.definitions import Definition, create_task
from leaseway_local.monitoring.log_tail import find_groups
from support.as_function import act_as_function
from support.function_logs import read_log_lines
from support.monitored_stack import MonitoredStack
from support.seed_jobs import make_job_item, put_jobs
from support.waiting import wait_until

BOUND = 90
SLEEP_MS = 300
LATE_MS = 1_000
"""How overdue the look at a forgotten job is."""
FAILING = {"type": "HTTP_GET", "payload": {"url": "http://nowhere.invalid/"}, "max_attempts": 1}
ENDED = ("COMPLETED", "FAILED", "CANCELLED")
_REPORTED = re.compile(r"^REPORT .*\bDuration: (\d+) ms")


class Between(NamedTuple):
    """A line's number lies between two others; with `peak`, the largest of its minutes does, else what it comes to."""

    low: float
    high: float
    peak: bool = False

    def holds(self, entry: Mapping[str, str]) -> bool:
        """Whether a legend's entry says so. Nothing at all is none of what is added up, and nothing else."""
        adds = entry["stat"] in {"Sum", "SampleCount"}
        text = entry["most" if self.peak else "value"] or ("0" if adds else "")
        return text != "" and self.low <= float(text) <= self.high


class Nothing:
    """A line has no data: what it counts did not happen."""

    def holds(self, entry: Mapping[str, str]) -> bool:
        """Whether a legend's entry is empty."""
        return entry["value"] == ""

    def __repr__(self) -> str:
        return "nothing"


Expected = dict[str, dict[str, "Between | Nothing"]]


def exactly(number: float) -> Between:
    """It comes to that."""
    return Between(number, number)


def peak(low: float, high: float | None = None) -> Between:
    """Its largest minute shows that, or something up to `high`."""
    return Between(low, low if high is None else high, peak=True)


def among(numbers: Sequence[float]) -> "Between | Nothing":
    """A percentile of those."""
    return Between(min(numbers), max(numbers)) if numbers else Nothing()


@dataclass
class Done:
    """What was done, as this program knows it. Times are milliseconds."""

    began: float = field(default_factory=lambda: time.time() * 1000)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    """As they ended; one that was retried is there twice."""
    waits: list[tuple[float, float]] = field(default_factory=list)
    """From when a job could run to when it was begun, at least and at most."""
    workers: Counter[str] = field(default_factory=Counter)
    """Jobs of each worker while the sweep looked."""
    invocation_ms: dict[str, float] = field(default_factory=dict)
    """How long the functions took that were invoked from here, with the way there and back."""
    lags: dict[str, tuple[float, float]] = field(default_factory=dict)
    waiting: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By queue, how old its oldest message became, at least and at most."""
    environments: dict[str, str] = field(default_factory=dict)
    """Every environment that was seen: its function, by its log stream."""
    memory: dict[str, int] = field(default_factory=dict)
    """MB that the largest environment of a function has held."""
    cpu: dict[str, float] = field(default_factory=dict)
    """Milliseconds of CPU of every environment, by its log stream."""

    def look(self, watched: MonitoredStack) -> None:
        """Note the environments that there are now."""
        for process in map(Path, (f"/proc/{pid}" for pid in watched.engine.functions())):
            try:
                environ, status, stat = ((process / name).read_text() for name in ("environ", "status", "stat"))
                variables = dict(pair.split("=", 1) for pair in environ.split("\0") if "=" in pair)
                name, stream = (variables[f"AWS_LAMBDA_{each}_NAME"] for each in ("FUNCTION", "LOG_STREAM"))
            except (OSError, KeyError):
                continue  # it ended
            most = re.search(r"^VmHWM:\s+(\d+)", status, re.MULTILINE)
            user, system = map(int, stat.rpartition(")")[2].split()[11:13])
            self.environments[stream] = name
            self.memory[name] = max(self.memory.get(name, 0), int(most[1]) // 1024 if most else 0)
            self.cpu[stream] = (user + system + 2) * 1000 / os.sysconf("SC_CLK_TCK")  # each is cut off


def work(watched: MonitoredStack) -> Done:
    """Work of every kind."""
    done = Done()
    _balances(watched)
    _jobs_that_run(watched, done)
    _jobs_that_wait(watched, done)
    _tick_late(watched, done)
    done.look(watched)
    return done


def _balances(watched: MonitoredStack) -> None:
    user = f"u{secrets.token_hex(4)}"
    watched.stack.api.post("/api/users", {"userId": user, "balance": 10})
    for amount in (5, -3, -500):
        watched.stack.api.request("POST", "/api/users/update-balance", json={"userId": user, "amount": amount})
    watched.wait_for_value(4, "LedgerEntries")  # the first account's, and three


def _jobs_that_run(watched: MonitoredStack, done: Done) -> None:
    api = watched.stack.api
    sleeps = [_sleep()] * 6
    bodies = [*sleeps, *[{"type": "GENERATE_NUMBER", "payload": {}}] * 3, FAILING, _sleep(60_000) | {"ttl_ms": 1_500}]
    ids = [one["job"]["id"] for one in api.post("/api/v1/jobs/batch", {"jobs": bodies})["content"]]
    first = [_wait_for_end(watched, job) for job in ids]
    assert [job["status"] for job in first] == [*["COMPLETED"] * 9, "FAILED", "CANCELLED"]
    done.jobs += first
    done.waits += [(wait, wait) for wait in map(_waiting_ms, first)]
    before = _now()
    api.post(f"/api/v1/jobs/{ids[9]}/retry", None)
    wait_until(lambda: api.get(f"/api/v1/jobs/{ids[9]}")["attempts"] == 2, seconds=BOUND, what="the second attempt")
    again = _wait_for_end(watched, ids[9])
    done.jobs.append(again)
    done.waits.append((0, _ms(again["started_at"]) - int(before)))
    done.look(watched)


def _jobs_that_wait(watched: MonitoredStack, done: Done) -> None:
    """A sweep while two jobs run and one was forgotten; some that wait, and a dead letter that no function judges."""
    api = watched.stack.api
    running = [api.post("/api/v1/jobs", _sleep(600_000))["id"] for _ in range(2)]
    for job in running:
        wait_until(lambda job=job: _read(watched, job)["status"] == "RUNNING", seconds=BOUND, what="a running job")
    running_jobs = [_read(watched, job) for job in running]
    done.workers = Counter(job["worker"] for job in running_jobs)
    done.waits += [(wait, wait) for wait in map(_waiting_ms, running_jobs)]
    with watched.pause_mappings("DeadLetterFunction"), watched.pause_mappings("WorkerFunction"):
        lost = _put_forgotten_job(watched)
        with _measure_invocation(watched, "sweeper", done):
            sweep_report = watched.stack.invoke("SweeperFunction")
        assert (sweep_report["looked"], sweep_report["resent"]) == (1, 1)
        before = _now()
        waiting = [api.post("/api/v1/jobs", _sleep() | {"priority": "low"})["id"] for _ in range(3)]
        dead = _dead_letter(watched)
        for queue, name, count in (("Low", "NumberOfMessagesVisible", 3), ("Jobs", "NumberOfMessagesNotVisible", 2)):
            _gauge(watched, f"Approximate{name}", queue, count)
        _gauge(watched, "ApproximateNumberOfMessagesVisible", "DeadLetter", 1)
        done.lags["sweeper"] = (LATE_MS, LATE_MS + before - _ms(lost["created_at"]))
        done.jobs += [_cancel(watched, job) for job in running]
    for job in (*waiting, lost["id"], dead):
        done.jobs.append(_wait_for_end(watched, job))
    done.waits += [(wait, wait) for wait in map(_waiting_ms, done.jobs[-5:-1])]
    done.waiting = {"low": (0.001, _now() - before), "dead letters": (0.001, _now() - before)}
    done.look(watched)


def _tick_late(watched: MonitoredStack, done: Done) -> None:
    """A tick that finds a slot half a minute old, and a check of the ledger."""
    late = 30
    with act_as_function(watched.stack), clock.fixed(lambda: time.time() - 3_600 - late):
        task = create_task("admin", Definition(name="late", type="SLEEP", payload={"duration_ms": 1}, every="1h"))
    with _measure_invocation(watched, "scheduler", done):
        before = _now()
        assert watched.stack.invoke("SchedulerFunction")["started"] == 1
    done.lags["scheduler"] = (int(before) - (task.next_run or 0), _now() - (task.next_run or 0))
    (run,) = wait_until(
        lambda: watched.stack.api.get(f"/api/tasks/{task.id}/history")["content"], seconds=BOUND, what="the run"
    )
    done.jobs.append(_wait_for_end(watched, run["run"]["job_id"]))
    done.waits.append((wait := _waiting_ms(done.jobs[-1]), wait))
    with _measure_invocation(watched, "ledger-check", done):
        watched.stack.invoke("LedgerCheckFunction")


def _sleep(duration_ms: int = SLEEP_MS) -> dict[str, Any]:
    return {"type": "SLEEP", "payload": {"duration_ms": duration_ms}}


def _read(watched: MonitoredStack, job: str) -> dict[str, Any]:
    return dict(watched.stack.api.get(f"/api/v1/jobs/{job}"))


def _wait_for_end(watched: MonitoredStack, job: str) -> dict[str, Any]:
    wait_until(lambda: _read(watched, job)["status"] in ENDED, seconds=BOUND, what=f"the end of {job}", every=0.3)
    return _read(watched, job)


def _cancel(watched: MonitoredStack, job: str) -> dict[str, Any]:
    watched.stack.api.post(f"/api/v1/jobs/{job}/cancel", None)
    return _wait_for_end(watched, job)


def _put_forgotten_job(watched: MonitoredStack) -> dict[str, Any]:
    """A job that has no message, so that only the sweeper brings it on, and whose look has come."""
    now = int(_now())
    with act_as_function(watched.stack):
        job_id = make_job_item(0, owner="admin")["id"]["S"]
        item = make_job_item(0, owner="admin", status="CREATED", attempts=0, fence=0, version=1, created_at=now,
                        updated_at=now, look_at=now - LATE_MS, live_key=live_key(job_id, timed=True))  # fmt: skip
        put_jobs([item])
    return _read(watched, item["id"]["S"])


def _dead_letter(watched: MonitoredStack) -> str:
    """A job whose message was received more often than its queue allows."""
    job = str(watched.stack.api.post("/api/v1/jobs", _sleep() | {"priority": "high"})["id"])
    sqs, queue = watched.stack.client("sqs"), watched.stack.outputs["HighQueueUrl"]
    dead = {"QueueUrl": watched.stack.outputs["DeadLetterQueueUrl"], "AttributeNames": ["ApproximateNumberOfMessages"]}

    def there() -> bool:
        sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0)
        return sqs.get_queue_attributes(**dead)["Attributes"]["ApproximateNumberOfMessages"] == "1"

    wait_until(there, seconds=BOUND, what="the dead letter")
    return job


def _gauge(watched: MonitoredStack, name: str, queue: str, least: int) -> None:
    metric = {"namespace": "AWS/SQS", "QueueName": watched.stack.outputs[f"{queue}QueueUrl"].rpartition("/")[2]}
    wait_until(
        lambda: watched.value(name, "Maximum", **metric) >= least, seconds=BOUND, what=f"{least} in {queue}", every=1
    )


@contextmanager
def _measure_invocation(watched: MonitoredStack, function: str, done: Done) -> Iterator[None]:
    before = _now()
    yield
    done.invocation_ms[function] = _now() - before


def _now() -> float:
    return time.time() * 1000


def _ms(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() * 1000


def _waiting_ms(job: Mapping[str, Any]) -> float:
    return round(_ms(job["started_at"]) - _ms(job["created_at"]))


def _ran(job: Mapping[str, Any]) -> float:
    return round(_ms(job["finished_at"]) - _ms(job["started_at"]))


# ---- What it comes to -----------------------------------------------------------------------------------------------


def expect_lines(watched: MonitoredStack, done: Done) -> Expected:
    """Every widget's title, every line's label, and its bounds according to the logs as they are now."""
    since = _now() - done.began
    done.look(watched)
    done.invocation_ms["meter"] = since  # the monitor asks it
    return {
        **_service(watched),
        **_jobs(done),
        **_queues(done, since),
        "Active jobs by worker": {
            "all": peak(2),
            "the busiest worker's": peak(max(done.workers.values())),
            "a worker's, on average": peak(2 / len(done.workers)),
        },
        "Scheduler": {
            **{
                label: exactly(0) for label in ("skipped", "missed", "set aside", "skipped in a row", "failed in a row")
            },
            "started": exactly(1),
        },
        "Lag": {**{name: peak(*bounds) for name, bounds in done.lags.items()}, "tally": peak(0, since)},
        "Updates": {"granted": exactly(2), "refused": exactly(1), "conflicted": exactly(0)},
        "Ledger": {"lag, ms": peak(0, since), "entries": exactly(4)},
        "Ledger check": {"differences": exactly(0), "accounts behind": exactly(0), "mismatches": exactly(0)},
        **_functions(watched, done),
    }


def _service(watched: MonitoredStack) -> Expected:
    requests = [
        line for line in read_log_lines(watched.stack.client, "leaseway-api") if line.get("action") == "request"
    ]
    latency = among([line["ms"] for line in requests])
    return {
        "Requests": {"requests": exactly(len(requests))},
        "Errors of the service": {"500 and above": exactly(sum(line["status"] >= 500 for line in requests))},
        "Latency in the function": {"p50": latency, "p95": latency, "p99": latency},
    }


def _jobs(done: Done) -> Expected:
    by_type: defaultdict[tuple[str, str], int] = defaultdict(int)
    for job in done.jobs:
        by_type[job["status"], job["type"]] += 1
    ended = Counter(job["status"] for job in done.jobs)
    dead = [job for job in done.jobs if job["dead_lettered_at"]]
    ran = [job for job in done.jobs if job["status"] != "CANCELLED" and job not in dead]
    for job in ran:  # none was quicker than what it had to do
        assert _ran(job) >= (job["payload"]["duration_ms"] if job["type"] == "SLEEP" else 0)
    runs = {kind: [_ran(job) for job in ran if job["type"] == kind] for kind in catalogue()}
    every = [run for of_kind in runs.values() for run in of_kind]
    waits = Between(min(low for low, _ in done.waits), max(high for _, high in done.waits))
    longest = peak(max(low for low, _ in done.waits), waits.high)
    return {
        "Throughput": {
            "created": exactly(len(done.jobs) - 1),  # one was tried a second time
            "started": exactly(len(done.jobs) - len(dead)),
            "completed": exactly(ended["COMPLETED"]),
            "failed": exactly(ended["FAILED"]),
            "cancelled": exactly(ended["CANCELLED"]),
            "retried": exactly(1),
        },
        "Wait for a worker": {"p50": waits, "p95": waits, "longest": longest},
        "Run time": {"p50": among(every), "p95": among(every), "longest": peak(max(every))},
        "Completed by type": {kind: exactly(by_type["COMPLETED", kind]) for kind in catalogue()},
        "Failed by type": {kind: exactly(by_type["FAILED", kind]) for kind in catalogue()},
        "Run time by type, p95": {kind: among(runs[kind]) for kind in catalogue()},
    }


def _queues(done: Done, since: float) -> Expected:
    unused = ("tasks", "messages", "ordered", "ordered dead letter", "storage audit", "external")
    sent = len(done.jobs)
    nothing = dict.fromkeys(unused, peak(0))
    old = {name: peak(low / 1000, high / 1000) for name, (low, high) in done.waiting.items()}
    return {
        "Waiting messages": nothing | {"jobs": peak(0, sent), "high": peak(0, 1), "low": peak(3), "tasks": peak(0, 1)},
        "Age of the oldest message": nothing
        | {"jobs": peak(0, since / 1000), "high": peak(0, since / 1000), "tasks": peak(0, since / 1000), **old},
        "In flight": nothing | {"jobs": peak(2, sent), "high": peak(0, 1), "low": peak(0, 3), "tasks": peak(0, 1)},
        "Dead letters": {"dead letters": peak(1), "jobs failed so": exactly(1)},
        "Leases": {"lost": exactly(2), "late results": exactly(1)},
        "Sweeps": {
            **{label: exactly(0) for label in ("cancelled", "set aside", "failed")},
            "found": exactly(1),
            "sent again": exactly(1),
        },
    }


def _functions(watched: MonitoredStack, done: Done) -> Expected:
    names = dict(find_groups(watched.stack.outputs, None))
    del names["first-admin"]  # runs once a deployment, and is on no widget
    reports = {name: _read_durations(watched, group) for name, group in names.items()}
    starts = Counter(done.environments.values())
    cpu: Counter[str] = Counter()
    for stream, milliseconds in done.cpu.items():
        cpu[done.environments[stream]] += int(milliseconds) + 1
    none = Nothing()
    return {
        # A call from here includes what the engine adds to it.
        "Duration, p95": {
            name: Between(min(took), max(*took, done.invocation_ms.get(name, 0) + 1)) if took else none
            for name, took in reports.items()
        },
        "Errors": {name: exactly(0) if took else none for name, took in reports.items()},
        "Throttles": {name: exactly(0) if took else none for name, took in reports.items()},
        "Cold starts": {name: exactly(starts[f"leaseway-{name}"]) for name in names},
        "Memory used": {
            name: peak(_bare_mb(), done.memory[f"leaseway-{name}"]) if took else none for name, took in reports.items()
        },
        "CPU used": {
            name: Between(1, cpu[f"leaseway-{name}"]) if took else exactly(0) for name, took in reports.items()
        },
        "Invocations": {name: exactly(len(took)) for name, took in reports.items()},
    }


def _read_durations(watched: MonitoredStack, group: str) -> list[int]:
    """Milliseconds of each invocation, as the function's log has them."""
    logs = watched.stack.client("logs")
    try:
        events = logs.filter_log_events(logGroupName=group, filterPattern='"REPORT RequestId"')["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [int(report[1]) for event in events if (report := _REPORTED.match(event["message"]))]


@cache
def _bare_mb() -> int:
    """MB of an interpreter that does nothing: every function needs more."""
    ask = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    output = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout
    return int(output) // 1024


def list_differences(expected: Expected, legends: Mapping[str, Mapping[str, Mapping[str, str]]]) -> Iterable[str]:
    """What a page's legends do not say as they must."""
    for title, lines in expected.items():
        for label, bounds in lines.items():
            entry = legends.get(title, {}).get(label)
            if entry is None or not bounds.holds(entry):
                yield f"{title}, {label}: {bounds}, not {entry}"
