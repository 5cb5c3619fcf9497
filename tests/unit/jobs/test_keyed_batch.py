"""A batch under an Idempotency-Key: each job once, whatever fails on the way, and the same answer at every repeat."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ReadTimeoutError

from leaseway import aws, clock
from leaseway.errors import LeasewayError
from leaseway.idempotency import IdempotencyKey, KeyedRequest, KeyReusedError, WorkMovedError
from leaseway.jobs import Job, Options
from leaseway.jobs.create import keyed_batch
from leaseway.jobs.create.keyed_batch import create_jobs_once
from leaseway.jobs.create.options import JobRequest
from leaseway.jobs.queue_names import ORDERED, list_deployed
from leaseway.jobs.table import JobModel
from leaseway.settings import settings
from support.api_gateway import post
from support.call_meter import meter_calls

KEY = IdempotencyKey("ann", "POST /api/v1/jobs/batch", "k")
STEP = 5
BODIES = [
    *[{"type": "SLEEP", "payload": {"duration_ms": number}, "tags": ["t"]} for number in range(4)],
    {"type": "NO_SUCH", "payload": {}},
    *[{"type": "SLEEP", "payload": {"duration_ms": number}, "order_key": "k"} for number in range(3)],
    {"type": "SLEEP", "payload": {"duration_ms": 1}, "max_attempts": 7, "priority": "high"},
    {"type": "SLEEP", "payload": {"duration_ms": 1}, "delay_seconds": 30},
    *[{"type": "SLEEP", "payload": {"duration_ms": 9}}] * 3,
]
REFUSED = 4

Api = Callable[[Any, str, dict[str, Any]], Any]


class Died(BaseException):
    """The process was killed."""


@pytest.fixture(autouse=True)
def _one_thread(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyed_batch, "_THREADS", 1)
    monkeypatch.setattr(keyed_batch, "_STEP", STEP)
    monkeypatch.setattr(clock, "sleep", lambda _: None)


@pytest.fixture
def intercept(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], None]:
    """Let a function stand between every client and AWS: it gets the call, its operation and its parameters."""
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def install(between: Callable[..., Any]) -> None:
        def call(client: Any, name: str, request: dict[str, Any]) -> Any:
            return between(lambda: original(client, name, request), name, request)

        monkeypatch.setattr(BaseClient, "_make_api_call", call)

    return install


def create(bodies: list[dict[str, Any]] = BODIES, key: IdempotencyKey = KEY) -> list[Job | LeasewayError]:
    requests: list[JobRequest | LeasewayError] = [request_of(body) for body in bodies]
    return create_jobs_once("ann", requests, KeyedRequest.of(key, bodies))


def later(seconds: int) -> AbstractContextManager[None]:
    moment = clock.now_ms() / 1000 + seconds
    return clock.fixed(lambda: moment)


def request_of(body: dict[str, Any]) -> JobRequest:
    options = {name: value for name, value in body.items() if name not in ("type", "payload")}
    return JobRequest(body["type"], body["payload"], Options(**options))


def facts(outcomes: list[Job | LeasewayError]) -> list[Any]:
    """What the outcomes say to a client."""
    return [
        (each.id, each.created_at, each.ttl_ms, each.max_attempts, each.queue, each.run_after, each.tags)
        if isinstance(each, Job)
        else (each.code, each.detail)
        for each in outcomes
    ]


def scan_jobs() -> dict[str, Any]:
    return {item["id"]["S"]: item for item in aws.client("dynamodb").scan(TableName="jobs")["Items"]}


def messages() -> Counter[str]:
    """How many messages each job has, over all queues."""
    ids: Counter[str] = Counter()
    for each in list_deployed():
        # Delayed messages count too, so the queue's own list is read.
        ids.update(json.loads(body)["job_id"] for body in bodies_in(each.url))
    return ids


def bodies_in(url: str) -> Iterator[str]:
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.sqs.models import sqs_backends

    for moto_queue in sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].queues.values():
        if moto_queue.name == url.rpartition("/")[2]:
            yield from (message.body for message in moto_queue._messages)


def rows_of_tags() -> set[str]:
    return {row["id"]["S"] for row in aws.client("dynamodb").scan(TableName="tags")["Items"]}


def test_a_repeat_gets_the_first_answer_for_one_refused_write() -> None:
    with clock.fixed(lambda: 1_800_000_000.0):
        first = create()
    with clock.fixed(lambda: 1_800_000_100.0), meter_calls() as meter:
        again = create()

    assert facts(again) == facts(first)
    assert meter.operations() == {"dynamodb.PutItem": 1}
    assert len(scan_jobs()) == len(BODIES) - 1
    assert set(messages().values()) == {1}
    assert first[REFUSED].code == "UNKNOWN_JOB_TYPE"  # type: ignore[union-attr]


def test_what_is_stored_is_what_is_answered() -> None:
    answered = {job.id: job for job in create() if isinstance(job, Job)}
    for job_id, item in scan_jobs().items():
        job = answered[job_id]
        assert (int(item["created_at"]["N"]), int(item["ttl_ms"]["N"]), int(item["max_attempts"]["N"])) == (
            job.created_at,
            job.ttl_ms,
            job.max_attempts,
        )
        assert item.get("queue", {}).get("S") == job.queue
        assert int(item["run_after"]["N"] if "run_after" in item else 0) == (job.run_after or 0)
    assert scan_jobs().keys() == answered.keys()


@pytest.mark.parametrize(
    "other",
    [
        BODIES[:-1],
        [*BODIES, BODIES[0]],
        [BODIES[1], BODIES[0], *BODIES[2:]],
        [BODIES[0] | {"ttl_ms": 1_000}, *BODIES[1:]],
        [BODIES[0] | {"payload": {"duration_ms": 77}}, *BODIES[1:]],
        BODIES[REFUSED : REFUSED + 1],
    ],
)
def test_another_batch_under_the_key_is_refused_and_writes_nothing(other: list[dict[str, Any]]) -> None:
    create()
    before = scan_jobs()

    with pytest.raises(KeyReusedError):
        create(other)

    assert scan_jobs() == before


def test_equal_batches_are_one_however_their_json_is_written() -> None:
    first = create()
    rewritten = [dict(reversed(body.items())) for body in BODIES]
    rewritten[0]["payload"] = {"duration_ms": 0.0}

    again = create_jobs_once("ann", [request_of(body) for body in BODIES], KeyedRequest.of(KEY, rewritten))

    assert facts(again) == facts(first)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_repeat_finishes_what_a_request_left_that_died(
    intercept: Callable[..., None], subtests: Any, after: bool
) -> None:
    calls: list[str] = []
    death = -1

    def die(call: Callable[[], Any], name: str, _: Any) -> Any:
        calls.append(name)
        if len(calls) - 1 != death:
            return call()
        if after:
            call()
        raise Died

    intercept(die)
    create(key=IdempotencyKey("ann", "route", "alive"))
    for death in range(len(calls)):
        with subtests.test(death=death):
            key = IdempotencyKey("ann", "route", str(death))
            # Given a request whose process dies at one of its calls
            calls.clear()
            with pytest.raises(Died):
                create(key=key)
            steps_done = calls[: None if after else -1].count("UpdateItem")
            # When the client sends it again, and once more
            with later(100):
                outcomes = create(key=key)
                again = create(key=key)
            # Then each job is there once, as it was answered, and no job of a step that was done has a second message
            jobs = [each for each in outcomes if isinstance(each, Job)]
            items, sent, tagged = scan_jobs(), messages(), rows_of_tags()
            assert len(jobs) == len(BODIES) - 1
            assert facts(again) == facts(outcomes)
            assert [int(items[job.id]["created_at"]["N"]) for job in jobs] == [job.created_at for job in jobs]
            assert [job.id in tagged for job in jobs] == [bool(job.tags) for job in jobs]
            done = [each.id for each in outcomes[: steps_done * STEP] if isinstance(each, Job)]
            assert [sent[job_id] for job_id in done] == [1] * len(done)
            assert all(sent[job.id] in (1, 2) for job in jobs)
            assert sum(sent[job.id] for job in jobs) <= len(jobs) + STEP
    assert len(scan_jobs()) == (len(BODIES) - 1) * (death + 2)


def make_throttling(name: str) -> ClientError:
    return ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, name)


@pytest.mark.parametrize("failing", [{0}, {1, 3}, {4}, {2, 5, 8}, set(range(9))])
@pytest.mark.parametrize("lost", [False, True], ids=["throttled", "answer-lost"])
def test_writes_that_fail_lose_and_double_no_others(
    intercept: Callable[..., None], failing: set[int], lost: bool
) -> None:
    # Given a table that refuses the puts of some jobs, or whose answers are lost
    puts: list[str] = []

    def fail(call: Callable[[], Any], name: str, request: Any) -> Any:
        if name != "PutItem" or request["TableName"] != "jobs":
            return call()
        puts.append(name)
        if len(puts) - 1 not in failing:
            return call()
        if lost:
            call()
            raise ReadTimeoutError(endpoint_url="")
        raise make_throttling(name)

    intercept(fail)
    first = create()
    # Then each of them alone is reported, by a code that says whether it may have been created
    problems = [each.code for each in first if not isinstance(each, Job)]
    assert Counter(problems) == Counter(
        {"UNKNOWN_JOB_TYPE": 1, "OUTCOME_UNKNOWN" if lost else "UNAVAILABLE": len(failing)}
    )
    assert len(scan_jobs()) == 12 - (0 if lost else len(failing))
    # And a repeat creates those, and no other
    again = create()
    assert [each.code for each in again if not isinstance(each, Job)] == ["UNKNOWN_JOB_TYPE"]
    assert len(scan_jobs()) == 12
    assert messages() == Counter(scan_jobs().keys())
    assert facts(create()) == facts(again)


@pytest.mark.parametrize("tries", [1, 2, 6, 7])
@pytest.mark.parametrize("lost", [False, True], ids=["throttled", "answer-lost"])
def test_ordered_jobs_are_stored_together_however_often_their_transaction_fails(
    intercept: Callable[..., None], tries: int, lost: bool
) -> None:
    transactions: list[str] = []

    def fail(call: Callable[[], Any], name: str, _: Any) -> Any:
        if name != "TransactWriteItems":
            return call()
        transactions.append(name)
        if len(transactions) > tries:
            return call()
        if lost:
            if len(transactions) == 1:
                call()
            raise ReadTimeoutError(endpoint_url="")
        raise make_throttling(name)

    intercept(fail)
    first = create()
    # Then what stops the first one stops those behind it: none starts before it
    problems = [each.code for each in first[5:8] if not isinstance(each, Job)]
    assert problems == ([] if tries < 6 else ["OUTCOME_UNKNOWN" if lost else "UNAVAILABLE", *["UNAVAILABLE"] * 2])

    again = create()

    assert [json.loads(body)["job_id"] for body in bodies_in(ORDERED.url)] == [each.id for each in again[5:8]]  # type: ignore[union-attr]
    assert all(isinstance(each, Job) for each in again[5:8])
    assert messages() == Counter(scan_jobs().keys())
    assert facts(create()) == facts(again)


def test_a_job_that_was_removed_is_not_created_again() -> None:
    first = create()
    JobModel.remove(first[0].id, JobModel.id.exists())  # type: ignore[union-attr]

    again = create()

    assert facts(again) == facts(first)
    assert len(scan_jobs()) == 11


def test_ordered_jobs_that_were_not_sent_are_created_by_the_repeat(intercept: Callable[..., None]) -> None:
    ids: list[str] = []

    def refuse_ordered(call: Callable[[], Any], name: str, request: Any) -> Any:
        if name == "SendMessageBatch" and request["QueueUrl"].endswith(".fifo"):
            ids.extend(entry["MessageDeduplicationId"] for entry in request["Entries"])
            if len(ids) <= 3:
                raise make_throttling(name)
        return call()

    intercept(refuse_ordered)
    first = create()
    assert [getattr(each, "code", None) for each in first[5:8]] == ["UNAVAILABLE"] * 3
    assert len(scan_jobs()) == 9

    with later(1):
        again = create()

    assert all(isinstance(each, Job) for each in again[5:8])
    assert messages() == Counter(scan_jobs().keys())
    assert not set(ids[:3]) & set(ids[3:]), "SQS drops a second message with the same id for five minutes"
    ordered = [json.loads(body)["job_id"] for body in bodies_in(ORDERED.url)]
    assert ordered == [each.id for each in again[5:8] if isinstance(each, Job)]


def test_a_request_that_was_overtaken_by_its_repeat_takes_nothing_back(intercept: Callable[..., None]) -> None:
    # Given a request whose send hangs, until its repeat has sent, and then fails
    state = {"hung": False}

    def hang(call: Callable[[], Any], name: str, request: Any) -> Any:
        if name == "SendMessageBatch" and request["QueueUrl"].endswith(".fifo") and not state["hung"]:
            state["hung"] = True
            with later(1):
                state["repeat"] = create()
            raise make_throttling(name)
        return call()

    intercept(hang)
    # When it goes on
    with pytest.raises(WorkMovedError):
        create()
    # Then every job that its repeat has answered is there
    assert {each.id for each in state["repeat"] if isinstance(each, Job)} == scan_jobs().keys()
    assert set(messages()) == scan_jobs().keys()


def test_over_http_a_batch_has_a_key() -> None:
    bodies = {"jobs": [*BODIES[:3], {"type": "SLEEP"}]}
    first = post("/api/v1/jobs/batch", bodies, headers={"Idempotency-Key": "one"})
    again = post("/api/v1/jobs/batch", bodies, headers={"Idempotency-Key": "one"})
    other = post("/api/v1/jobs/batch", {"jobs": BODIES[:2]}, headers={"Idempotency-Key": "one"})

    assert (first.status, first.json["accepted"], first.json["refused"]) == (202, 3, 1)
    assert again.json == first.json
    assert (other.status, other.json["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert len(scan_jobs()) == 3


def test_a_key_whose_record_has_expired_creates_no_job_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    first = create()
    with later(settings().idempotency_hours * 3600 + 1):
        again = create()
        with pytest.raises(KeyReusedError):
            create(BODIES[:3])

    assert facts(again) == facts(first)
    assert len(scan_jobs()) == 12
