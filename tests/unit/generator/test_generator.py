"""The generator's lease, its messages and the nodes' numbers, against DynamoDB and SQS in memory."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from leaseway import aws, clock
from leaseway.dynamodb import transactions
from leaseway.dynamodb.transactions import Reason, TransactionCancelledError
from leaseway.generator import OWNER, DeposedError, GeneratorLease, Held, give_up, produce, renew, take_number
from leaseway.generator.lease import try_to_become
from leaseway.jobs import JobStatus, get_job
from leaseway.jobs.lease import LeaseLostError
from leaseway.jobs.queue_names import Queue
from leaseway.jobs.run.claim import Claimed, claim
from leaseway.jobs.run.finish import complete
from leaseway.jobs.types import JobError, job_type
from support.call_meter import meter_calls

pytestmark = pytest.mark.usefixtures("cloud")

LEASE_MS = 4_000
QUEUE = Queue("MESSAGE")


@contextmanager
def later(milliseconds: int) -> Iterator[None]:
    moment = (clock.now_ms() + milliseconds) / 1000
    with clock.fixed(lambda: moment):
        yield


def generator(node: int = 1) -> GeneratorLease:
    lease = try_to_become(node, f"node-{node}", LEASE_MS)
    assert isinstance(lease, GeneratorLease)
    return lease


def list_payloads() -> list[dict]:
    items = aws.client("dynamodb").scan(TableName="jobs")["Items"]
    return [json.loads(item["payload"]["S"]) for item in items]


def count_messages() -> int:
    answer = aws.client("sqs").get_queue_attributes(QueueUrl=QUEUE.url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def test_each_node_takes_a_number_of_its_own() -> None:
    assert [take_number() for _ in range(5)] == [1, 2, 3, 4, 5]


def test_one_node_becomes_the_generator_and_the_others_learn_how_long_it_is() -> None:
    lease = generator(1)

    assert try_to_become(2, "node-2", LEASE_MS) == Held(lease.held_until)
    assert lease.epoch == 1


def test_becoming_renewing_and_being_refused_cost_one_write_unit_each_and_no_read() -> None:
    with meter_calls() as meter:
        lease = generator(1)
        try_to_become(2, "node-2", LEASE_MS)
        renew(lease, LEASE_MS)
    assert (meter.count("dynamodb"), meter.write_units(), meter.read_units()) == (3, 3, 0)


def test_a_generator_that_renews_stays_one() -> None:
    lease = generator(1)
    with later(LEASE_MS // 2):
        renewed = renew(lease, LEASE_MS)
    with later(LEASE_MS + 1):
        assert try_to_become(2, "node-2", LEASE_MS) == Held(renewed.held_until)
    assert (renewed.epoch, renewed.token) == (lease.epoch, lease.token)


def test_a_dead_generators_place_is_taken_when_its_lease_ends_and_the_epoch_rises() -> None:
    # Given a generator that does not renew
    dead = generator(1)
    # When its lease has ended
    with later(LEASE_MS + 1):
        successor = generator(2)
    # Then another is the generator, of a later epoch
    assert (successor.epoch, successor.node) == (dead.epoch + 1, 2)


def test_a_deposed_generator_writes_nothing_any_more() -> None:
    # Given a generator that slept while another took over
    asleep = generator(1)
    produce(asleep, 1)
    with later(LEASE_MS + 1):
        successor = generator(2)
        produce(successor, 1)
        # When it wakes up, then nothing of it is written or sent
        for late in (lambda: produce(asleep, 2), lambda: renew(asleep, LEASE_MS)):
            with pytest.raises(DeposedError):
                late()
        give_up(asleep)
        assert renew(successor, LEASE_MS).epoch == successor.epoch
    assert sorted((message["epoch"], message["number"]) for message in list_payloads()) == [(1, 1), (2, 1)]
    assert count_messages() == 2


def test_a_generator_that_ends_well_is_followed_at_once() -> None:
    lease = generator(1)
    give_up(lease)

    assert generator(2).epoch == lease.epoch + 1


def test_a_message_is_a_job_of_no_user_with_one_attempt_in_its_own_queue() -> None:
    lease = generator(7)
    with meter_calls() as meter:
        job = produce(lease, 3, failure_percent=50)

    stored = get_job(job.id, owner=None)
    assert (stored.type, stored.owner, stored.max_attempts, stored.queue) == ("MESSAGE", OWNER, 1, "MESSAGE")
    assert stored.payload == {"epoch": 1, "number": 3, "node": 7, "failure_percent": 50}
    assert (meter.write_units(), meter.read_units(), meter.count("sqs")) == (6, 0, 1)
    assert count_messages() == 1


def test_a_message_that_is_written_again_is_the_same_message() -> None:
    lease = generator()

    assert produce(lease, 1).id == produce(lease, 1).id
    assert len(list_payloads()) == 1


def test_a_node_that_tries_to_take_over_at_that_moment_delays_a_message_only(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a transaction that another's write was in the way of, which no engine here does
    lease, answers = (
        generator(),
        [TransactionCancelledError([Reason("None", None), Reason("TransactionConflict", None)])],
    )
    real = transactions.transact_with_retries

    def transact(parts: list[Any]) -> None:
        if answers:
            raise answers.pop()
        real(parts)

    monkeypatch.setattr(transactions, "transact_with_retries", transact)
    monkeypatch.setattr(clock, "sleep", lambda _: None)
    # When it produces, then the message is written all the same
    produce(lease, 1)
    assert len(list_payloads()) == 1


@pytest.mark.parametrize(("percent", "failed"), [(0, 0), (100, 400)])
def test_messages_fail_as_often_as_configured(percent: int, failed: int) -> None:
    assert _failures(percent, 400) == failed


def test_one_in_twenty_messages_fails_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    import random

    monkeypatch.setattr(random, "random", random.Random(4).random)
    assert 50 <= _failures(None, 2_000) <= 150


def _failures(percent: int | None, times: int) -> int:
    kind = job_type("MESSAGE")
    payload = kind.parse({} if percent is None else {"failure_percent": percent})
    failures = 0
    for _ in range(times):
        try:
            kind.run(payload, None)  # type: ignore[arg-type]
        except JobError:
            failures += 1
    return failures


def test_a_job_that_is_given_back_can_be_claimed_at_once_and_the_attempt_does_not_count() -> None:
    # Given a job with one attempt, that a worker has
    job = produce(generator(), 1)
    first = claim(job.id, "one")
    assert isinstance(first, Claimed)
    # When the worker gives it back
    assert first.lease.give_back()
    # Then another runs it as if for the first time, and the first one's result is refused
    second = claim(job.id, "two")
    assert isinstance(second, Claimed)
    assert (second.lease.job.attempts, second.lease.job.crashes, second.lease.job.fence) == (1, 0, 2)
    with pytest.raises(LeaseLostError):
        complete(first.lease, {"by": "one"})
    assert not first.lease.give_back()
    assert complete(second.lease, {"by": "two"}) is JobStatus.COMPLETED
