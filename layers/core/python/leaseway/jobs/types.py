"""Job types: what a type declares, and the catalogue that finds every one of them.

A type is one module of the executors package (setting `EXECUTORS_PACKAGE`) that sets `TYPE`. The catalogue imports
that package by name, so the function that validates payloads and the one that runs them need not know each other.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, Protocol

import msgspec

from leaseway.canonical import with_whole_numbers
from leaseway.errors import InvalidInputError, LeasewayError
from leaseway.logs import log
from leaseway.settings import require_setting, settings
from leaseway.validation import refusal

JsonObject = dict[str, Any]

LONGEST_EXTERNAL_TTL_MS = 11 * 3_600_000
"""SQS hides a message for 12 hours at most."""

SHORTEST_LEASE_SECONDS = 5
LONGEST_LEASE_SECONDS = 3_600


class JobError(Exception):
    """An executor's own failure; the text becomes the job's `error_message`."""


class PermanentJobError(JobError):
    """A failure that another attempt cannot mend: the job becomes FAILED at once, with attempts left."""


class UnknownJobTypeError(InvalidInputError):
    """There is no such job type."""

    code = "UNKNOWN_JOB_TYPE"


class JobContext(Protocol):
    """What an executor may know about its run."""

    job_id: str
    owner: str
    attempt: int
    deadline: int
    """Milliseconds since the epoch; a result after it is not stored."""

    @property
    def cancelled(self) -> bool:
        """True once the result is no longer wanted: deadline passed, lease lost or job cancelled."""

    def remaining_seconds(self) -> float:
        """Time left until the deadline, never negative. Bound every blocking call with it."""

    def wait(self, seconds: float) -> bool:
        """Wait that long, or until cancelled; returns whether it was cancelled."""

    def progress(self, fraction: float, note: str | None = None) -> None:
        """Report how far the work is, from 0 to 1. Costs nothing by itself: the latest is written once a second."""

    def store(self, name: str, content: bytes, content_type: str) -> str:
        """Keep an object of the job, such as `image.webp`; returns its key. It goes when the job goes. One PUT.

        Each claim has names of its own: one that lost its lease may still be writing, and must not replace what the
        job's result describes.

        Raises:
            UnavailableError: the bucket did not take it.
        """


class RetryDelay(msgspec.Struct, frozen=True):
    """The wait before a retry: `first_ms`, then twice as long each time, up to `longest_ms`. Equal values fix it."""

    first_ms: int
    longest_ms: int


class JobType(msgspec.Struct, frozen=True):
    """One kind of job: its name, the schema of its payload and the code that runs it.

    What a type does not declare is the deployment's default.
    """

    name: str
    payload: type[msgspec.Struct]
    run: Callable[[Any, JobContext], JsonObject] | None
    """None where only workers that know what the payload means can run it: those that claim over HTTP."""
    summary: str
    check: Callable[[Any, str], None] | None = None
    """Checks at creation that a schema cannot say; called with the payload and the owner, raises InvalidInputError.

    Whatever else it raises refuses the payload too, and is logged: it is code about one payload and must stop no other.
    """
    runs_on: Literal["lambda", "external"] = "lambda"
    """Who takes its jobs: `external` ones wait in a queue that no Lambda function reads."""
    limit: int | None = None
    """Jobs of this type that run at a time, over all workers; its queue's mapping holds it. At least 2."""
    ttl_ms: int | None = None
    """Time to live of an attempt at a job that names none."""
    max_attempts: int | None = None
    """Attempts at a job that names no limit."""
    retry_delay: RetryDelay | None = None
    """The wait before a retry after an error."""
    lease_seconds: int | None = None
    """The lease of its workers: how long one is silent before its job goes to another. From 5 to 3,600."""
    least_ms: Callable[[Any], int] | None = None
    """Returns how long the work of a payload takes at least. A job that must live no longer is refused at creation."""

    def __post_init__(self) -> None:
        """Raise ValueError if the lease is out of bounds."""
        lease = self.lease_seconds
        if lease is not None and not SHORTEST_LEASE_SECONDS <= lease <= LONGEST_LEASE_SECONDS:
            bounds = f"from {SHORTEST_LEASE_SECONDS} to {LONGEST_LEASE_SECONDS}"
            raise ValueError(f"{self.name}: lease_seconds must be {bounds}, not {lease}")

    @property
    def type_lease_ms(self) -> int | None:
        """The lease that it declares, in milliseconds."""
        return None if self.lease_seconds is None else self.lease_seconds * 1000

    @property
    def longest_ttl_ms(self) -> int:
        """The longest time to live that a worker of this type can grant."""
        return LONGEST_EXTERNAL_TTL_MS if self.runs_on == "external" else settings().max_ttl_ms

    @property
    def default_ttl_ms(self) -> int:
        """Time to live of an attempt at a job that names none."""
        return min(self.ttl_ms or settings().default_ttl_ms, self.longest_ttl_ms)

    @property
    def default_max_attempts(self) -> int:
        """Attempts at a job that names no limit."""
        return self.max_attempts or settings().default_max_attempts

    @property
    def own_queue(self) -> str | None:
        """The name of the queue that this type has for itself; None where its jobs share queues with others."""
        return self.name if self.runs_on == "external" or self.limit is not None else None

    def parse(self, payload: JsonObject) -> Any:
        """The payload as the type's own struct.

        Raises:
            InvalidInputError: it does not fit; names the field.
        """
        try:
            return msgspec.convert(with_whole_numbers(payload), self.payload)
        except msgspec.ValidationError as problem:
            raise refusal(problem, within="payload") from problem
        except Exception as problem:
            raise self._unreadable(problem) from problem

    def require_valid(self, payload: JsonObject, owner: str, ttl_ms: int) -> None:
        """Raise InvalidInputError, which names the field, if no job of this type can have the payload and `ttl_ms`.

        Raises:
            InvalidInputError: the payload does not fit the schema, the type's own check refuses it, or its work takes
                longer than the time to live.
        """
        parsed = self.parse(payload)
        try:
            if self.check is not None:
                self.check(parsed, owner)
            least_ms = self.least_ms(parsed) if self.least_ms is not None else 0
        except LeasewayError:
            raise
        except Exception as problem:
            raise self._unreadable(problem) from problem
        if ttl_ms <= least_ms:
            why = f"must be above {least_ms}: the payload's work takes as long, and would be cancelled"
            raise InvalidInputError(why, field="ttl_ms")

    def _unreadable(self, problem: Exception) -> InvalidInputError:
        log.warning("a payload's check broke", exc_info=problem, extra={"action": "check", "type": self.name})
        why = type(problem).__name__
        return InvalidInputError(f"cannot be read as the payload of {self.name} ({why})", field="payload")


@lru_cache(maxsize=4)
def _discover(package_name: str) -> Mapping[str, JobType]:
    package = importlib.import_module(package_name)
    modules = [
        importlib.import_module(f"{package_name}.{found.name}") for found in pkgutil.iter_modules(package.__path__)
    ]
    types: dict[str, JobType] = {}
    for declared in (module.TYPE for module in modules if hasattr(module, "TYPE")):
        if declared.name in types:
            raise ValueError(f"two executors declare the type {declared.name}")
        types[declared.name] = declared
    return MappingProxyType(dict(sorted(types.items())))


def catalogue() -> Mapping[str, JobType]:
    """Every job type by name. Imports the executors package at the first call."""
    return _discover(require_setting("executors_package"))


def job_type(name: str) -> JobType:
    """The type of that name.

    Raises:
        UnknownJobTypeError: no executor has it; lists those there are.
    """
    try:
        return catalogue()[name]
    except KeyError:
        known = ", ".join(catalogue())
        raise UnknownJobTypeError(f"unknown job type {name!r}; there are {known}", field="type") from None
