"""Work spread evenly over a time, so that no server is sent twenty requests in one second."""

from collections.abc import Iterator
from typing import Annotated, Protocol

from msgspec import Meta

from leaseway import clock
from leaseway.jobs.types import JobContext, JobError

Duration = Annotated[
    int,
    Meta(ge=0, le=840_000, description="Milliseconds over which the work is spread; the time to live must be longer"),
]

TWO_MINUTES_MS = 120_000

PACED_TTL_MS = 180_000
"""Time to live of a paced job that names none: its default duration, and a minute for the work after the last step."""


class PacedPayload(Protocol):
    """A payload whose work is spread over a time."""

    @property
    def duration_ms(self) -> int:
        """Milliseconds over which the work is spread."""


def read_duration(payload: PacedPayload) -> int:
    """How long the payload's work takes at least, in ms: the `least_ms` of a paced job type."""
    return payload.duration_ms


def paced(context: JobContext, duration_ms: int, steps: int, step_name: str) -> Iterator[int]:
    """Yield the number of each step when its share of the time begins; ends when the time is over.

    Reports the progress after each step, such as "frame 3 of 12".

    Raises:
        JobError: the job was cancelled or its time ran out between two steps.
    """
    began = clock.now_ms()
    for step in range(steps):
        yield step
        context.progress((step + 1) / steps, f"{step_name} {step + 1} of {steps}")
        ends = began + duration_ms * (step + 1) / steps
        if context.wait(max(0.0, ends - clock.now_ms()) / 1000):
            raise JobError(f"stopped after {step + 1} of {steps} steps")
