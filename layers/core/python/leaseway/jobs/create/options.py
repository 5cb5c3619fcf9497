"""A request for a job: its type, its payload, and the options that a caller may set besides."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec


class Priority(StrEnum):
    """The queue in which a job waits. Each has separate workers, so a flood in one does not delay the others."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a new job; None is the deployment's default. `run_at` is in ms since the epoch."""

    tags: Sequence[str] = ()
    ttl_ms: int | None = None
    max_attempts: int | None = None
    run_at: int | None = None
    delay_seconds: int | None = None
    priority: Priority | None = None
    retention_days: int | None = None
    order_key: str | None = None
    expires_after_ms: int | None = None

    @property
    def is_delayed(self) -> bool:
        """Whether a start time is set, be it in the past."""
        return self.run_at is not None or self.delay_seconds is not None


DEFAULT_OPTIONS = Options()


class JobRequest(msgspec.Struct, frozen=True):
    """A job to create."""

    type: str
    payload: dict[str, Any]
    options: Options = DEFAULT_OPTIONS
