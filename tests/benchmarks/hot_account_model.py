"""A model of many transfers through one account under DynamoDB's rules for transactions, and of what clients do.

DynamoDB holds an item from a transaction's prepare until its commit. Another transaction that comes in between is
cancelled (TransactionConflict), and one whose condition is false is cancelled with the item. The model keeps the time
of one hot item; each request's other account is its own. Times are virtual, so a run is exact and takes no time.

    by version   read the versions, then change both accounts IF they still have them; conflicts and refusals are
                 repeated after a pause that doubles up to 0.4 s: the policy before movements
    by addition  ADD under `balance >= amount`, no version; conflicts are repeated after `CONFLICT_BACKOFF`

`make stress-transfers STRESS=--model` prints both side by side.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from leaseway.accounts.movements import CONFLICT_BACKOFF
from leaseway.dynamodb.patience import PATIENCE_SECONDS
from leaseway.dynamodb.retry import Backoff

_VERSION_BACKOFF = Backoff(first=0.02, longest=0.4)
_READ_SECONDS = (0.002, 0.005)
_CANCELLED_SECONDS = (0.003, 0.006)
"""From sending a transaction until the answer that it is cancelled."""


@dataclass(frozen=True)
class Load:
    """Transfers that arrive at random, so many a second, and how long a transaction holds the hot item."""

    rate: float
    held_seconds: tuple[float, float] = (0.0025, 0.006)
    """Half of a transaction of 5 to 12 ms: the other half is the way to the coordinator, its log, and the way back."""
    seconds: float = 60.0
    seed: int = 7

    @property
    def utilisation(self) -> float:
        """The share of time for which the item is held if every transfer is made; 1 is what no policy can reach."""
        return self.rate * sum(self.held_seconds) / 2


@dataclass
class Result:
    """What became of the transfers of one run."""

    made: int = 0
    unavailable: int = 0
    transactions: int = 0
    waits: list[float] = field(default_factory=list)
    """Seconds from arrival to the answer, of the transfers that were made."""

    @property
    def unavailable_share(self) -> float:
        """The share of transfers that were answered 503."""
        return self.unavailable / (self.made + self.unavailable)

    @property
    def transactions_per_success(self) -> float:
        """Transactions sent, and billed, for each transfer that was made."""
        return self.transactions / self.made

    def wait(self, share: float) -> float:
        """The wait, in seconds, that this share of the transfers that were made did not exceed."""
        return sorted(self.waits)[int(share * (len(self.waits) - 1))]


class _Model:
    """The hot item, and the events to come in the order of their times."""

    def __init__(self, load: Load, backoff: Backoff, *, by_version: bool, patience: float) -> None:
        self._load = load
        self._backoff = backoff
        self._by_version = by_version
        self._patience = patience
        self._random = random.Random(load.seed)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._numbers = itertools.count()
        self._held_until = 0.0
        self._version = 0
        self.result = Result()

    def run(self) -> Result:
        now = 0.0
        while (now := now + self._random.expovariate(self._load.rate)) < self._load.seconds:
            self._at(now, self._arrive)
        while self._events:
            moment, _, event = heapq.heappop(self._events)
            event(moment)
        return self.result

    def _at(self, moment: float, event: Callable[[float], None]) -> None:
        # The number keeps events of one moment in order, and callables from being compared.
        heapq.heappush(self._events, (moment, next(self._numbers), event))

    def _arrive(self, now: float) -> None:
        request = _Request(now)
        if not self._by_version:
            self._send(now, request)
            return
        read_at = now + self._random.uniform(*_READ_SECONDS)

        def read(moment: float) -> None:
            request.version = self._version
            self._send(moment + self._random.uniform(*_READ_SECONDS), request)  # the other account's read

        self._at(read_at, read)

    def _send(self, moment: float, request: "_Request") -> None:
        self._at(moment, lambda now: self._prepare(now, request))

    def _prepare(self, now: float, request: "_Request") -> None:
        self.result.transactions += 1
        if now >= self._held_until and (not self._by_version or request.version == self._version):
            self._held_until = now + self._random.uniform(*self._load.held_seconds)
            self._version += 1
            self.result.made += 1
            self.result.waits.append(self._held_until - request.arrived)
            return
        if now >= self._held_until:
            request.version = self._version  # the cancellation returns the item
        answered = now + self._random.uniform(*_CANCELLED_SECONDS)
        if answered - request.arrived >= self._patience:
            self.result.unavailable += 1
            return
        limit = min(self._backoff.longest, self._backoff.first * 2**request.pauses)
        request.pauses += 1
        self._send(answered + self._random.uniform(0, limit), request)


@dataclass
class _Request:
    arrived: float
    pauses: int = 0
    version: int = -1


def transfer_by_addition(load: Load, backoff: Backoff = CONFLICT_BACKOFF, patience: float = PATIENCE_SECONDS) -> Result:
    """Run the load under the policy of `leaseway.accounts.movements`."""
    return _Model(load, backoff, by_version=False, patience=patience).run()


def transfer_by_version(load: Load) -> Result:
    """Run the load under the policy before: both versions are read, and compared in the transaction."""
    return _Model(load, _VERSION_BACKOFF, by_version=True, patience=PATIENCE_SECONDS).run()


def format_row(name: str, load: Load, result: Result) -> str:
    """Format one result as a line."""
    unavailable = result.unavailable_share
    return (
        f"{load.rate:>5.0f}/s  {name:<12} made {1 - unavailable:>7.2%}  503 {unavailable:>7.2%}"
        f"  transactions a success {result.transactions_per_success:>5.1f}"
        f"  wait p50 {result.wait(0.5) * 1000:>5.0f} ms, p99 {result.wait(0.99) * 1000:>5.0f} ms"
    )


def compare(load: Load) -> list[str]:
    """Run the load under both policies; returns a line for each."""
    return [
        format_row("by version", load, transfer_by_version(load)),
        format_row("by addition", load, transfer_by_addition(load)),
    ]


def main() -> None:
    """Print both policies side by side at several rates."""
    for held in ((0.0025, 0.006), (0.005, 0.012)):
        limit = 2 / sum(held)
        print(f"the item is held for {held[0] * 1000:g} to {held[1] * 1000:g} ms: at most {limit:.0f} a second")
        for rate in (20, 40, 60, 100, 120, 200, 220):
            print(*compare(Load(rate, held)), sep="\n")


if __name__ == "__main__":
    main()
