"""`make stress-transfers`: 5,000 random transfers between 200 accounts over HTTP, 20 at a time.

Money may only move: the sum of all balances before and after must be equal to the unit, and the ledger must explain
each of them. What is asserted are counts and sums, never a time.
"""

import argparse
import asyncio
import json
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
from rich.console import Console

from benchmarks import hot_account_model
from benchmarks.stress_balance import local_cloud
from leaseway_local.connection.clients import Target
from leaseway_local.connection.target import open_clients, open_session, read_outputs

OPENING = 100
_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class Outcome:
    """What one run of transfers came to."""

    users: Sequence[str]
    statuses: Counter[int]
    """Transfers by the status of their last answer."""
    busy: int
    """Answers with status 503, after which a transfer was sent again."""
    before: Decimal
    after: Decimal
    seconds: float

    @property
    def is_conserved(self) -> bool:
        """Whether the sum of all balances is what it was, and no request came to another end than it may."""
        return self.before == self.after and set(self.statuses) <= {200, 409}

    @property
    def success_rate(self) -> float:
        """The share of all answers that were not 503."""
        answered = sum(self.statuses.values())
        return answered / (answered + self.busy)


class _Run:
    def __init__(self, client: httpx.AsyncClient, users: Sequence[str], seed: int, *, hot: bool) -> None:
        self._client = client
        self._users = users
        self._hot = hot
        self.busy = 0
        self._random = random.Random(seed)
        self.statuses: Counter[int] = Counter()

    async def open(self, user: str) -> None:
        answer = await self._client.post("/api/users", json={"userId": user, "balance": OPENING})
        answer.raise_for_status()

    async def balance(self, user: str) -> Decimal:
        answer = await self._client.get(f"/api/users/{user}/balance")
        return Decimal(str(answer.raise_for_status().json()["balance"]))

    async def transfer(self, _: int) -> None:
        """One transfer under a key, sent again as long as the answer is that it may be."""
        sender, receiver = self._random.sample(self._users, 2)
        if self._hot and self._users[0] not in (sender, receiver):
            # Half of the transfers pay into the one account, and half out of it.
            sender, receiver = self._random.choice([(sender, self._users[0]), (self._users[0], receiver)])
        amount = str(Decimal(self._random.randint(1, 6_000)) / 100)
        body = {"from": sender, "to": receiver, "amount": amount}
        key = {"Idempotency-Key": secrets.token_hex(16)}
        while (answer := await self._client.post("/api/v1/transfers", json=body, headers=key)).status_code == 503:
            self.busy += 1
            await asyncio.sleep(float(answer.headers.get("retry-after", 1)))
        self.statuses[answer.status_code] += 1


async def side_by_side(work: Sequence[Any], at_a_time: int, do: Callable[[Any], Any]) -> list[Any]:
    """`await do(item)` for every item, so many at a time; the results in the items' order."""
    left, results = iter(enumerate(work)), [None] * len(work)

    async def until_none_is_left() -> None:
        for number, item in left:
            results[number] = await do(item)

    await asyncio.gather(*(until_none_is_left() for _ in range(at_a_time)))
    return results


async def transfers(
    url: str,
    *,
    token: str,
    accounts: int,
    requests: int,
    at_a_time: int,
    seed: int,
    hot: bool = False,
) -> Outcome:
    """Open accounts with 100.00 each and move random amounts between them; if `hot`, the first takes part in all."""
    users = [f"move-{secrets.token_hex(4)}-{number}" for number in range(accounts)]
    limits = httpx.Limits(max_connections=at_a_time, max_keepalive_connections=at_a_time)
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=url, headers=headers, limits=limits, timeout=_TIMEOUT_SECONDS, trust_env=False
    ) as client:
        run = _Run(client, users, seed, hot=hot)
        await side_by_side(users, at_a_time, run.open)
        before = sum(await side_by_side(users, at_a_time, run.balance), Decimal())

        began = time.perf_counter()
        await side_by_side(range(requests), at_a_time, run.transfer)
        seconds = time.perf_counter() - began
        after = sum(await side_by_side(users, at_a_time, run.balance), Decimal())
    return Outcome(users, run.statuses, run.busy, before, after, seconds)


def await_clean_ledger(function: str, client: Any, *, patience: float = 120) -> dict[str, Any]:
    """The report of a verification after which no entry is on its way any more, or the last one within `patience`."""
    ends = time.monotonic() + patience
    while True:
        answer = client.invoke(FunctionName=function, Payload=json.dumps({"do": "verify"}))
        report: dict[str, Any] = json.loads(answer["Payload"].read())
        if "behind" not in report:
            raise RuntimeError(f"the verification failed: {report}")
        if report["behind"] == 0 or time.monotonic() > ends:
            return report
        time.sleep(0.5)


def main() -> int:
    """Run it against the local cloud, started first if need be; 0 when the sum is conserved and the ledger clean."""
    parser = argparse.ArgumentParser(description="Move money between many accounts at once.")
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--at-a-time", type=int, default=20)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--hot", action="store_true", help="one account takes part in every transfer")
    parser.add_argument("--model", action="store_true", help="only print the model of both policies, without a cloud")
    args = parser.parse_args()
    if args.model:
        hot_account_model.main()
        return 0
    screen = Console(highlight=False)
    url = local_cloud(screen)
    token = open_session(Target.LOCAL).token()
    shape = {
        "accounts": args.accounts,
        "requests": args.requests,
        "at_a_time": args.at_a_time,
        "seed": args.seed,
        "hot": args.hot,
    }
    with screen.status(f"{args.requests:,} transfers between {args.accounts} accounts, {args.at_a_time} at a time"):
        outcome = asyncio.run(transfers(url, token=token, **shape))
        report = await_clean_ledger(
            read_outputs(Target.LOCAL)["LedgerCheckFunction"], open_clients(Target.LOCAL).get("lambda")
        )
    granted, refused = outcome.statuses[200], outcome.statuses[409]
    screen.print(f"{granted:,} made, {refused:,} refused in {outcome.seconds:.1f} s: {dict(outcome.statuses)}")
    screen.print(f"{outcome.success_rate:.2%} of all answers were not 503 ({outcome.busy:,} were)")
    if args.hot:
        rate = (granted + refused) / outcome.seconds
        screen.print(
            f"through one account at {rate:.0f} a second; under DynamoDB's rules the model says for that rate:"
        )
        for line in hot_account_model.compare(hot_account_model.Load(rate)):
            screen.print(line)
    screen.print(f"sum before {outcome.before:,.2f}, after {outcome.after:,.2f}")
    screen.print(
        f"ledger: {report['entries']:,} entries, {report['behind']} behind, {report['differences']} differences"
    )
    good = outcome.is_conserved and report["clean"] and report["behind"] == 0
    screen.print("[green]conserved and explained[/]" if good else "[red]wrong[/]")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
