"""A job under an Idempotency-Key: what is written again, and who may take back an ordered job that was not sent."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ReadTimeoutError

from leaseway import aws, clock
from leaseway.errors import LeasewayError, UnavailableError
from leaseway.idempotency import IdempotencyKey, KeyReusedError, WorkMovedError
from leaseway.jobs import Job, Options, cancel_job, create_job
from leaseway.jobs.control.remove import remove_job
from leaseway.jobs.create import keyed
from leaseway.jobs.create.options import Priority
from leaseway.jobs.queue_names import ORDERED
from leaseway.jobs.run import claim
from support.call_meter import meter_calls
from support.expired_keys import expire_keys

pytestmark = pytest.mark.usefixtures("cloud")

KEY = IdempotencyKey("ann", "POST /api/v1/jobs", "k")
SLEEP = {"duration_ms": 1}
Between = Callable[[Callable[[], Any], str, dict[str, Any]], Any]


class Died(BaseException):
    """The process was killed."""


@pytest.fixture
def intercept(monkeypatch: pytest.MonkeyPatch) -> Callable[[Between], None]:
    """Let a function stand between every client and AWS: it gets the call, its operation and its parameters."""
    original = BaseClient._make_api_call  # type: ignore[attr-defined]
    monkeypatch.setattr(clock, "sleep", lambda _: None)

    def install(between: Between) -> None:
        def call(client: Any, name: str, request: dict[str, Any]) -> Any:
            return between(lambda: original(client, name, request), name, request)

        monkeypatch.setattr(BaseClient, "_make_api_call", call)

    return install


def large(text: str = "x") -> Job:
    return create_job("ann", "EXTERNAL", {"text": text * 5_000}, key=KEY)


def create_ordered_job(key: IdempotencyKey = KEY) -> Job:
    moment = next(_seconds)
    with clock.fixed(lambda: moment):
        return create_job("ann", "SLEEP", SLEEP, Options(order_key="k", tags=["t"]), key=key)


_seconds = iter(range(1_800_000_000, 1_900_000_000))


def scan_job_ids() -> list[str]:
    return [item["id"]["S"] for item in aws.client("dynamodb").scan(TableName="jobs")["Items"]]


def count_messages() -> int:
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=ORDERED.url, AttributeNames=["All"])["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"])


def test_a_large_payload_is_put_once() -> None:
    with meter_calls() as meter:
        large()
    assert meter.count("s3", "PutObject") == 1


def _remove() -> None:
    job = large()
    cancel_job(job.id, owner="ann", actor="ann")
    remove_job(job.id, owner="ann")


@pytest.mark.parametrize(
    ("before", "repeat"),
    [
        (lambda: None, large),
        (expire_keys, large),
        (_remove, large),
        (lambda: claim.claim(scan_job_ids()[0], "w"), large),
        (lambda: None, lambda: large("y")),
        (expire_keys, lambda: large("y")),
    ],
    ids=["repeat", "record-expired", "removed", "claimed", "other", "other-and-record-expired"],
)
def test_a_repeat_puts_no_large_payload_again(before: Callable[[], Any], repeat: Callable[[], Job]) -> None:
    large()
    before()

    with meter_calls() as meter, suppress(KeyReusedError):
        repeat()

    assert meter.count("s3") == 0
    assert meter.write_units() == 0


def fail_call(_: Callable[[], Any], name: str) -> Any:
    raise ClientError({"Error": {"Code": "ServiceUnavailable", "Message": ""}}, name)


def lose_call(_: Callable[[], Any], name: str) -> Any:
    raise ReadTimeoutError(endpoint_url="")


def lose_answer(call: Callable[[], Any], name: str) -> Any:
    call()
    raise ReadTimeoutError(endpoint_url="")


def refuse_entries(_: Callable[[], Any], name: str) -> Any:
    return {"Failed": [{"Id": "0", "Message": "no"}]}


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("failure", [fail_call, lose_call, lose_answer, refuse_entries])
def test_an_ordered_job_whose_send_failed_is_sent_by_the_repeat(
    intercept: Callable[[Between], None], failure: Callable[..., Any], times: int
) -> None:
    # Given SQS that fails, or whose answer is lost
    ids: list[str] = []

    def meddle(call: Callable[[], Any], name: str, request: dict[str, Any]) -> Any:
        if name != "SendMessageBatch":
            return call()
        ids.append(request["Entries"][0]["MessageDeduplicationId"])
        return failure(call, name) if len(ids) <= times else call()

    intercept(meddle)
    for _ in range(times):
        with pytest.raises(UnavailableError):
            create_ordered_job()
        assert scan_job_ids() == []
    lost = count_messages()
    # When the client sends it again
    job = create_ordered_job()
    # Then its message is taken: its deduplication id is another than that of the job that was deleted
    assert scan_job_ids() == [job.id]
    assert len(set(ids)) == len(ids) == times + 1
    assert count_messages() == lost + 1


def test_a_repeat_that_sent_keeps_the_job_from_being_taken_back(intercept: Callable[[Between], None]) -> None:
    # Given a request whose send hangs until its repeat has sent, and then fails
    repeats: list[Job] = []
    is_first = True

    def hang(call: Callable[[], Any], name: str, _: dict[str, Any]) -> Any:
        nonlocal is_first
        if name == "SendMessageBatch" and is_first:
            is_first = False
            repeats.append(create_ordered_job())
            return fail_call(call, name)
        return call()

    intercept(hang)
    # When it takes the job back, then it is refused
    with pytest.raises(WorkMovedError):
        create_ordered_job()
    assert scan_job_ids() == [repeats[0].id]
    assert count_messages() == 1


def test_a_repeat_that_comes_too_late_creates_the_job_itself(intercept: Callable[[Between], None]) -> None:
    # Given a request that takes its job back while its repeat reads the record
    state = {"sends": 0, "reads": 0}

    def meddle(call: Callable[[], Any], name: str, request: dict[str, Any]) -> Any:
        state["sends"] += name == "SendMessageBatch"
        if name == "SendMessageBatch" and state["sends"] == 1:
            with pytest.raises(LeasewayError):
                create_ordered_job()
            return fail_call(call, name)
        if name == "UpdateItem":
            aws.client("dynamodb").delete_item(TableName="idempotency", Key=request["Key"])
        return call()

    intercept(meddle)
    with pytest.raises(LeasewayError):
        create_ordered_job()
    job = create_ordered_job()

    assert scan_job_ids() == [job.id]
    assert count_messages() >= 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("sqs", ["works", "fails"])
def test_a_repeat_settles_what_a_request_left_that_died(
    intercept: Callable[[Between], None], subtests: Any, sqs: str, after: bool
) -> None:
    calls: list[str] = []
    death, is_dead = 0, False

    def die(call: Callable[[], Any], name: str, _: dict[str, Any]) -> Any:
        nonlocal is_dead
        if is_dead:
            return call()
        calls.append(name)
        is_dead = len(calls) - 1 == death
        if is_dead and not after:
            raise Died
        answer = fail_call(call, name) if name == "SendMessageBatch" and sqs == "fails" else call()
        if is_dead:
            raise Died
        return answer

    for death in range(3 if sqs == "works" else 5):
        with subtests.test(death=death):
            key = IdempotencyKey("ann", "route", str(death))
            earlier_messages = count_messages()
            # Given a request that dies at one of its calls: tags, transaction, send, and if that fails, its taking back
            calls.clear()
            is_dead = False
            intercept(die)
            with pytest.raises((Died, UnavailableError)):
                create_ordered_job(key)
            # When the client sends it again
            is_dead = True
            job = create_ordered_job(key)
            # Then the job is there, once, and has one message
            assert scan_job_ids().count(job.id) == 1
            assert count_messages() == earlier_messages + 1
            rows = aws.client("dynamodb").scan(TableName="tags")["Items"]
            assert job.created_at in {int(row["created_key"]["S"].partition("#")[0]) for row in rows}
    assert len(scan_job_ids()) == death + 1


@pytest.mark.parametrize(
    "other",
    [
        {"ttl_ms": 5_000},
        {"max_attempts": 2},
        {"tags": ["a"]},
        {"retention_days": 3},
        {"priority": Priority.LOW},
        {"delay_seconds": 7},
        {"run_at": 1_800_000_000_000},
        {"order_key": "k"},
        {"expires_after_ms": 60_000},
    ],
)
def test_each_option_makes_another_request(other: dict[str, Any]) -> None:
    create_job("ann", "SLEEP", SLEEP, key=KEY)

    with pytest.raises(KeyReusedError):
        create_job("ann", "SLEEP", SLEEP, Options(**other), key=KEY)


def test_every_option_belongs_to_the_digest_of_a_request() -> None:
    names = {field.name for field in msgspec.structs.fields(Options)}
    for name in names - keyed._IN_EVERY_DIGEST:
        options = msgspec.structs.replace(Options(), **{name: 1})
        job = create_job("ann", "SLEEP", SLEEP)
        assert keyed._list_options(job, options) != keyed._list_options(job, Options()), name
    assert names >= keyed._IN_EVERY_DIGEST
