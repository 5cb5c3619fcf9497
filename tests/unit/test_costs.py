"""The page of costs is what the operations cost: each of its lines is measured."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from leaseway import clock, counters
from leaseway.accounts import change_balance, create_account, get_account, transfer
from leaseway.errors import LeasewayError
from leaseway.generator import GeneratorLease, produce, try_to_become
from leaseway.idempotency import IdempotencyKey, KeyedRequest
from leaseway.identity import invite, register
from leaseway.identity import open_account as open_owned_account
from leaseway.jobs import Job, Options, cancel_job, create_job, retry_job
from leaseway.jobs.control.remove import remove_job
from leaseway.jobs.control.replay import replay
from leaseway.jobs.create import keyed_batch
from leaseway.jobs.create.batch import create_jobs
from leaseway.jobs.create.keyed_batch import create_jobs_once
from leaseway.jobs.create.options import JobRequest
from leaseway.jobs.find.lists import page_of_jobs
from leaseway.jobs.find.totals import count_by_type
from leaseway.jobs.lease import Lease
from leaseway.jobs.progress import Progress
from leaseway.jobs.run import external
from leaseway.jobs.run.claim import Claimed, claim
from leaseway.jobs.run.finish import complete, fail, give_up
from leaseway.jobs.upkeep.dead_letters import LetterVerdict, judge
from leaseway.ledger import balance_at, page_of_entries, reverse
from leaseway.ledger.entries import Entry
from leaseway.ledger.statements import EntrySelection
from leaseway.ledger.stream import record_changes, write
from leaseway.prometheus.meter import count_lines
from leaseway.prometheus.page import page
from leaseway.settings import settings
from leaseway.tally.job_totals import Group
from leaseway.tasks import Definition, Task, create_task, start_now
from leaseway.tasks.keyed_run import start_now_once
from support.account_stream import read_stream_records
from support.call_meter import meter_calls
from support.job_changes import make_job_change

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "costs.md"
START = 1_700_000_000
MESSAGE_ID = "5fea7756-0ea4-451a-a703-a558b933e274"
KEY = IdempotencyKey("me", "POST /there", "key")

_numbers = count()
_codes: list[str] = []

Operation = Callable[[], Any]


def request() -> str:
    return f"00000000-0000-4000-8000-{next(_numbers):012d}"


def change(amount: int, key: IdempotencyKey | None = None) -> Operation:
    return lambda: change_balance("alice", amount, request_id=request(), reference="note", key=key)


def move(amount: int, key: IdempotencyKey | None = None, *, owner: str | None = None) -> Operation:
    return lambda: transfer("alice", "bob", amount, owner=owner, request_id=request(), key=key)


def open_account(key: IdempotencyKey | None = None, owner: str | None = None) -> Operation:
    return lambda: open_owned_account("carol", 5, owner=owner, request_id=request(), key=key)


def register_user(name: str = "carol", invitation: str | None = None) -> Operation:
    return lambda: register(name, "orbit-lantern-mosaic", invitation=invitation)


def register_invited() -> None:
    register("carol", "orbit-lantern-mosaic", invitation=_codes[-1])


def job(key: IdempotencyKey | None = None) -> Operation:
    return lambda: _created.append(create_job("alice", "SLEEP", {"duration_ms": 5}, key=key))


def order_job(key: IdempotencyKey | None = None) -> Operation:
    return lambda: create_job("alice", "SLEEP", {"duration_ms": 5}, Options(order_key="k"), key=key)


def batch(size: int, key: IdempotencyKey | None = None, order_key: str | None = None) -> Operation:
    requests = [JobRequest("SLEEP", {"duration_ms": 5}, Options(order_key=order_key))] * size
    if key is None:
        return lambda: create_jobs("alice", requests)
    return lambda: create_jobs_once("alice", requests, KeyedRequest.of(key, size))


_tasks: list[Task] = []


def define_task() -> None:
    _tasks.append(
        create_task("alice", Definition(name="nightly", every="1h", type="SLEEP", payload={"duration_ms": 5}))
    )


_created: list[Job] = []
_claimed: list[Lease] = []


def take_job() -> None:
    """A worker claims the job that was created last."""
    outcome = claim(_created[-1].id, "w1", message_id=MESSAGE_ID)
    assert isinstance(outcome, Claimed)
    _claimed.append(outcome.lease)


def fail_job() -> None:
    """The attempt that was claimed last ends with an error, and no other is left."""
    lease = _claimed[-1]
    fail(structs.replace(lease, job=structs.replace(lease.job, max_attempts=1)), "boom")


def create_tagged_job() -> None:
    create_job("alice", "SLEEP", {"duration_ms": 5}, Options(tags=["blue", "green", "red"]))


def give_back() -> None:
    """The worker of the attempt that was claimed last gives its job back."""
    _claimed[-1].give_back()


def outside_job() -> None:
    _created.append(create_job("alice", "EXTERNAL", {"page": 5}))


def claim_outside(key: IdempotencyKey | None = None) -> None:
    lease = external.claim_next(["EXTERNAL"], "build-7", key=key)
    assert lease is not None
    _claimed.append(lease)


def outside(step: Callable[..., Any], *end: Any) -> Operation:
    return lambda: step(_claimed[-1].job.id, _claimed[-1].token, *end, owner=None)


_waiting: list[Job] = []


def waiting() -> None:
    """A job that no worker claims."""
    _waiting.append(create_job("alice", "SLEEP", {"duration_ms": 5}))


def judge_neglected() -> None:
    """Judge a message of it when it has waited for long."""
    later = clock.now_ms() / 1000 + settings().dead_letter_seconds + 1
    with clock.fixed(lambda: later):
        assert judge(dead_letter(_waiting[-1])) is LetterVerdict.FAILED


def dead_letter(of: Job) -> str:
    return json.dumps({"job_id": of.id, "ttl_ms": of.ttl_ms, "version": of.version})


def give_up_waiting() -> None:
    give_up(_waiting[-1], "no worker claimed it", dead_lettered=True)


_stream: list[dict[str, Any]] = []


def poll_stream() -> None:
    """What the mapping does; its reads of the stream are free."""
    _stream[:] = read_stream_records()


def deliver_newest() -> None:
    record_changes(_stream[-1:])


def count_many_jobs() -> None:
    """Jobs of several owners and types, counted over all the shards of their counters."""
    for number in range(50):
        counters.count(
            [make_job_change(f"job-{number}", None, Group(f"user-{number % 5}", "FAILED", f"TYPE_{number % 9}"))]
        )


_batches = count()


def make_metric_lines(requests: int, routes: int = 1) -> Operation:
    """A delivery to the meter: as many requests, spread over as many routes."""

    def deliver() -> None:
        batch = next(_batches)
        lines = [
            {"id": f"{batch}-{number}", "message": request_line(f"GET /{number % routes}")}
            for number in range(requests)
        ]
        count_lines("stream", lines)

    return deliver


def request_line(route: str) -> str:
    metrics = [{"Name": "HttpDuration", "Unit": "Milliseconds"}]
    directive = {"Namespace": "Leaseway", "Dimensions": [["route", "status"]], "Metrics": metrics}
    aws = {"Timestamp": START * 1000, "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": aws, "route": route, "status": "2xx", "HttpDuration": [1.5]})


def long_ledger() -> None:
    """A thousand entries of alice, one a second."""
    for version in range(1, 1_001):
        write(Entry(user_id="alice", version=version, amount=1, prev_balance=version - 1, balance_after=version,
                    kind="update", at=(START + version) * 1000, request_id=request()))  # fmt: skip
    page_of_entries("alice", EntrySelection(), owner=None, size=1)  # reads the secret that signs cursors


_leases: list[GeneratorLease] = []


def generating() -> None:
    lease = try_to_become(1, "node", 60_000)
    assert isinstance(lease, GeneratorLease)
    _leases.append(lease)


MEASURED: dict[str, tuple[list[Operation], Operation]] = {
    "read a balance": ([], lambda: get_account("alice", owner=None)),
    "change a balance": ([], change(5)),
    "change a balance, refused": ([], change(-500)),
    "change a balance, with a key": ([], change(5, KEY)),
    "change a balance, with a key, refused": ([], change(-500, KEY)),
    "change a balance, with a key, repeated": ([change(5, KEY)], change(5, KEY)),
    "open an account": ([], open_account()),
    "open an account, with a key": ([], open_account(KEY)),
    "open an account for its owner": ([register_user()], open_account(owner="carol")),
    "open an account for its owner, with a key": ([register_user()], open_account(KEY, "carol")),
    "register": ([], register_user()),
    "register, with an invitation": ([lambda: _codes.append(invite(actor="admin").text)], register_invited),
    "transfer": ([], move(5)),
    "transfer, by a User": ([], move(5, owner="alice")),
    "transfer, by a User, refused": ([], move(500, owner="alice")),
    "transfer, refused": ([], move(500)),
    "transfer, with a key": ([], move(5, KEY)),
    "transfer, with a key, refused": ([], move(500, KEY)),
    "transfer, with a key, repeated": ([move(5, KEY)], move(5, KEY)),
    "reverse an update": ([change(5), poll_stream, deliver_newest], lambda: reverse("alice:2", request_id=request())),
    "reverse a transfer": (
        [move(5), lambda: record_changes(read_stream_records())],
        lambda: reverse("bob:2", request_id=request()),
    ),
    "ledger entry, from the stream": ([change(5), poll_stream], deliver_newest),
    "ledger entry, delivered again": ([change(5), poll_stream, deliver_newest], deliver_newest),
    "ledger entry of a transfer, from the stream": ([move(5), poll_stream], deliver_newest),
    "page of 20 of a ledger of 1,000 entries": (
        [long_ledger],
        lambda: page_of_entries("alice", EntrySelection(), owner=None, size=20),
    ),
    "count jobs by status and type": ([count_many_jobs], count_by_type),
    "count a request for the metrics page": ([], make_metric_lines(1)),
    "count 100 requests of one route at once": ([], make_metric_lines(100)),
    "count 100 requests of eight routes at once": ([], make_metric_lines(100, 8)),
    "the metrics page, eight routes, no job live": ([make_metric_lines(100, 8)], page),
    "dead-letter a job": ([waiting], judge_neglected),
    "judge a dead letter of a held job": ([job(), take_job], lambda: judge(dead_letter(_created[-1]))),
    "replay a dead letter": ([waiting, give_up_waiting], lambda: replay(_waiting[-1].id)),
    "give a job back, from a node that ends": ([job(), take_job], give_back),
    "remove a job that has ended": (
        [job(), take_job, lambda: complete(_claimed[-1], {})],
        lambda: remove_job(_created[-1].id, owner=None),
    ),
    "try to become the generator": ([generating], lambda: try_to_become(2, "other", 60_000)),
    "a message of the generator": ([generating], lambda: produce(_leases[-1], 1)),
    "create a job": ([], job()),
    "create a job, with a key": ([], job(KEY)),
    "create a job, with a key, repeated": ([job(KEY)], job(KEY)),
    "create a batch of 100 jobs": ([], batch(100)),
    "create a batch of 100 jobs, with a key": ([], batch(100, KEY)),
    "create a batch of 100 jobs, with a key, repeated": ([batch(100, KEY)], batch(100, KEY)),
    "create an ordered job": ([], order_job()),
    "create an ordered job, with a key": ([], order_job(KEY)),
    "create a batch of 100 ordered jobs of one key": ([], batch(100, order_key="k")),
    "run a task": ([define_task], lambda: start_now(_tasks[-1].id)),
    "run a task, with a key": ([define_task], lambda: start_now_once(_tasks[-1].id, KEY)),
    "run a task, with a key, repeated": (
        [define_task, lambda: start_now_once(_tasks[-1].id, KEY)],
        lambda: start_now_once(_tasks[-1].id, KEY),
    ),
    "create a job, with three tags": ([], create_tagged_job),
    "list 8 jobs by tag": ([create_tagged_job] * 8, lambda: page_of_jobs(owner="alice", tag="blue")),
    "cancel a job": ([job()], lambda: cancel_job(_created[-1].id, owner=None, actor="root")),
    "retry a job": ([job(), take_job, fail_job], lambda: retry_job(_created[-1].id, owner=None)),
    "report a job's progress": (
        [job(), take_job],
        lambda: _claimed[-1].report(Progress.from_fraction(0.4, "thumbnails")),
    ),
    "fail an attempt, its history kept": ([job(), take_job], lambda: fail(_claimed[-1], "boom")),
    "claim a job from outside": ([outside_job], claim_outside),
    "claim a job from outside, with a key": ([outside_job], lambda: claim_outside(KEY)),
    "claim one known job from outside": (
        [outside_job],
        lambda: external.claim_known(_created[-1].id, "build-7", owner=None),
    ),
    "heartbeat from outside": ([outside_job, claim_outside], outside(external.heartbeat)),
    "complete a job from outside": ([outside_job, claim_outside], outside(external.complete, {"pages": 12})),
    "fail an attempt from outside": ([outside_job, claim_outside], outside(external.fail, "boom")),
}


def read_documented_costs() -> dict[str, list[float]]:
    rows = re.findall(r"^\| (.+?) \|([\d |.]+)\|$", PAGE.read_text(), re.MULTILINE)
    return {name: [float(number) for number in numbers.split("|")] for name, numbers in rows}


def cost_of(operation: Operation) -> list[float]:
    with meter_calls() as meter, suppress(LeasewayError):
        operation()
    return [meter.count("dynamodb"), meter.writes(), meter.write_units(), meter.read_units()]


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables in memory are not safe for threads."""
    monkeypatch.setattr(keyed_batch, "_THREADS", 1)


def test_every_line_is_measured() -> None:
    assert set(read_documented_costs()) == {*MEASURED, "balance at a moment, 1,000 entries"}


@pytest.mark.parametrize("operation", MEASURED)
def test_an_operation_costs_what_the_page_says(cloud: None, operation: str) -> None:
    # Given what the operation needs
    create_account("alice", 100, request_id=request())
    create_account("bob", 10, request_id=request())
    before, measured = MEASURED[operation]
    for step in before:
        step()
    # When it is done, then it costs what it is said to cost
    assert cost_of(measured) == read_documented_costs()[operation]


def test_a_moment_among_a_thousand_entries_costs_no_more_than_the_page_says(cloud: None) -> None:
    # Given an account of a thousand changes
    long_ledger()
    with clock.fixed(lambda: START + 1_000):
        create_account("alice", 0, request_id=request())
    model_of_version_1000()
    # When its balance at any moment is asked for
    costs = [
        cost_of(lambda moment=second: balance_at("alice", (START + moment) * 1000 + 500, owner=None))
        for second in (1, 17, 500, 512, 998, 999)
    ]
    # Then it is found by halving
    assert max(costs) == read_documented_costs()["balance at a moment, 1,000 entries"]
    assert settings().list_key_budget >= 1_000


def model_of_version_1000() -> None:
    from leaseway.accounts.model import AccountModel

    model = AccountModel.get("alice")
    created = AccountModel.created_at.set((START + 1) * 1000)
    model.update([AccountModel.version.set(1_000), AccountModel.balance.set(1_000), created])
