"""The limit of an order key: counted with the job, subtracted by the tally, and right whatever dies in between."""

import importlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from leaseway import aws, clock
from leaseway.errors import LeasewayError
from leaseway.idempotency import IdempotencyKey, KeyedRequest
from leaseway.jobs import Job, Options, cancel_job, create_job, queue, retry_job
from leaseway.jobs.control.remove import remove_job
from leaseway.jobs.create import keyed_batch
from leaseway.jobs.create.batch import create_jobs
from leaseway.jobs.create.keyed_batch import create_jobs_once
from leaseway.jobs.create.options import JobRequest
from leaseway.jobs.order_limit import OrderKeyFullError, counters_of_order
from leaseway.jobs.run import finish
from leaseway.jobs.table import JobModel
from leaseway.settings import settings
from support.account_stream import read_stream_records
from support.api_gateway import post
from support.call_meter import meter_calls
from support.job_steps import claim_job

SLEEP = {"duration_ms": 1}
LIMIT = 5
KEY = IdempotencyKey("ann", "route", "k")


class Died(BaseException):
    """The process was killed."""


@pytest.fixture(autouse=True)
def _limit(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERED_JOBS", str(LIMIT))
    monkeypatch.setattr(keyed_batch, "_THREADS", 1)
    monkeypatch.setattr(clock, "sleep", lambda _: None)
    settings.cache_clear()


def create_ordered_job(order_key: str = "k", owner: str = "ann", key: IdempotencyKey | None = None) -> Job:
    return create_job(owner, "SLEEP", SLEEP, Options(order_key=order_key, max_attempts=1, tags=["t"]), key=key)


def make_key(text: str) -> IdempotencyKey:
    return IdempotencyKey("ann", "route", text)


def request(order_key: str | None = "k") -> JobRequest:
    return JobRequest("SLEEP", SLEEP, Options(order_key=order_key))


def count_live(order_key: str = "k", owner: str = "ann") -> int:
    scope = counters_of_order(owner, order_key).scope
    key = {"scope": {"S": scope}, "shard": {"S": "-"}}
    item = aws.client("dynamodb").get_item(TableName="totals", Key=key).get("Item", {})
    return int(item["live"]["N"]) if item else 0


def tally() -> None:
    importlib.import_module("tally.app").handler({"Records": read_stream_records(table="jobs")}, None)


def scan_job_ids() -> list[str]:
    return [item["id"]["S"] for item in aws.client("dynamodb").scan(TableName="jobs")["Items"]]


def rows_of_tags() -> int:
    return len(aws.client("dynamodb").scan(TableName="tags")["Items"])


@pytest.mark.parametrize(
    "create",
    [
        create_ordered_job,
        lambda: create_ordered_job(key=KEY),
        lambda: create_jobs("ann", [request()])[0],
        lambda: create_jobs_once("ann", [request()], KeyedRequest.of(KEY, 1))[0],
    ],
    ids=["one", "one-with-key", "batch", "batch-with-key"],
)
def test_one_more_than_the_limit_is_refused_and_leaves_nothing(create: Callable[[], Job | LeasewayError]) -> None:
    # Given a key that is full
    for _ in range(LIMIT):
        create_ordered_job()
    # When one more is created, in whatever way
    try:
        outcome = create()
    except LeasewayError as refusal:
        outcome = refusal
    # Then it is refused, and nothing of it is stored or sent
    assert isinstance(outcome, OrderKeyFullError)
    assert outcome.code == "ORDER_KEY_FULL"
    assert (len(scan_job_ids()), rows_of_tags(), count_live()) == (LIMIT, LIMIT, LIMIT)
    # And another key, another owner and jobs without a key are created
    create_ordered_job("other")
    create_ordered_job(owner="ben")
    assert isinstance(create_jobs("ann", [request(None)])[0], Job)


@pytest.mark.parametrize(
    "end",
    [
        lambda job: finish.complete(claim_job(job), {}),
        lambda job: finish.fail(claim_job(job), "boom"),
        lambda job: cancel_job(job.id, owner="ann", actor="ann"),
        lambda job: finish.give_up(job, "no worker claimed it", dead_lettered=True),
        lambda job: JobModel.remove(job.id, JobModel.id.exists()),
        lambda job: (claim_job(job), cancel_job(job.id, owner="ann", actor="ann")),
    ],
    ids=["completed", "failed", "cancelled", "dead-lettered", "deleted", "cancelled-while-running"],
)
def test_a_job_that_has_ended_makes_room(end: Callable[[Job], Any]) -> None:
    jobs = [create_ordered_job() for _ in range(LIMIT)]
    end(jobs[0])
    tally()
    tally()  # the stream delivers at least once

    assert count_live() == LIMIT - 1
    create_ordered_job()
    with pytest.raises(OrderKeyFullError):
        create_ordered_job()


def test_a_retry_counts_again_and_a_removal_of_an_ended_job_does_not() -> None:
    first, second = create_ordered_job(), create_ordered_job()
    for job in (first, second):
        cancel_job(job.id, owner="ann", actor="ann")
    retry_job(first.id, owner="ann")
    remove_job(second.id, owner="ann")
    tally()

    assert count_live() == 1


def test_a_repeat_under_a_key_counts_once() -> None:
    for _ in range(3):
        create_ordered_job(key=KEY)
        create_jobs_once("ann", [request()] * 3, KeyedRequest.of(make_key("batch"), 3))

    assert (len(scan_job_ids()), count_live()) == (4, 4)


def test_a_repeat_is_answered_although_the_key_is_full() -> None:
    first = create_ordered_job(key=KEY)
    for _ in range(LIMIT - 1):
        create_ordered_job()

    assert create_ordered_job(key=KEY).id == first.id


def test_what_a_full_key_refused_is_created_by_a_repeat_once_there_is_room() -> None:
    jobs = [create_ordered_job() for _ in range(LIMIT - 1)]
    batch = KeyedRequest.of(KEY, "batch")
    refused = create_jobs_once("ann", [request(), request(), request("other")], batch)
    assert [isinstance(each, OrderKeyFullError) for each in refused] == [True, True, False]
    cancel_job(jobs[0].id, owner="ann", actor="ann")
    tally()

    again = create_jobs_once("ann", [request(), request(), request("other")], batch)

    assert all(isinstance(each, Job) for each in again)
    assert (count_live(), count_live("other")) == (LIMIT, 1)


def test_a_job_of_a_release_that_counted_none_is_not_subtracted() -> None:
    job = create_ordered_job()
    JobModel.change(job.id, [JobModel.order_counted.remove()], JobModel.id.exists())
    cancel_job(job.id, owner="ann", actor="ann")
    tally()

    assert count_live() == 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("way", ["one", "one-with-key", "batch", "batch-with-key"])
def test_a_death_leaves_the_count_at_the_jobs_that_are_there(
    monkeypatch: pytest.MonkeyPatch, subtests: Any, way: str, after: bool
) -> None:
    create: dict[str, Callable[[str], Any]] = {
        "one": create_ordered_job,
        "one-with-key": lambda key: create_ordered_job(key, key=make_key(key)),
        "batch": lambda key: create_jobs("ann", [request(key), request(key)]),
        "batch-with-key": lambda key: create_jobs_once("ann", [request(key)] * 2, KeyedRequest.of(make_key(key), 2)),
    }
    original = BaseClient._make_api_call  # type: ignore[attr-defined]
    calls: list[str] = []
    death = 0

    def die(client: Any, name: str, parameters: dict[str, Any]) -> Any:
        calls.append(name)
        is_death = len(calls) - 1 == death
        if is_death and not after:
            raise Died
        if name == "SendMessageBatch":  # SQS fails too, so that the jobs are taken back
            raise ClientError({"Error": {"Code": "ServiceUnavailable", "Message": ""}}, name)
        answer = original(client, name, parameters)
        if is_death:
            raise Died
        return answer

    for death in range(5):
        with subtests.test(death=death):
            calls.clear()
            monkeypatch.setattr(BaseClient, "_make_api_call", die)
            with suppress(Died, LeasewayError):
                create[way](str(death))
            monkeypatch.setattr(BaseClient, "_make_api_call", original)
            tally()
            of_key = [
                item
                for item in aws.client("dynamodb").scan(TableName="jobs")["Items"]
                if item["order_key"]["S"] == str(death)
            ]
            assert count_live(str(death)) == len(of_key)


def test_requests_at_a_time_share_the_room() -> None:
    """Transactions of one key conflict; each is tried again."""
    conflicts = [True, True, False, True, False, False, False, False, False]
    client_call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def conflict(client: Any, name: str, parameters: dict[str, Any]) -> Any:
        if name == "TransactWriteItems" and conflicts and conflicts.pop(0):
            reasons = [{"Code": "None"}, {"Code": "TransactionConflict"}]
            error: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise ClientError(error, name)
        return client_call(client, name, parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", conflict)
        jobs = [create_ordered_job() for _ in range(LIMIT)]

    assert len({job.id for job in jobs}) == count_live() == LIMIT


def test_jobs_of_a_batch_that_do_not_fit_are_refused_together_and_in_order() -> None:
    requests = [request(), request("other"), request(), request("other"), *[request()] * 4, request(None)]

    outcomes = create_jobs("ann", requests)

    assert [isinstance(each, Job) for each in outcomes] == [False, True, False, True, *[False] * 4, True]
    assert (count_live(), count_live("other")) == (0, 2)


def test_a_batch_of_a_hundred_of_one_key_takes_two_transactions_and_keeps_its_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ORDERED_JOBS", "100")
    settings.cache_clear()
    sent: list[str] = []
    real = queue._send_batch
    monkeypatch.setattr(
        queue,
        "_send_batch",
        lambda of, batch: (sent.extend(each.message.job_id for each in batch), real(of, batch))[1],
    )
    with meter_calls() as meter:
        jobs = create_jobs("ann", [request()] * 100)

    assert meter.operations() == {"dynamodb.TransactWriteItems": 2, "sqs.SendMessageBatch": 10}
    assert sent == [job.id for job in jobs if isinstance(job, Job)]
    assert count_live() == 100


def test_over_http_a_full_key_is_a_conflict() -> None:
    body = {"type": "SLEEP", "payload": SLEEP, "order_key": "k"}
    answers = [post("/api/v1/jobs", body) for _ in range(LIMIT + 1)]

    assert [answer.status for answer in answers] == [202] * LIMIT + [409]
    assert (answers[-1].json["code"], answers[-1].json["limit"]) == ("ORDER_KEY_FULL", LIMIT)
