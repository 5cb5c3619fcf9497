"""Tasks over HTTP: definition, state, history, statistics, and who may do what."""

from typing import Any

import pytest

from leaseway.jobs.run import claim, finish
from leaseway.tasks.tick import tick
from support.api_gateway import call, make_caller, post
from support.call_meter import meter_calls
from support.fake_clock import FakeClock

pytestmark = pytest.mark.usefixtures("fake_clock")

ONE, ALL = "/api/tasks/{id}", "/api/tasks"
NEW = {"name": "nightly", "type": "SLEEP", "payload": {"duration_ms": 5}, "every": "5m"}


def create_task(**options: Any) -> dict[str, Any]:
    answer = post(ALL, NEW | options)
    assert answer.status == 201, answer.text
    return dict(answer.json)


def read(task: dict[str, Any], route: str = ONE, **query: str) -> Any:
    query_lists = {name: [value] for name, value in query.items()} or None
    answer = call("GET", route, path={"id": task["id"]}, query=query_lists)
    assert answer.status == 200, answer.text
    return answer.json


def patch_task(task: dict[str, Any], **changes: Any) -> Any:
    import json

    headers = {"content-type": "application/json"}
    return call("PATCH", ONE, path={"id": task["id"]}, body=json.dumps(changes), headers=headers)


def run_now(task: dict[str, Any]) -> Any:
    return call("POST", "/api/tasks/{id}/run", path={"id": task["id"]})


def work(job_id: str) -> None:
    outcome = claim.claim(job_id, "w1")
    assert isinstance(outcome, claim.Claimed)
    finish.complete(outcome.lease, {})


def test_a_task_is_defined_and_can_be_read(fake_clock: FakeClock) -> None:
    task = create_task(timezone="UTC", jitter_seconds=0)
    assert (task["state"], task["next_run"], task["run"]) == ("WAITING", "2026-01-01T00:05:00.000Z", None)
    assert (task["overlap"], task["catch_up"], task["ttl_ms"], task["owner"]) == ("skip", "latest", 60_000, "admin")
    assert read(task) == task


def test_tasks_are_listed_by_name_page_by_page() -> None:
    for name in ("b", "c", "a"):
        create_task(name=name)
    first = call("GET", ALL, query={"size": ["2"]}).json
    second = call("GET", ALL, query={"size": ["2"], "cursor": [first["cursor"]]}).json
    assert [task["name"] for page in (first, second) for task in page["content"]] == ["a", "b", "c"]
    assert second["cursor"] is None


def test_a_name_is_one_tasks_until_it_is_deleted() -> None:
    task = create_task()
    again = post(ALL, NEW)
    assert (again.status, again.json["code"], again.json["name"]) == (409, "TASK_EXISTS", "nightly")
    assert call("DELETE", ONE, path={"id": task["id"]}).status == 200
    assert call("DELETE", ONE, path={"id": task["id"]}).status == 404
    assert create_task()["id"] != task["id"]


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"ttl_ms": 840_001}, "TTL_TOO_LONG", "ttl_ms"),
        ({"every": "59s"}, "INVALID_SCHEDULE", "every"),
        ({"every": None}, "INVALID_SCHEDULE", None),
        ({"cron": "* * * * *"}, "INVALID_SCHEDULE", "cron"),
        ({"every": None, "cron": "0 0 30 2 *"}, "INVALID_SCHEDULE", "cron"),
        ({"every": None, "cron": "0 0 * * *", "timezone": "Mars/Olympus"}, "INVALID_SCHEDULE", "timezone"),
        ({"timezone": "Europe/Berlin"}, "INVALID_SCHEDULE", "timezone"),
        ({"type": "NO_SUCH"}, "UNKNOWN_JOB_TYPE", "type"),
        ({"payload": {"duration_ms": -1}}, "INVALID_INPUT", "payload.duration_ms"),
        ({"payload": {"duration_ms": 1, "more": "x" * 5_000}}, "INVALID_INPUT", "payload"),
        ({"jitter_seconds": 901}, "INVALID_INPUT", "jitter_seconds"),
        ({"overlap": "queue"}, "INVALID_INPUT", "overlap"),
        ({"name": "a\nb"}, "INVALID_INPUT", "name"),
        ({"max_attempts": 21}, "INVALID_INPUT", "max_attempts"),
        ({"unknown": 1}, "INVALID_INPUT", "unknown"),
    ],
)
def test_what_cannot_work_is_refused(wrong: dict[str, Any], code: str, field: str | None) -> None:
    answer = post(ALL, NEW | wrong)
    assert (answer.status, answer.json["code"], answer.json.get("field")) == (400, code, field)


def test_a_paused_task_has_no_slots_and_misses_none(fake_clock: FakeClock) -> None:
    # Given a paused task
    task = create_task()
    assert patch_task(task, enabled=False).json["state"] == "PAUSED"
    # When slots pass, and it is resumed
    fake_clock.move(minutes=17)
    assert tick().due == 0
    resumed = patch_task(task, enabled=True).json
    # Then the first slot from now on is next, and none was missed
    assert (resumed["next_run"], resumed["missed"]) == ("2026-01-01T00:20:00.000Z", 0)
    fake_clock.move(minutes=5)
    assert tick().started == 1


def test_another_schedule_takes_effect_from_now_on(fake_clock: FakeClock) -> None:
    task = create_task()
    fake_clock.move(minutes=2)
    changed = patch_task(task, cron="30 4 * * *", timezone="Europe/Berlin").json
    assert (changed["every"], changed["cron"], changed["version"]) == (None, "30 4 * * *", 2)
    assert changed["next_run"] == "2026-01-01T03:30:00.000Z"
    back = patch_task(task, every="10m").json
    assert (back["cron"], back["timezone"], back["next_run"]) == (None, "UTC", "2026-01-01T00:12:00.000Z")


def test_a_change_is_checked_like_a_definition() -> None:
    task = create_task()
    for wrong in ({"every": "1s"}, {"type": "IMAGE_RESIZE"}, {"ttl_ms": 900_000}, {"name": "other"}, {"cron": None}):
        assert patch_task(task, **wrong).status == 400, wrong
    assert read(task)["version"] == 1


def test_a_clock_that_went_back_lets_no_change_bring_a_slot_again(fake_clock: FakeClock) -> None:
    task = create_task()
    fake_clock.move(minutes=5)
    tick()
    fake_clock.move(hours=-1)
    patch_task(task, enabled=False)
    assert patch_task(task, enabled=True).json["next_run"] == "2026-01-01T00:10:00.000Z"


def test_a_run_by_hand_is_a_job_and_shows_at_its_task(fake_clock: FakeClock) -> None:
    task = create_task()
    started = run_now(task)
    assert (started.status, started.json["status"]) == (202, "CREATED")
    job_id = started.json["job_id"]
    assert started.headers["location"] == f"../../v1/jobs/{job_id}"
    assert call("GET", "/api/v1/jobs/{id}", path={"id": job_id}).json["task_id"] == task["id"]
    claim.claim(job_id, "w1")
    fake_clock.move(seconds=7)
    # Then it is the task's state, and a second one is refused
    running = read(task)
    assert (running["state"], running["run"]["worker"], running["run"]["running_seconds"]) == ("RUNNING", "w1", 7)
    refused = run_now(task)
    assert (refused.status, refused.json["code"], refused.json["job_id"]) == (409, "ALREADY_RUNNING", job_id)


def test_history_has_runs_skipped_and_missed_slots(fake_clock: FakeClock) -> None:
    # Given a run, a skipped slot, and a stretch that was missed but for its latest
    task, other = create_task(), create_task(name="other", enabled=False)
    fake_clock.move(minutes=5)
    tick()
    fake_clock.move(minutes=5)
    tick()
    work(read(task)["run"]["job_id"])
    fake_clock.move(minutes=20)
    tick()
    run_now(other)
    # When the task's history, all history, and parts of it are read
    own = read(task, "/api/tasks/{id}/history")["content"]
    everything = call("GET", "/api/tasks/history").json["content"]
    missed = read(task, "/api/tasks/{id}/history", status="MISSED")["content"]
    # Then they agree
    assert sorted(entry["status"] for entry in own) == ["COMPLETED", "CREATED", "MISSED", "SKIPPED"]
    assert len(everything) == 5
    assert (missed[0]["slots"], missed[0]["slot"], missed[0]["until"]) == (
        3,
        "2026-01-01T00:15:00.000Z",
        "2026-01-01T00:25:00.000Z",
    )
    page = read(task, "/api/tasks/{id}/history", size="3")
    rest = read(task, "/api/tasks/{id}/history", size="3", cursor=page["cursor"])
    assert page["content"] + rest["content"] == own
    assert rest["cursor"] is None


@pytest.mark.parametrize("route", ["/api/tasks/history", "/api/tasks/{id}/history"])
def test_a_status_that_is_none_is_refused(route: str) -> None:
    task = create_task()
    answer = call("GET", route, path={"id": task["id"]} if "{id}" in route else None, query={"status": ["LATE"]})
    assert (answer.status, answer.json["field"]) == (400, "status")


@pytest.mark.parametrize("task", ["0" * 32, "x", "history "])
def test_a_task_that_is_not_there_is_not_found(task: str) -> None:
    for method, route in (("GET", ONE), ("DELETE", ONE), ("GET", f"{ONE}/history"), ("POST", f"{ONE}/run")):
        answer = call(method, route, path={"id": task})
        assert (answer.status, answer.json["code"]) == (404, "TASK_NOT_FOUND")


def test_a_user_reads_definitions_and_nothing_else_of_anothers_tasks() -> None:
    task = create_task()
    run_now(task)
    ann = make_caller("ann")
    one = call("GET", ONE, path={"id": task["id"]}, caller=ann).json
    (listed,) = call("GET", ALL, caller=ann).json["content"]
    assert [(seen["name"], seen["run"]) for seen in (one, listed)] == [("nightly", None)] * 2
    past = ("/api/tasks/history", "/api/tasks/stats/summary", f"{ONE}/history")
    changes = (("POST", ALL), ("PATCH", ONE), ("DELETE", ONE), ("POST", f"{ONE}/run"))
    for method, route in (*changes, *(("GET", route) for route in past)):
        answer = call(method, route, path={"id": task["id"]} if "{" in route else None, caller=ann)
        assert (answer.status, answer.json["code"]) == (403, "FORBIDDEN")


def test_a_summary_costs_the_same_at_any_number_of_runs(fake_clock: FakeClock) -> None:
    task = create_task(overlap="allow")
    with meter_calls() as few:
        summary = call("GET", "/api/tasks/stats/summary").json
    for _ in range(20):
        run_now(task)
    with meter_calls() as many:
        call("GET", "/api/tasks/stats/summary")
    assert summary["by_task"][0]["name"] == "nightly"
    assert (many.operations(), many.read_units()) == (few.operations(), few.read_units())
    assert many.operations() == {"dynamodb.Query": 3, "dynamodb.BatchGetItem": 1}
