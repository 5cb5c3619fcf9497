"""The row of dead letters drives the shipped judge, and its table answers as DynamoDB in memory does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.volume.memory_table import MemoryTable
from benchmarks.volume.rows.dead_letters import simulate_now
from leaseway.dynamodb.table import Item
from leaseway.jobs import Job, Options, create_job
from leaseway.jobs.run import claim, finish
from leaseway.jobs.table import JobModel
from support.fake_clock import FakeClock


def test_messages_become_dead_letters_and_no_job_is_failed_or_lost() -> None:
    tally = simulate_now(100)
    assert tally.judged > 10
    assert tally.failed_attempts > 50
    assert (tally.failed_jobs, tally.lost_jobs) == (0, 0)


def fail_twice_and_complete(job: Job, fake_clock: FakeClock) -> None:
    """Claims, refusals, a takeover, a failure and a result."""
    first = claim.claim(job.id, "w1", message_id="m1")
    assert isinstance(first, claim.Claimed)
    first.lease.extend()
    assert isinstance(claim.claim(job.id, "w2", message_id="m2"), claim.NotYet)
    fake_clock.move(seconds=60)
    abandoned = claim.claim(job.id, "w2", message_id="m1")
    assert isinstance(abandoned, claim.Abandoned)
    second = claim.take_over(abandoned.lease, "w2", outside=claim.OutsideClaim())
    assert isinstance(second, claim.Claimed)
    finish.fail(second.lease, "boom", run_after=fake_clock.ms + 1_000)
    assert isinstance(claim.claim(job.id, "w3"), claim.NotYet)
    fake_clock.move(seconds=2)
    third = claim.claim(job.id, "w3", message_id="m3")
    assert isinstance(third, claim.Claimed)
    finish.complete(third.lease, {})


@contextmanager
def moto() -> Iterator[Callable[[str], Item | None]]:
    """Reads from the table in the account in memory."""
    yield JobModel.read


@contextmanager
def memory_table() -> Iterator[Callable[[str], Item | None]]:
    """Reads from the table that stands in for it."""
    table = MemoryTable()
    with table.stands_in_for(JobModel):
        yield table.read


def test_the_table_answers_as_dynamodb_in_memory_does(fake_clock: FakeClock) -> None:
    began, items = fake_clock.seconds, []
    for place in (moto, memory_table):
        fake_clock.seconds = began
        with place() as read:
            job = create_job("ann", "SLEEP", {"duration_ms": 1}, Options(ttl_ms=600_000))
            fail_twice_and_complete(job, fake_clock)
            item = read(job.id)
        assert item is not None
        items.append({name: value for name, value in item.items() if not name.endswith(("key", "id", "token"))})
    assert items[0] == items[1]
