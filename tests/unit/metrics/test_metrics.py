"""Metrics: one line an invocation, in the format that CloudWatch reads, and nothing that is not in the catalogue."""

import importlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools.metrics import MetricUnit

from leaseway import clock, metrics
from leaseway.accounts import InsufficientFundsError, change_balance, create_account, transfer
from leaseway.idempotency import IdempotencyKey
from leaseway.jobs import Options, create_job
from leaseway.jobs.control.control import cancel_job
from leaseway.jobs.find.active import count_active_jobs
from leaseway.jobs.run import claim, finish
from leaseway.jobs.table import live_key
from leaseway.ledger.stream import LedgerMismatchError
from leaseway.metrics import notes, process
from leaseway.prometheus.page import page
from leaseway.settings import settings
from support.account_stream import read_stream_records
from support.api_gateway import call, post
from support.metric_lines import Line, collect_points, transfer_in_conflict
from support.seed_jobs import EPOCH_MS, make_job_item, put_jobs
from worker.run import Run

SLEEP = {"duration_ms": 1}


@pytest.fixture(autouse=True)
def nothing_noted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(process, "_last_report", 0.0)
    metrics.flush("test")
    yield
    notes._pending.clear()


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Any:
    """Flushes and gives what was written since the last look."""
    capsys.readouterr()

    def read_lines() -> list[Line]:
        metrics.flush("test")
        return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]

    return read_lines


# ---- The format --------------------------------------------------------------------------------------------------


def test_what_one_request_notes_is_one_line(lines: Callable[[], list[Line]]) -> None:
    # When a request is noted with its total and its route
    metrics.note("HttpDuration", 12.5, route="GET /health", status="2xx")
    metrics.note("HttpErrors", 0)
    metrics.note("BalanceUpdatesGranted")
    # Then one line says all of it, under each of its dimensions
    (line,) = lines()
    assert collect_points([line]) == {
        ("HttpDuration",): [12.5],
        ("HttpDuration", "GET /health", "2xx"): [12.5],
        ("HttpErrors",): [0],
        ("BalanceUpdatesGranted",): [1],
    }


def test_counts_are_added_up_and_durations_are_kept_apart(lines: Callable[[], list[Line]]) -> None:
    for kind, wait in (("SLEEP", 5), ("SLEEP", 7), ("HTTP_GET", 9)):
        metrics.note("JobsStarted", type=kind)
        metrics.note("JobWait", wait, type=kind)
    values = collect_points(lines())
    assert (values["JobsStarted",], values["JobsStarted", "SLEEP"], values["JobsStarted", "HTTP_GET"]) == (
        [3],
        [2],
        [1],
    )
    assert (values["JobWait",], values["JobWait", "SLEEP"]) == ([5, 7, 9], [5, 7])


def test_a_line_holds_no_more_values_than_cloudwatch_reads(lines: Callable[[], list[Line]]) -> None:
    for wait in range(250):
        metrics.note("JobWait", wait, type="SLEEP")
    written = lines()
    assert sorted(collect_points(written)["JobWait",]) == list(range(250))
    assert all(len(line["JobWait"]) <= 100 for line in written)


def test_threads_lose_no_count(lines: Callable[[], list[Line]]) -> None:
    def many() -> None:
        for _ in range(2_000):
            metrics.note("LeasesLost")

    threads = [threading.Thread(target=many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert collect_points(lines())["LeasesLost",] == [16_000]


@pytest.mark.parametrize(
    ("name", "dimensions"), [("JobsLost", {}), ("JobsCreated", {}), ("LateResults", {"user": "ann"})]
)
def test_a_metric_that_the_catalogue_does_not_have_so_is_refused(name: str, dimensions: dict[str, str]) -> None:
    with pytest.raises(metrics.UnknownMetricError):
        metrics.note(name, **dimensions)


def test_nothing_noted_writes_nothing(lines: Callable[[], list[Line]]) -> None:
    assert lines() == []


def test_an_environment_reports_its_start_once_and_its_memory_and_cpu_each_minute(
    lines: Callable[[], list[Line]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_last_report", None)
    (first,) = lines()
    assert collect_points([first])["ColdStarts", "test"] == [1]
    assert 5 < collect_points([first])["MemoryUsed", "test"][0] < 5_000
    assert lines() == []
    monkeypatch.setattr(process, "_last_report", process._last_report - 61)
    assert set(collect_points(lines())) == {("MemoryUsed", "test"), ("CpuUsed", "test")}


def test_cpu_is_reported_as_used_since_the_last_report(
    lines: Callable[[], list[Line]], monkeypatch: pytest.MonkeyPatch
) -> None:
    used = 2.0
    monkeypatch.setattr(time, "process_time", lambda: used)
    monkeypatch.setattr(process, "_reported_cpu", 0.0)
    cpu_ms = []
    for seconds in (2.0, 2.5, 7.0):
        used = seconds
        monkeypatch.setattr(process, "_last_report", time.monotonic() - 61)
        cpu_ms += collect_points(lines())["CpuUsed", "test"]
    assert cpu_ms == [2_000, 500, 4_500]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells it")
def test_the_reported_memory_is_the_functions_own_and_not_its_parents() -> None:
    ballast = bytearray(b"x") * (200 << 20)
    ask = "from leaseway.metrics import process; print(process.peak_memory_kib())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    output = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True)
    assert 1_000 < int(output.stdout) < len(ballast) // 1024


def test_a_handler_that_raises_still_reports(
    lines: Callable[[], list[Line]], capsys: pytest.CaptureFixture[str]
) -> None:
    @metrics.flush_after("test")
    def handler() -> None:
        metrics.note("LedgerMismatches")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        handler()
    assert '"LedgerMismatches":[1.0]' in capsys.readouterr().out


def test_units_are_cloudwatchs_own_and_dimensions_are_few() -> None:
    assert all(metric.unit in MetricUnit for metric in metrics.CATALOGUE.values())
    dimensions = {name for metric in metrics.CATALOGUE.values() for names in metric.by for name in names}
    assert dimensions == {"route", "status", "type", "function"}


# ---- What is noted -----------------------------------------------------------------------------------------------


def test_requests_are_counted_by_declared_route_and_class_of_status(
    cloud: None, capsys: pytest.CaptureFixture[str]
) -> None:
    post("/api/users", {"userId": "ann", "balance": 5})
    call("GET", "/api/users/{userId}/balance", path={"userId": "nobody"})
    call("GET", "/never/heard/of/4711")
    points = collect_points(
        [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    )
    assert {key[1:] for key in points if key[0] == "HttpDuration" and len(key) > 1} == {
        ("POST /api/users", "2xx"),
        ("GET /api/users/{userId}/balance", "4xx"),
        ("other", "4xx"),
    }
    assert (len(points["HttpDuration",]), points["HttpErrors",]) == (3, [0, 0, 0])


def test_a_bug_is_an_error_of_the_service(
    cloud: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCOUNTS_TABLE", "gone")
    from leaseway.settings import settings

    settings.cache_clear()
    assert call("GET", "/api/users/{userId}/balance", path={"userId": "ann"}).status >= 500
    points = collect_points(
        [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    )
    assert points["HttpErrors",] == [1]


def test_balance_updates_are_counted_by_outcome_and_repeats_are_not_counted(
    cloud: None, lines: Callable[[], list[Line]]
) -> None:
    for name in ("ann", "ben"):
        create_account(name, 10, request_id=name)
    key = IdempotencyKey("me", "POST /there", "key")
    for number, amount in enumerate((5, -100, 7)):
        for _ in range(2 if number else 1):
            try:
                change_balance("ann", amount, request_id=f"{number}", key=key if number == 2 else None)
            except InsufficientFundsError:
                continue
    transfer("ann", "ben", 1, owner=None, request_id="t")
    with pytest.raises(InsufficientFundsError):
        transfer("ann", "ben", 1_000, owner=None, request_id="u")
    points = collect_points(lines())
    assert points == {("BalanceUpdatesGranted",): [3], ("BalanceUpdatesRefused",): [3]}


def test_a_jobs_life_is_counted_by_its_type_and_a_repeated_delivery_is_not(
    cloud: None, lines: Callable[[], list[Line]]
) -> None:
    # Given a job that waited a second and ran two, one that failed for good, one that is tried again
    start = clock.now_ms() / 1000
    with clock.fixed(lambda: start):
        jobs = [create_job("ann", "SLEEP", SLEEP, Options(max_attempts=limit)) for limit in (1, 1, 2)]
    with clock.fixed(lambda: start + 1):
        leases = [claim.claim(job.id, "w").lease for job in jobs]  # type: ignore[union-attr]
    with clock.fixed(lambda: start + 3):
        finish.complete(leases[0], {})
        for job in leases[1:]:
            finish.fail(job, "no")
    # When the stream is delivered, twice
    handler = importlib.import_module("tally.app").handler
    with clock.fixed(lambda: start + 4):
        handler({"Records": read_stream_records(table="jobs")}, None)
        handler({"Records": read_stream_records(table="jobs")}, None)
    # Then each step is counted once, in all and by type
    points = collect_points(lines())
    expected = {
        "JobsCreated": [3],
        "JobsStarted": [3],
        "JobWait": [1_000] * 3,
        "JobsCompleted": [1],
        "JobsFailed": [1],
        "JobsRetried": [1],
        "JobRun": [2_000] * 2,
    }
    assert {name[0]: values for name, values in points.items() if name[1:] == ("SLEEP",)} == expected
    assert {name[0]: values for name, values in points.items() if len(name) == 1} == expected | {
        "TallyLag": [4_000, 4_000],
        "JobFailures": [0, 1],
    }


def test_active_jobs_are_counted_by_worker(cloud: None) -> None:
    for worker in ("w1", "w1", "w2"):
        claim.claim(create_job("ann", "SLEEP", SLEEP).id, worker)
    create_job("ann", "SLEEP", SLEEP)
    active = count_active_jobs()
    assert (active.by_worker, active.unread, active.total) == ({"w1": 2, "w2": 1}, 0, 3)


def test_active_jobs_behind_a_backlog_are_in_the_sum(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given running jobs whose next look comes after those of many waiting ones
    monkeypatch.setenv("LIST_KEY_BUDGET", "100")
    settings.cache_clear()
    waiting = [make_job_item(number, status="CREATED") for number in range(300)]
    running = [make_job_item(number, status="RUNNING", worker=f"w{number}", look_at=EPOCH_MS * 2)
               for number in range(300, 307)]  # fmt: skip
    held_for_long = make_job_item(400, status="RUNNING", worker="w400", look_at=EPOCH_MS * 2)
    held_for_long["live_key"] = {"S": live_key(held_for_long["id"]["S"], timed=True)}
    put_jobs([*waiting, *running, held_for_long])
    # When the tally has counted them
    importlib.import_module("tally.app").handler({"Records": read_stream_records(table="jobs")}, SimpleNamespace())
    # Then they are counted, and shown on the metrics page
    active = count_active_jobs()
    assert (active.by_worker, active.unread, active.total) == ({"w400": 1}, 7, 8)
    assert 'app_active_tasks_total{worker="others"} 7' in page()


def test_a_late_result_and_a_lost_lease_are_counted(cloud: None, lines: Callable[[], list[Line]]) -> None:
    start = clock.now_ms() / 1000
    with clock.fixed(lambda: start):
        late, lost = [
            claim.claim(create_job("ann", "SLEEP", SLEEP).id, "w").lease  # type: ignore[union-attr]
            for _ in range(2)
        ]
        cancel_job(lost.job.id, owner=None, actor="ann")
    with clock.fixed(lambda: start + 3_600):
        for job in (late, lost):
            Run(job, "receipt", lambda _: None).execute()
    assert collect_points(lines()) == {("LateResults",): [1], ("LeasesLost",): [1]}


def test_a_change_that_was_overtaken_is_counted(
    cloud: None, lines: Callable[[], list[Line]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ann", "ben"):
        create_account(name, 10, request_id=name)
    transfer_in_conflict()
    assert collect_points(lines()) == {("BalanceUpdatesGranted",): [1], ("BalanceUpdatesConflicted",): [1]}


def test_a_change_that_does_not_explain_itself_is_counted(cloud: None, capsys: pytest.CaptureFixture[str]) -> None:
    create_account("ann", 5, request_id="r")
    (record,) = read_stream_records()
    record["dynamodb"]["NewImage"]["last_entry"]["M"]["amount"] = {"N": "6"}
    with pytest.raises(LedgerMismatchError):
        importlib.import_module("ledger.app").handler({"Records": [record]}, None)
    assert '"LedgerMismatches":[1.0]' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("function", "event", "names"),
    [
        (
            "sweeper",
            {},
            {
                "SweepFound",
                "SweepResent",
                "SweepCancelled",
                "SweepSetAside",
                "SweepFailed",
                "SweepLag",
                "JobsRunning",
                "ActiveJobs",
            },
        ),
        (
            "scheduler",
            {},
            {
                "TasksStarted",
                "TasksSkipped",
                "TasksMissed",
                "TasksSetAside",
                "TaskSkipStreak",
                "TaskFailureStreak",
                "SchedulerLag",
            },
        ),
        ("ledger.check", {}, {"LedgerDifferences", "LedgerAccountsBehind", "LedgerEntriesChecked"}),
    ],
)
def test_a_scheduled_function_reports_each_run(
    cloud: None, capsys: pytest.CaptureFixture[str], function: str, event: Any, names: set[str]
) -> None:
    module = function if "." in function else f"{function}.app"
    importlib.import_module(module).handler(event, SimpleNamespace())
    written = capsys.readouterr().out.splitlines()
    points = collect_points([json.loads(line) for line in written if line.startswith('{"_aws"')])
    assert {name[0] for name in points} == names


def test_the_ledger_function_reports_how_far_it_is_behind(cloud: None, capsys: pytest.CaptureFixture[str]) -> None:
    start = clock.now_ms() / 1000
    with clock.fixed(lambda: start):
        create_account("ann", 5, request_id="r")
    capsys.readouterr()
    with clock.fixed(lambda: start + 60):
        importlib.import_module("ledger.app").handler({"Records": read_stream_records()}, None)
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"'))
    assert collect_points([json.loads(line)]) == {("LedgerLag",): [60_000], ("LedgerEntries",): [1]}


def test_a_job_whose_message_no_claim_settled_is_counted(cloud: None, capsys: pytest.CaptureFixture[str]) -> None:
    job = create_job("ann", "SLEEP", SLEEP)
    letter = {"messageId": "a", "body": json.dumps({"job_id": job.id, "ttl_ms": 1, "version": job.version})}
    next_day = clock.now_ms() / 1000 + 86_400
    with clock.fixed(lambda: next_day):
        importlib.import_module("dead_letter.app").handler({"Records": [letter]}, None)
    importlib.import_module("tally.app").handler({"Records": read_stream_records(table="jobs")}, None)
    assert capsys.readouterr().out.count('"JobsDeadLettered":[1.0]') == 1
