"""Random money from many threads on the real engine: never negative, conserved, applied once a key, explained.

The domain runs in this process against a deployed stack's tables; the stack's own ledger function writes the entries,
and this process delivers the stream's records a second time, shuffled, while it does.
"""

import random
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leaseway import aws
from leaseway import settings as leaseway_settings
from leaseway.accounts import change_balance, create_account, get_account, transfer
from leaseway.dynamodb.table import Table
from leaseway.errors import LeasewayError
from leaseway.idempotency import IdempotencyKey
from leaseway.ledger import reverse
from leaseway.ledger.stream import record_changes
from leaseway.ledger.verify import verify
from support.account_stream import read_stream_records
from support.deployed_stacks import DeployedStack, StackFactory
from support.faulty_wire import intercept_calls
from support.fuzz import count_examples
from support.waiting import wait_until

OPENING = 100
USERS = 3
THREADS = 6


class Request(NamedTuple):
    """One thing that a client wants: who is concerned and by how much, and whether it dies before the answer."""

    route: str
    users: tuple[int, ...]
    amount: int
    key: str | None
    dies: bool

    @property
    def content(self) -> tuple[Any, ...]:
        return (self.users, self.amount)


class CrashError(BaseException):
    """The client's process ends right after the write."""


pairs = st.permutations(range(USERS)).map(lambda order: tuple(order[:2]))
keys = st.none() | st.sampled_from(("k1", "k2", "k3", "k4"))
one = st.tuples(st.integers(0, USERS - 1))
updates = st.builds(Request, st.just("update"), one, st.integers(-90, 60).filter(bool), keys, st.booleans())
moves = st.builds(Request, st.just("transfer"), pairs, st.integers(1, 90), keys, st.booleans())
reversals = st.builds(Request, st.just("reverse"), one, st.just(0), st.none(), st.just(False))
clients = st.lists(st.lists(updates | moves | reversals, min_size=3, max_size=10), min_size=THREADS, max_size=THREADS)


@pytest.fixture(scope="module")
def stack(make_stack: StackFactory) -> DeployedStack:
    return make_stack("bank", LedgerCheckEnabled=False)


@pytest.fixture(scope="module")
def domain(stack: DeployedStack) -> Iterator[None]:
    """The domain in this process, on the stack's tables."""
    with pytest.MonkeyPatch.context() as patch:
        tables = {
            "ACCOUNTS_TABLE": "AccountsTable",
            "LEDGER_TABLE": "LedgerTable",
            "IDEMPOTENCY_TABLE": "IdempotencyTable",
        }
        for variable, output in tables.items():
            patch.setenv(variable, stack.outputs[output])
        patch.setenv("AWS_ENDPOINT_URL", stack.outputs.endpoint_url)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", stack.outputs.region)
        _forget()
        yield
    _forget()


def _forget() -> None:
    leaseway_settings.settings.cache_clear()
    aws.forget()
    for model in Table.__subclasses__():
        model._connection = None


class Run:
    """One example: fresh accounts, all clients at once, and the answer to each."""

    def __init__(self) -> None:
        self.prefix = uuid.uuid4().hex[:10]
        self.outcomes: list[tuple[Request, Any]] = []
        self._dying = threading.local()
        for user in range(USERS):
            create_account(self.name(user), OPENING, request_id=uuid.uuid4().hex)
        wait_until(self._has_opened, seconds=60, what="the entries of the openings")

    def name(self, user: int) -> str:
        return f"{self.prefix}-{user}"

    def client(self, requests: list[Request]) -> None:
        for request in requests:
            self._dying.now = request.dies
            try:
                answer = self._answer(request)
            except CrashError:
                answer = "CRASHED"
            self._dying.now = False
            self.outcomes.append((request, answer))
            if answer == "CRASHED" and request.key:
                self.outcomes.append((request, self._answer(request)))

    @contextmanager
    def deaths(self) -> Iterator[None]:
        """Clients that are to die do so right after their write."""

        def meddle(call: Callable[[], Any]) -> Any:
            answer = call()
            if getattr(self._dying, "now", False):
                self._dying.now = False
                raise CrashError
            return answer

        with intercept_calls(meddle, "UpdateItem", "TransactWriteItems"):
            yield

    def _answer(self, request: Request) -> Any:
        names = [self.name(user) for user in request.users]
        key = IdempotencyKey(self.prefix, request.route, request.key) if request.key else None
        request_id = uuid.uuid4().hex
        try:
            match request.route:
                case "update":
                    accounts = [change_balance(names[0], request.amount, request_id=request_id, key=key)]
                case "transfer":
                    moved = transfer(*names, request.amount, owner=None, request_id=request_id, key=key)
                    return tuple(moved.entries), moved.balance
                case _:
                    return tuple(reverse(f"{names[0]}:1", request_id=request_id).entries)
        except LeasewayError as refusal:
            return refusal.code
        return tuple((account.user_id, account.version, account.balance) for account in accounts)

    def _has_opened(self) -> bool:
        return all(verify(self.name(user)).behind == 0 for user in range(USERS))


def judge(run: Run) -> None:
    """Check the answers, and the accounts as they are now, against the rules."""
    by_key: dict[tuple[str, str], list[tuple[Request, Any]]] = defaultdict(list)
    applied: list[tuple[Request, Any]] = []
    for request, answer in run.outcomes:
        if request.key:
            by_key[request.route, request.key].append((request, answer))
        elif isinstance(answer, tuple) or answer == "CRASHED":
            applied.append((request, answer))
    for (route, key), answers in by_key.items():
        final = [
            (request, answer) for request, answer in answers if answer not in ("CRASHED", "IDEMPOTENCY_KEY_REUSED")
        ]
        assert len({request.content for request, _ in final}) == 1, (route, key, answers)
        assert len({answer for _, answer in final}) == 1, (route, key, answers)
        if isinstance(final[0][1], tuple):
            applied.append(final[0])
    reversed_once = [request.users for request, _ in applied if request.route == "reverse"]
    assert len(set(reversed_once)) == len(reversed_once)

    accounts = [get_account(run.name(user), owner=None) for user in range(USERS)]
    assert min(account.balance for account in accounts) >= 0
    brought_in = sum(request.amount for request, _ in applied if request.route == "update")
    assert sum(account.balance for account in accounts) == OPENING * (USERS - len(reversed_once)) + brought_in
    changes = sum(len(request.users) for request, _ in applied)
    assert sum(account.version for account in accounts) == USERS + changes
    for account in accounts:
        report = wait_until(
            lambda account=account: _verify_settled(account.user_id), seconds=60, what=f"entries of {account.user_id}"
        )
        assert (report.clean, report.entries) == (True, account.version), report.listed


def _verify_settled(user: str) -> Any:
    report = verify(user)
    return report if report.behind == 0 else None


def redeliver(stack: DeployedStack) -> None:
    """Deliver what the stream holds once more, shuffled, while the mapping is at it."""
    stream = read_stream_records(table=stack.outputs["AccountsTable"])[-300:]
    random.shuffle(stream)
    record_changes(stream)


@settings(max_examples=count_examples(8), deadline=None, suppress_health_check=list(HealthCheck))
@given(of_clients=clients)
def test_whatever_many_threads_want_the_money_is_conserved_and_explained(
    domain: None, stack: DeployedStack, of_clients: Any
) -> None:
    run = Run()

    with run.deaths(), ThreadPoolExecutor(THREADS + 1) as pool:
        working = [pool.submit(run.client, requests) for requests in of_clients]
        working.append(pool.submit(redeliver, stack))
        for work in working:
            work.result()

    judge(run)
