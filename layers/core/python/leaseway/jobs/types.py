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
from leaseway.settings import needed
from leaseway.validation import refusal

JsonObject = dict[str, Any]


class JobError(Exception):
    """An executor's own failure; the text becomes the job's `error_message`."""


class PermanentJobError(JobError):
    """A failure that another attempt cannot mend: the job becomes FAILED at once, with attempts left."""


class UnknownJobTypeError(InvalidInputError):
    """No executor has this type."""

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
        """Tell how far the work is, from 0 to 1. Costs nothing by itself: the latest is written once a second."""

    def store(self, name: str, content: bytes, content_type: str) -> str:
        """Keep an object of the job, such as `image.webp`; returns its key. It goes when the job goes. One PUT.

        Each claim has names of its own: one that lost its lease may still be writing, and must not replace what the
        job's result describes.

        Raises:
            UnavailableError: the bucket did not take it.
        """


class JobType(msgspec.Struct, frozen=True):
    """One kind of job: its name, the schema of its payload and the code that runs it."""

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

    def require_valid(self, payload: JsonObject, owner: str) -> None:
        """Raise InvalidInputError, which names the field, if a job of this type cannot have the payload.

        Raises:
            InvalidInputError: it does not fit the schema, or the type's own check refuses it.
        """
        parsed = self.parse(payload)
        try:
            if self.check is not None:
                self.check(parsed, owner)
        except LeasewayError:
            raise
        except Exception as problem:
            raise self._unreadable(problem) from problem

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
    return _discover(needed("executors_package"))


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
