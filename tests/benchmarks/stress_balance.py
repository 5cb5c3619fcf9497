"""`make stress-balance`: 10,000 debits of 2 over HTTP, 50 at a time, against a balance of 10,000.

Half of them must be granted and half refused, whatever the order they arrive in, and nothing may be left over. What is
asserted are the counts and the balance, never a time: how fast this goes is the machine's business.
"""

import argparse
import asyncio
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from leaseway_local.connection.clients import Target
from leaseway_local.connection.target import open_session, read_outputs
from leaseway_local.errors import LocalCloudError

DEBIT = 2
_TIMEOUT_SECONDS = 300.0  # a laptop starts fifty functions at once; slow is not wrong


@dataclass(frozen=True)
class Outcome:
    """What one run of debits came to. Latencies are in milliseconds, ascending."""

    statuses: Counter[int]
    latencies: Sequence[float]
    seconds: float
    balance: Decimal

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """The latency in milliseconds that this share of the requests stayed within."""
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


async def debit(
    url: str,
    user: str,
    *,
    token: str,
    requests: int,
    at_a_time: int,
    on_answer: Callable[[], None] = lambda: None,
) -> Outcome:
    """Take 2 from a fresh account `requests` times, `at_a_time` side by side.

    The account opens with as many as there are requests, so exactly half of the debits can be granted. No request is
    sent again, whatever becomes of it. A read each comes first, so that a laptop is not starting functions and
    moving money at once: a write that waits ten seconds for its answer is reported as unknown, true but not exact.
    """
    statuses: Counter[int] = Counter()
    latencies: list[float] = []
    limits = httpx.Limits(max_connections=at_a_time, max_keepalive_connections=at_a_time)
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=url, headers=headers, limits=limits, timeout=_TIMEOUT_SECONDS, trust_env=False
    ) as client:
        opened = await client.post("/api/users", json={"userId": user, "balance": requests})
        opened.raise_for_status()
        await asyncio.gather(*(client.get(f"/api/users/{user}/balance") for _ in range(at_a_time)))
        left = iter(range(requests))

        async def send_until_none_is_left() -> None:
            for _ in left:
                began = time.perf_counter()
                answer = await client.post("/api/users/update-balance", json={"userId": user, "amount": -DEBIT})
                latencies.append((time.perf_counter() - began) * 1000)
                statuses[answer.status_code] += 1
                on_answer()

        began = time.perf_counter()
        await asyncio.gather(*(send_until_none_is_left() for _ in range(at_a_time)))
        seconds = time.perf_counter() - began
        balance_answer = await client.get(f"/api/users/{user}/balance")
        balance = Decimal(str(balance_answer.raise_for_status().json()["balance"]))
    return Outcome(statuses, sorted(latencies), seconds, balance)


def is_exact(outcome: Outcome) -> bool:
    """Whether half was granted, half was refused, and nothing is left."""
    half = len(outcome.latencies) // DEBIT
    return outcome.statuses == {200: half, 409: half} and outcome.balance == 0


def _with_progress(url: str, token: str, options: argparse.Namespace, screen: Console) -> Outcome:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen) as progress:
        task = progress.add_task(f"debits of {DEBIT}, {options.at_a_time} at a time", total=options.requests)
        user = f"stress-{secrets.token_hex(4)}"
        sizes = {"requests": options.requests, "at_a_time": options.at_a_time}
        return asyncio.run(debit(url, user, token=token, **sizes, on_answer=lambda: progress.advance(task)))


def _summary(outcome: Outcome) -> Table:
    table = Table(show_header=False)
    for status, count in sorted(outcome.statuses.items()):
        table.add_row(f"answered {status}", f"{count:,}")
    table.add_row("balance left", f"{outcome.balance:,.2f}")
    table.add_row("requests a second", f"{outcome.rate:,.0f}")
    shares = (0.5, 0.95, 0.99, 1.0)
    table.add_row(
        "latency p50, p95, p99, max", ", ".join(f"{outcome.percentile(share):,.0f}" for share in shares) + " ms"
    )
    return table


def local_cloud(screen: Console) -> str:
    """The local cloud's API; a cloud that is not up is started."""
    try:
        return read_outputs(Target.LOCAL).api_url
    except LocalCloudError:
        screen.print("The local cloud is not up: starting it. It stays up afterwards; `make down` stops it.")
        subprocess.run([Path(sys.executable).with_name("leaseway"), "up"], check=True)
        return read_outputs(Target.LOCAL).api_url


def main() -> int:
    """Run it against the local cloud, started first if need be; 0 when every count is exact."""
    parser = argparse.ArgumentParser(description="Debit one account from many sides at once.")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--at-a-time", type=int, default=50)
    parser.add_argument("--url", help="an API's address; without it, the local cloud's")
    parser.add_argument("--token", help="an Admin's bearer token for that API")
    options = parser.parse_args()
    screen = Console(highlight=False)
    url = options.url or local_cloud(screen)
    token = options.token or open_session(Target.LOCAL).token()
    outcome = _with_progress(url, token, options, screen)
    screen.print(_summary(outcome))
    half = options.requests // DEBIT
    if is_exact(outcome):
        screen.print(f"[green]exact[/]: {half:,} granted, {half:,} refused, nothing left and nothing overdrawn")
        return 0
    screen.print(f"[red]wrong[/]: expected {half:,} x 200, {half:,} x 409 and a balance of 0")
    return 1


if __name__ == "__main__":
    sys.exit(main())
