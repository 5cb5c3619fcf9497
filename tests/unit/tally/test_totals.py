"""Totals: each transition counts once, however the stream repeats itself."""

import base64
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leaseway import aws, clock, counters
from leaseway.counters import CounterChange, Counters, CountReport, count
from leaseway.dynamodb.transactions import TransactionCancelledError
from leaseway.errors import UnavailableError
from leaseway.jobs.find.totals import count_jobs
from leaseway.tally.job_totals import Group
from support.call_meter import meter_calls
from support.fuzz import count_examples
from support.job_changes import make_job_change

pytestmark = pytest.mark.usefixtures("cloud")


def life(job: int, owner: str = "alice", type_name: str = "SLEEP") -> list[CounterChange]:
    """A job from its creation to its end: the three records that count."""
    steps = [None, *(Group(owner, status, type_name) for status in ("CREATED", "RUNNING", "COMPLETED"))]
    return [make_job_change(f"{owner}-{job}-{n}", before, after) for n, (before, after) in enumerate(pairwise(steps))]


def heartbeat(name: str, owner: str = "alice") -> CounterChange:
    running = Group(owner, "RUNNING", "SLEEP")
    return make_job_change(name, running, running)


def lives(jobs: int, **more: Any) -> list[CounterChange]:
    return [change for job in range(jobs) for change in life(job, **more)]


def test_transitions_move_a_job_from_count_to_count() -> None:
    created, claimed, finished = life(1)
    count([created])
    assert (count_jobs(), count_jobs("alice", "CREATED"), count_jobs("alice", "CREATED", "SLEEP")) == (1, 1, 1)
    count([claimed, finished])
    assert (count_jobs(), count_jobs("alice", "CREATED"), count_jobs("alice", "COMPLETED"), count_jobs("bob")) == (
        1,
        0,
        1,
        0,
    )
    assert (count_jobs(type_name="SLEEP"), count_jobs(type_name="HTTP_GET"), count_jobs(status="COMPLETED")) == (
        1,
        0,
        1,
    )


def test_a_removed_job_is_counted_no_more() -> None:
    count(life(1))
    count([make_job_change("gone", Group("alice", "COMPLETED", "SLEEP"), None)])
    assert count_jobs() == count_jobs("alice") == 0


def test_no_total_is_below_zero() -> None:
    # Given a decrement that is counted before its increment, when the total is read, then it is 0
    count([make_job_change("early", Group("alice", "COMPLETED", "SLEEP"), None)])
    assert count_jobs("alice") == 0
    count([make_job_change("late", None, Group("alice", "COMPLETED", "SLEEP"))])
    assert count_jobs("alice") == 0


def test_a_batch_that_changes_no_count_writes_nothing() -> None:
    running = Group("alice", "RUNNING", "SLEEP")
    with meter_calls() as meter:
        report = count([make_job_change(str(n), running, running) for n in range(50)])
    assert report == CountReport(unchanged=50)
    assert meter.count() == 0


def test_a_batch_delivered_twice_counts_once() -> None:
    batch = lives(60)
    assert count(batch).counted == 180
    assert count(batch) == CountReport(repeated=180)
    assert count_jobs("alice", "COMPLETED") == 60


def test_a_repeat_that_is_cut_differently_counts_once() -> None:
    # Given batches of 3 and 4 records, when they come again as 5 and 3 with a new one, then only that one counts
    a, b, c, d, e, f, g, h = lives(3)[:8]
    count([a, b, c])
    count([d, e, f, g])
    assert count([a, b, c, d, e]) == CountReport(repeated=5)
    assert count([f, g, h]) == CountReport(repeated=2, counted=1)
    assert count_jobs("alice") == 3
    assert count_jobs("alice", "COMPLETED") == 2


def test_records_in_between_that_change_nothing_move_no_boundary() -> None:
    # Given heartbeats between the records, when the batch comes again without them, then nothing counts twice
    created, claimed, finished = life(1)
    beat = heartbeat("beat")
    count([beat, created, claimed])
    count([beat, finished])
    assert count([created, beat, claimed, beat, finished]).counted == 0
    assert (count_jobs("alice"), count_jobs("alice", "COMPLETED")) == (1, 1)


def test_a_batch_whose_changes_cancel_out_is_still_marked() -> None:
    # Given a slice of no net effect, when it comes again with more behind it, then only what is new counts
    there = make_job_change("1", Group("a", "CREATED", "T"), Group("a", "RUNNING", "T"))
    back = make_job_change("2", Group("a", "RUNNING", "T"), Group("a", "CREATED", "T"))
    count([there, back])
    count([make_job_change("3", None, Group("a", "CREATED", "T"))])
    repeat = count(
        [
            there,
            back,
            make_job_change("3", None, Group("a", "CREATED", "T")),
            make_job_change("4", None, Group("a", "FAILED", "T")),
        ]
    )
    assert repeat == CountReport(repeated=3, counted=1)
    assert (count_jobs("a"), count_jobs("a", "CREATED")) == (2, 1)


def test_a_batch_of_many_owners_is_cut_to_what_a_transaction_holds() -> None:
    batch = [make_job_change(f"{n}", None, Group(f"o{n}", "CREATED", "SLEEP")) for n in range(250)]
    with meter_calls() as meter:
        count(batch)
    transactions = [call for call in meter.calls if call.operation == "TransactWriteItems"]
    assert len(transactions) == 3
    assert all(len(call.charges) < 100 for call in transactions)
    assert count_jobs() == 250
    assert all(count_jobs(f"o{n}") == 1 for n in (0, 95, 96, 249))


def test_counting_costs_a_job_under_a_fifth_of_a_write_unit() -> None:
    # Given counters of five types at six digits, when 100 records of one owner come, then they cost 6 units:
    # marker, "all" and the owner, each written in one transaction at double price
    kinds = [f"SOME_LONG_TYPE_{n}" for n in range(5)]
    for owner in ("all", "owner#alice"):
        for shard in range(8):
            numbers = {
                f"{s}|{k}": {"N": "123456"} for s in ("CREATED", "RUNNING", "COMPLETED", "FAILED") for k in kinds
            }
            item = {"scope": {"S": owner}, "shard": {"S": str(shard)}, **numbers}
            aws.client("dynamodb").put_item(TableName="totals", Item=item)
    batch = [change for job in range(34) for change in life(job, type_name=kinds[job % 5])][:100]
    with meter_calls() as meter:
        count(batch)
    assert meter.operations() == {"dynamodb.TransactWriteItems": 1}
    assert meter.write_units("totals") == 6
    assert meter.write_units() / (len(batch) / 3) < 0.2


def test_a_total_costs_the_same_at_any_number_of_jobs() -> None:
    count(lives(3))
    with meter_calls() as few:
        count_jobs("alice", "COMPLETED")
    for n in range(40):
        big = Counter({"COMPLETED|SLEEP": 10_000_000})
        aws.client("dynamodb").update_item(**counters._add(Counters("owner#alice"), str(n % 8), big))
    with meter_calls() as many:
        assert count_jobs("alice", "COMPLETED") == 400_000_003
    assert few.operations() == many.operations() == {"dynamodb.Query": 1}
    assert few.read_units() == many.read_units() == 0.5


def test_a_marker_outlives_every_repetition() -> None:
    count(life(1))
    items = aws.client("dynamodb").scan(TableName="totals")["Items"]
    markers = [item for item in items if "covered" in item]
    assert len(markers) == 1
    assert int(markers[0]["expires_at"]["N"]) >= clock.now_ms() // 1000 + 24 * 3600
    assert len(markers[0]["covered"]["B"]) == 3 * 8


def make_cancellation(*codes: str) -> ClientError:
    reasons = [{"Code": code} for code in codes]
    answer: Any = {"Error": {"Code": "TransactionCanceledException", "Message": "no"}, "CancellationReasons": reasons}
    return ClientError(answer, "TransactWriteItems")


class Flaky:
    """A real client whose first transactions fail with the errors of a list."""

    def __init__(self, *failures: ClientError) -> None:
        self._client, self.failures = aws.client("dynamodb"), list(failures)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def transact_write_items(self, **request: Any) -> Any:
        if self.failures:
            raise self.failures.pop(0)
        return self._client.transact_write_items(**request)


def use(monkeypatch: pytest.MonkeyPatch, client: Flaky) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(clock, "sleep", pauses.append)
    monkeypatch.setattr(aws, "client", lambda *_, **__: client)
    return pauses


def test_conflicts_are_tried_again_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = make_cancellation("None", "TransactionConflict", "ThrottlingError")
    pauses = use(monkeypatch, Flaky(busy, busy, busy))
    assert count(life(1)).counted == 3
    assert len(pauses) == 3
    assert count_jobs() == 1


def test_lasting_conflicts_leave_the_batch_to_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Flaky(*[make_cancellation("None", "TransactionConflict")] * 20)
    use(monkeypatch, client)
    with pytest.raises(UnavailableError):
        count(life(1))
    assert len(client.failures) == 20 - 8
    client.failures.clear()
    assert count_jobs() == 0


def test_what_no_repetition_heals_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Flaky(make_cancellation("None", "ValidationError"), make_cancellation("None", "ValidationError"))
    use(monkeypatch, client)
    with pytest.raises(TransactionCancelledError):
        count(life(1))
    assert len(client.failures) == 1


def test_ids_of_markers_are_short_and_distinct() -> None:
    digests = {CounterChange(f"event-{n}", {}).digest for n in range(10_000)}
    assert len(digests) == 10_000
    assert {len(digest) for digest in digests} == {8}
    assert len(base64.b64encode(b"".join(sorted(digests)[:100]))) < 1100


# A stream shard as Lambda reads it: batches from a checkpoint that moves after success; a failed batch comes again, and
# a poller that lost its place starts at an earlier checkpoint.
DELIVERIES = st.lists(
    st.tuples(
        st.integers(1, 12),  # records in the batch
        st.sampled_from(["fine", "fine", "fine", "answer lost", "dies midway", "never starts"]),
        st.integers(0, 4),  # checkpoints to fall back by, once in a while
    ),
    min_size=1,
    max_size=14,
)


@given(deliveries=DELIVERIES, owners=st.lists(st.sampled_from("abc"), min_size=14, max_size=14))
@settings(max_examples=count_examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_transition_counts_once_however_batches_are_repeated(
    deliveries: list[tuple[int, str, int]], owners: list[str], fresh_totals: Callable[[], None]
) -> None:
    # Given a stream of transitions with heartbeats in between
    fresh_totals()
    records = interleave(owners)
    checkpoints = [0]
    # When its batches are lost, doubled, cut short in the middle and split again
    for length, fate, back in [*deliveries, (len(records), "fine", 0), (len(records), "fine", 0)]:
        if back and fate == "fine":
            del checkpoints[max(1, len(checkpoints) - back) :]
        start = checkpoints[-1]
        batch = records[start : start + length]
        if deliver(batch, fate):
            checkpoints.append(start + len(batch))
    # Then every counter is what counting each record once gives
    expected = Counter(owners)
    assert {owner: count_jobs(owner) for owner in expected} == expected
    assert {owner: count_jobs(owner, "COMPLETED") for owner in expected} == expected
    assert count_jobs(status="RUNNING") == count_jobs(status="CREATED") == 0


def interleave(owners: list[str]) -> list[CounterChange]:
    steps: list[CounterChange] = []
    for job, owner in enumerate(owners):
        created, claimed, finished = life(job, owner=owner)
        beat = heartbeat(f"beat-{job}", owner)
        steps += [created, beat, claimed, finished]
    return steps


def deliver(batch: list[CounterChange], fate: str) -> bool:
    """One invocation; returns whether Lambda saw it succeed."""
    if fate == "never starts":
        return False
    if fate != "dies midway":
        count(batch)
        return fate == "fine"
    with pytest.MonkeyPatch.context() as patched:
        calls: list[int] = []

        def dies(*arguments: Any, transact: Any = counters.transact_until_settled, **options: Any) -> None:
            calls.append(1)
            if len(calls) > 1:
                raise TimeoutError
            transact(*arguments, **options)

        patched.setattr(counters, "transact_until_settled", dies)
        try:
            count(batch)
        except TimeoutError:
            return False
    return True


@pytest.fixture
def fresh_totals(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Empties the table between hypothesis's examples; slices are small, so that a batch has several."""
    monkeypatch.setattr(counters, "SLICE_RECORDS", 4)

    def empty() -> None:
        client = aws.client("dynamodb")
        for item in client.scan(TableName="totals")["Items"]:
            client.delete_item(TableName="totals", Key={name: item[name] for name in ("scope", "shard")})

    return empty
