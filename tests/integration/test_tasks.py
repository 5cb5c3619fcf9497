"""Recurring tasks on the deployed stack: ticks that race, workers that die, runs that take as long as they take.

EventBridge ticks once a minute at best, so these tests invoke the scheduler themselves; where the clock itself is the
matter, the domain runs in the test's process on the stack's tables.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from leaseway import clock
from leaseway.tasks.tick import tick
from leaseway_local.connection.engine_choice import EngineName, read_choice
from leaseway_local.demo.samples import SECONDS, samples
from support.as_function import act_as_function
from support.deployed_stacks import DeployedStack, StackFactory
from support.function_logs import read_log_lines
from support.job_items import read_job_item
from support.job_stream import Change, assert_steady_heartbeats, read_job_changes
from support.waiting import wait_until
from support.worker_processes import kill_worker

LEASE = 4
ENDED = ("COMPLETED", "FAILED", "CANCELLED")
MINUTE = 60_000
_names = itertools.count()


@pytest.fixture(scope="module")
def quick(make_stack: StackFactory) -> DeployedStack:
    """A short lease, five workers for tasks, and ticks by the tests only."""
    return make_stack(
        "tasks",
        LeaseSeconds=LEASE,
        FirstLookSeconds=2,
        BackoffBaseMs=400,
        TasksConcurrency=5,
        SchedulerEnabled="false",
        SweeperEnabled="false",
    )


@pytest.fixture(scope="module")
def sample(make_stack: StackFactory) -> tuple[DeployedStack, dict[str, Any]]:
    """A sample task at its default length on the default lease, started first and judged last."""
    stack = make_stack("samples", LogFormat="json", SchedulerEnabled="false", SweeperEnabled="false")
    definition = next(task for task in samples(SECONDS, "https://example.com/") if task["name"] == "draw-pictures")
    task = stack.api.post("/api/tasks", definition)
    due(stack, task)
    stack.invoke("SchedulerFunction")
    return stack, task


@pytest.fixture(scope="module")
def spread(make_stack: StackFactory) -> tuple[DeployedStack, list[dict[str, Any]]]:
    """Ten tasks of equal length that came due at once, and five workers; started first and judged later, too."""
    stack = make_stack("spread", TasksConcurrency=5, SchedulerEnabled="false", SweeperEnabled="false")
    tasks = [define(stack, payload={"duration_ms": 20_000}) for _ in range(10)]
    for task in tasks:
        due(stack, task)
    assert stack.invoke("SchedulerFunction")["started"] == 10
    return stack, tasks


@pytest.fixture(scope="module", autouse=True)
def _start_the_long_ones(sample: tuple[DeployedStack, dict[str, Any]], request: pytest.FixtureRequest) -> None:
    """Started before the first test of this module, so that their minutes pass during the others."""
    if read_choice() is EngineName.MINISTACK:
        request.getfixturevalue("spread")


def define(stack: DeployedStack, **options: Any) -> dict[str, Any]:
    body = {"name": f"task-{next(_names)}", "type": "SLEEP", "payload": {"duration_ms": 10}, **options}
    if "cron" not in body:
        body.setdefault("every", "1h")
    return stack.api.post("/api/tasks", body)


def due(stack: DeployedStack, task: dict[str, Any], ago_ms: int = 1_000) -> int:
    """Let the task's next slot have come `ago_ms` ago, as time would have done; returns the slot."""
    slot = int(time.time() * 1000) - ago_ms
    stack.client("dynamodb").update_item(
        TableName=stack.outputs["TasksTable"],
        Key={"id": {"S": task["id"]}},
        UpdateExpression="SET next_run = :slot, anchor = :slot",
        ExpressionAttributeValues={":slot": {"N": str(slot)}},
    )
    return slot


def read(stack: DeployedStack, task: dict[str, Any]) -> dict[str, Any]:
    return stack.api.get(f"/api/tasks/{task['id']}")


def history(stack: DeployedStack, task: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    return stack.api.get(f"/api/tasks/{task['id']}/history", **query)["content"]


def run_of(stack: DeployedStack, task: dict[str, Any]) -> dict[str, Any] | None:
    return read(stack, task)["run"]


def running(stack: DeployedStack, task: dict[str, Any], attempt: int = 1, seconds: float = 90) -> dict[str, Any]:
    def read_attempt() -> dict[str, Any] | None:
        run = run_of(stack, task)
        return run if run and run["status"] == "RUNNING" and run["attempts"] == attempt else None

    return wait_until(read_attempt, seconds=seconds, what=f"attempt {attempt} of {task['name']}", every=0.05)


def wait_for_end(stack: DeployedStack, task: dict[str, Any], seconds: float = 120) -> dict[str, Any]:
    def over() -> dict[str, Any] | None:
        run = run_of(stack, task)
        return run if run and run["status"] in ENDED else None

    return wait_until(over, seconds=seconds, what=f"the end of {task['name']}'s run")


def jobs_of(stack: DeployedStack, task: dict[str, Any]) -> list[dict[str, Any]]:
    items = stack.client("dynamodb").get_paginator("scan").paginate(TableName=stack.outputs["JobsTable"])
    return [item for page in items for item in page["Items"] if item.get("task_id", {}).get("S") == task["id"]]


def transitions(stack: DeployedStack, job_id: str) -> list[Change]:
    return [
        change
        for change in read_job_changes(stack.client, stack.outputs["JobsTable"])
        if change.new.get("id") == job_id
    ]


def test_five_ticks_at_the_same_instant_start_fifty_due_tasks_once_each(
    quick: DeployedStack, many: Callable[[int], int]
) -> None:
    # Given fifty due tasks
    tasks = [define(quick) for _ in range(many(50))]
    slots = {task["id"]: due(quick, task) for task in tasks}
    # When the scheduler runs five times at once
    with ThreadPoolExecutor(5) as pool:
        reports = list(pool.map(lambda _: quick.invoke("SchedulerFunction"), range(5)))
    # Then there are fifty jobs, one a slot, and each was sent once
    assert sum(report["started"] for report in reports) == many(50), reports
    assert sum(report["sent"] for report in reports) == many(50)
    assert sum(report["failed"] for report in reports) == 0
    jobs = {task["id"]: jobs_of(quick, task) for task in tasks}
    assert {task_id: [int(job["slot"]["N"]) for job in created] for task_id, created in jobs.items()} == {
        task_id: [slot] for task_id, slot in slots.items()
    }
    # And each was run once
    runs = [wait_for_end(quick, task, seconds=120) for task in tasks]
    assert Counter((run["status"], run["attempts"]) for run in runs) == {("COMPLETED", 1): many(50)}


def test_a_run_starts_at_its_slot_and_that_of_a_paused_task_does_not(quick: DeployedStack) -> None:
    # Given two tasks whose slot comes within a minute, and a tick that has created both runs ahead
    punctual, paused = define(quick), define(quick)
    slot, _ = due(quick, punctual, ago_ms=-40_000), due(quick, paused, ago_ms=-40_000)
    assert quick.invoke("SchedulerFunction")["started"] >= 2
    (job,), (_,) = jobs_of(quick, punctual), jobs_of(quick, paused)
    assert int(job["created_at"]["N"]) < slot == int(job["run_after"]["N"])
    # When one is paused before the slot
    assert quick.api.patch(f"/api/tasks/{paused['id']}", {"enabled": False})["run"] is None
    # Then the other starts, not before its slot, and without another tick
    assert wait_for_end(quick, punctual)["status"] == "COMPLETED"
    (job,) = jobs_of(quick, punctual)
    assert int(job["started_at"]["N"]) >= slot
    # And the paused one has neither a run nor an entry
    assert (jobs_of(quick, paused), history(quick, paused)) == ([], [])


def slots_up_to(stack: DeployedStack, task: dict[str, Any], last: int) -> list[int]:
    """Slots (ms) of the task's runs, without the one that may have been created ahead of a later slot."""
    return sorted(slot for job in jobs_of(stack, task) if (slot := int(job["slot"]["N"])) <= last)


@pytest.mark.parametrize(("catch_up", "runs", "missed"), [("latest", 1, 2), ("none", 0, 3)])
def test_two_minutes_of_missed_ticks(quick: DeployedStack, catch_up: str, runs: int, missed: int) -> None:
    # Given a minutely task of which three slots have come
    task = define(quick, every="60s", catch_up=catch_up)
    first = due(quick, task, ago_ms=2 * MINUTE + 1_000)
    # When the scheduler comes back
    quick.invoke("SchedulerFunction")
    quick.invoke("SchedulerFunction")
    # Then one of them is made up for, or none, and the schedule goes on
    assert slots_up_to(quick, task, first + 2 * MINUTE) == [first + 2 * MINUTE][:runs]
    state = read(quick, task)
    assert state["missed"] == missed
    assert sum(entry["slots"] for entry in history(quick, task, status="MISSED")) == missed
    assert state["next_run"] > state["updated_at"]


def test_a_clock_that_goes_back_an_hour_starts_nothing_again(quick: DeployedStack) -> None:
    # Given a minutely task that has run
    task = define(quick, every="60s")
    slot = due(quick, task)
    quick.invoke("SchedulerFunction")
    wait_for_end(quick, task)
    started = slot / 1000
    with act_as_function(quick, "SchedulerFunction"):
        # When a scheduler's clock is an hour behind, and comes back minute by minute
        for minute in range(-60, 1):
            with clock.fixed(lambda minute=minute: started + minute * 60):
                tick()
        # Then nothing was started again; the next slot is
        assert slots_up_to(quick, task, slot) == [slot]
        with clock.fixed(lambda: started + 61):
            tick()
    assert slots_up_to(quick, task, slot + MINUTE) == [slot, slot + MINUTE]


@pytest.mark.only_on("ministack", because="LocalStack's mappings have one worker at a time: there is no other")
def test_ten_equal_runs_spread_over_five_workers(spread: tuple[DeployedStack, list[dict[str, Any]]]) -> None:
    # Given ten tasks of equal length that came due at once, and five workers
    stack, tasks = spread
    # When they have run
    runs = [wait_for_end(stack, task, seconds=120) for task in tasks]
    assert {(run["status"], run["attempts"]) for run in runs} == {("COMPLETED", 1)}

    # Then the statistics show five workers with one to five runs each
    def read_summary() -> dict[str, Any] | None:
        summary = stack.api.get("/api/tasks/stats/summary")
        return summary if summary["overall"]["runs"] >= 10 else None

    summary = wait_until(read_summary, seconds=30, what="ten counted runs", every=0.5)
    runs_by_worker = {figures["worker"]: figures["runs"] for figures in summary["by_worker"]}
    print("runs by worker:", sorted(runs_by_worker.values()))
    assert len(runs_by_worker) == 5
    assert sum(runs_by_worker.values()) == 10
    assert all(1 <= runs <= 5 for runs in runs_by_worker.values())
    assert all(figures["runs"] == figures["successes"] == 1 for figures in summary["by_task"])
    # And their times are those of the runs, which sleep for 20 s and on a busy machine take longer
    times = [(datetime.fromisoformat(run["started_at"]), datetime.fromisoformat(run["finished_at"])) for run in runs]
    durations = [1000 * (finished - started).total_seconds() for started, finished in times]
    assert min(durations) >= 20_000
    assert summary["overall"]["mean_ms"] == pytest.approx(sum(durations) / 10, rel=0.02)
    assert summary["overall"]["p95_ms"] == pytest.approx(max(durations), rel=0.15)


@pytest.mark.only_on("ministack", because="LocalStack's mappings have one worker at a time: there is no other")
def test_a_run_whose_worker_is_killed_is_finished_elsewhere_and_the_next_slot_starts(quick: DeployedStack) -> None:
    # Given a run on a worker
    task = define(quick, payload={"duration_ms": 4_000}, ttl_ms=120_000)
    due(quick, task)
    quick.invoke("SchedulerFunction")
    victim = running(quick, task)
    # When the worker is killed
    kill_worker(victim["worker"])
    # Then another finishes it
    run = wait_for_end(quick, task)
    assert (run["status"], run["crashes"], run["attempts"]) == ("COMPLETED", 1, 2)
    assert run["worker"] != victim["worker"]
    # And the next slot starts, and the history has both
    due(quick, task)
    quick.invoke("SchedulerFunction")
    assert wait_for_end(quick, task)["job_id"] != run["job_id"]
    runs = [(entry["run"]["status"], entry["run"]["crashes"]) for entry in history(quick, task)]
    assert runs == [("COMPLETED", 0), ("COMPLETED", 1)]


def test_a_run_whose_worker_is_killed_for_good_is_cancelled_and_holds_nothing_up(quick: DeployedStack) -> None:
    # Given a run whose worker is killed, and whose message is lost with it
    task = define(quick, payload={"duration_ms": 60_000}, ttl_ms=600_000)
    due(quick, task)
    with no_task_workers_after_the_claim(quick, task) as victim:
        # When slots come while its lease lasts, and after no worker took it over
        due(quick, task)
        quick.invoke("SchedulerFunction")
        assert history(quick, task)[0]["status"] == "SKIPPED"
        lease_until = read_job_item(quick.client, quick.outputs["JobsTable"], victim["job_id"])["lease_until"]
        wait_until(lambda: time.time() * 1000 > lease_until + 15_000, seconds=40, what="the time of a takeover")
        due(quick, task)
        quick.invoke("SchedulerFunction")
        # Then the next run is there, and the dead one is over
        statuses = [entry["status"] for entry in history(quick, task)]
        assert statuses == ["CREATED", "SKIPPED", "CANCELLED"]
        dead = read_job_item(quick.client, quick.outputs["JobsTable"], victim["job_id"])
        assert (dead["status"], dead["crashes"]) == ("CANCELLED", 1)
    run = running(quick, task)
    assert run["job_id"] != victim["job_id"]
    quick.api.post(f"/api/v1/jobs/{run['job_id']}/cancel", {})  # it would keep a worker for a minute


def test_a_run_past_its_time_to_live_is_cancelled_and_the_next_slot_starts(quick: DeployedStack) -> None:
    task = define(quick, payload={"duration_ms": 30_000}, ttl_ms=1_000)
    due(quick, task)
    quick.invoke("SchedulerFunction")
    assert wait_for_end(quick, task)["status"] == "CANCELLED"
    due(quick, task)
    quick.invoke("SchedulerFunction")
    assert wait_for_end(quick, task)["status"] == "CANCELLED"
    assert [entry["status"] for entry in history(quick, task)] == ["CANCELLED", "CANCELLED"]


def test_a_task_is_run_by_hand_paused_and_resumed(quick: DeployedStack) -> None:
    task = define(quick, payload={"duration_ms": 3_000})
    started = quick.api.request("POST", f"/api/tasks/{task['id']}/run")
    assert started.status_code == 202
    refused = quick.api.request("POST", f"/api/tasks/{task['id']}/run")
    assert (refused.status_code, refused.json()["code"]) == (409, "ALREADY_RUNNING")
    run = running(quick, task)
    assert run["job_id"] == started.json()["job_id"]
    assert run["running_seconds"] >= 0

    def change(**changes: Any) -> dict[str, Any]:
        return quick.api.request("PATCH", f"/api/tasks/{task['id']}", json=changes).json()

    assert change(enabled=False)["next_run"] is None
    assert wait_for_end(quick, task)["status"] == "COMPLETED"
    assert read(quick, task)["state"] == "PAUSED"
    assert change(enabled=True)["state"] == "WAITING"
    everywhere = quick.api.get("/api/tasks/history", size=100)["content"]
    assert started.json()["job_id"] in {entry["run"]["job_id"] for entry in everywhere if entry["run"]}
    assert quick.api.request("DELETE", f"/api/tasks/{task['id']}").status_code == 200
    assert quick.api.request("GET", f"/api/tasks/{task['id']}").status_code == 404


def test_a_sample_of_two_minutes_on_a_lease_of_thirty_seconds_is_delivered_once(
    sample: tuple[DeployedStack, dict[str, Any]],
) -> None:
    stack, task = sample

    run = wait_for_end(stack, task, seconds=200)

    assert (run["status"], run["attempts"], run["crashes"]) == ("COMPLETED", 1, 0)
    job = stack.api.get(f"/api/v1/jobs/{run['job_id']}")
    took = datetime.fromisoformat(job["finished_at"]) - datetime.fromisoformat(job["started_at"])
    assert took.total_seconds() >= 120
    assert job["result"]["frames"] == 12
    assert_steady_heartbeats(transitions(stack, run["job_id"]), lease_ms=30_000)
    lines = read_log_lines(stack.client, stack.outputs["WorkerFunction"])
    deliveries = [line for line in lines if line.get("job_id") == run["job_id"]
                  and line.get("action") in ("claim", "wait", "drop")]  # fmt: skip
    assert len(deliveries) == 1


class no_task_workers_after_the_claim:  # noqa: N801 - used as a word of the test
    """Start the task's run, kill its worker, and prevent a takeover; return the run. Workers return at the end."""

    def __init__(self, stack: DeployedStack, task: dict[str, Any]) -> None:
        self._stack, self._task = stack, task

    def __enter__(self) -> dict[str, Any]:
        stack = self._stack
        stack.invoke("SchedulerFunction")
        victim = running(stack, self._task)
        queue = stack.outputs["TasksQueueUrl"]
        arn = stack.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        mappings = stack.client("lambda").list_event_source_mappings(EventSourceArn=arn["Attributes"]["QueueArn"])
        self._mapping = mappings["EventSourceMappings"][0]["UUID"]
        self._switch(on=False)
        kill_worker(victim["worker"])
        return victim

    def __exit__(self, *_: object) -> None:
        self._switch(on=True)

    def _switch(self, *, on: bool) -> None:
        self._stack.client("lambda").update_event_source_mapping(UUID=self._mapping, Enabled=on)
