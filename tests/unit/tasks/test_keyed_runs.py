"""Running a task by hand under an Idempotency-Key: one run, one answer, and one message if a worker is quick or not."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient

from leaseway import aws
from leaseway.idempotency import IdempotencyKey, KeyReusedError
from leaseway.jobs import Job, get_job
from leaseway.jobs.queue_names import TASKS
from leaseway.jobs.run import claim
from leaseway.tasks import AlreadyRunningError, Overlap, Task, delete_task
from leaseway.tasks.keyed_run import start_now_once
from support.api_gateway import call
from support.call_meter import meter_calls
from support.fake_clock import FakeClock

KEY = IdempotencyKey("ann", "POST /api/tasks/{id}/run", "k")

Make = Callable[..., Task]


class Died(BaseException):
    """The process was killed."""


def runs() -> list[str]:
    return [item["id"]["S"] for item in aws.client("dynamodb").scan(TableName="jobs")["Items"]]


def count_messages() -> int:
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=TASKS.url, AttributeNames=["All"])["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"])


def facts(job: Job) -> tuple[Any, ...]:
    return job.id, job.created_at, job.status, job.attempts, job.task_id, job.owner, job.ttl_ms


@pytest.mark.parametrize("overlap", list(Overlap))
@pytest.mark.parametrize("claimed", [False, True])
def test_a_repeat_starts_no_second_run(make: Make, fake_clock: FakeClock, overlap: Overlap, claimed: bool) -> None:
    task = make(overlap=overlap)
    first = start_now_once(task.id, KEY)
    if claimed:
        claim.claim(first.id, "w1")
    fake_clock.move(minutes=1)

    with meter_calls() as meter:
        again = start_now_once(task.id, KEY)

    assert facts(again) == facts(first)
    assert meter.operations() == {"dynamodb.GetItem": 1}
    assert runs() == [first.id]
    assert count_messages() == 1


def test_the_key_is_for_one_task_only(make: Make) -> None:
    start_now_once(make().id, KEY)

    with pytest.raises(KeyReusedError):
        start_now_once(make().id, KEY)
    with pytest.raises(KeyReusedError):
        start_now_once("0" * 32, KEY)


def test_a_repeat_is_answered_although_the_task_is_deleted(make: Make) -> None:
    task = make()
    first = start_now_once(task.id, KEY)
    delete_task(task.id)

    assert facts(start_now_once(task.id, KEY)) == facts(first)


def test_another_key_meets_the_run_that_is_alive(make: Make) -> None:
    task = make(overlap=Overlap.SKIP)
    start_now_once(task.id, KEY)

    with pytest.raises(AlreadyRunningError):
        start_now_once(task.id, IdempotencyKey("ann", KEY.route, "other"))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("death", range(5))
def test_a_repeat_finishes_what_a_request_left_that_died(
    make: Make, monkeypatch: pytest.MonkeyPatch, death: int, after: bool
) -> None:
    # Given a request that dies at one of its calls: two reads, the transaction, the send, the mark
    task, calls = make(), []
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def die(client: Any, name: str, request: dict[str, Any]) -> Any:
        calls.append(name)
        if len(calls) - 1 != death:
            return original(client, name, request)
        if after:
            original(client, name, request)
        raise Died

    monkeypatch.setattr(BaseClient, "_make_api_call", die)
    with pytest.raises(Died):
        start_now_once(task.id, KEY)
    is_send_unknown = (calls[-1], after) in {("UpdateItem", False), ("SendMessageBatch", True)}
    # When the client sends it again
    first = start_now_once(task.id, KEY)
    # Then there is one run with one message; two if the first request died between its message and the mark of it
    assert facts(start_now_once(task.id, KEY)) == facts(first)
    assert runs() == [first.id]
    assert get_job(first.id, owner="ann").created_at == first.created_at
    assert count_messages() == (2 if is_send_unknown else 1)


def test_a_request_at_the_same_time_gets_the_run_of_the_quicker_one(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two requests of one key, of which the second comes while the first reads the task
    task = make(overlap=Overlap.SKIP)
    answers: list[Job] = []
    is_first = True
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def overtake(client: Any, name: str, request: dict[str, Any]) -> Any:
        nonlocal is_first
        if name == "GetItem" and request["TableName"] == "tasks" and is_first:
            is_first = False
            answers.append(start_now_once(task.id, KEY))
        return original(client, name, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", overtake)

    slower = start_now_once(task.id, KEY)

    assert [facts(job) for job in answers] == [facts(slower)]
    assert runs() == [slower.id]


def test_over_http(make: Make) -> None:
    path = {"path": {"id": make().id}, "headers": {"Idempotency-Key": "k"}}
    first = call("POST", "/api/tasks/{id}/run", **path)
    again = call("POST", "/api/tasks/{id}/run", **path)
    other = call("POST", "/api/tasks/{id}/run", path={"id": make().id}, headers={"Idempotency-Key": "k"})

    assert (first.status, again.json, again.headers["location"]) == (202, first.json, first.headers["location"])
    assert (other.status, other.json["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
