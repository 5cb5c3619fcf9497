"""Work spread evenly over a time, as a polite patrol does it: nobody is asked twenty things in one second."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from leaseway import clock
from leaseway.jobs.types import JobContext, JobError

Duration = Annotated[
    int, Meta(ge=0, le=840_000, description="Milliseconds over which the work is spread; the TTL must be above it")
]

TWO_MINUTES_MS = 120_000


def paced(context: JobContext, duration_ms: int, steps: int, step_name: str) -> Iterator[int]:
    """Numbers of `steps` steps, each handed out when its share of the time begins; ends when the time is over.

    Tells the progress after each, as "frame 3 of 12".

    Raises:
        JobError: the job was cancelled or ran out of time meanwhile.
    """
    began = clock.now_ms()
    for step in range(steps):
        yield step
        context.progress((step + 1) / steps, f"{step_name} {step + 1} of {steps}")
        ends = began + duration_ms * (step + 1) / steps
        if context.wait(max(0.0, ends - clock.now_ms()) / 1000):
            raise JobError(f"stopped after {step + 1} of {steps} steps")
