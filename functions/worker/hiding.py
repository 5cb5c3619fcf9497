"""For how long the worker hides a message, from its receipt to the end of its job. Nothing here is sent."""

from leaseway import clock
from leaseway.jobs.queue import Hiding
from leaseway.jobs.run.claim import HIDING_MARGIN_MS
from leaseway.settings import settings

_CLAIMING_SECONDS = 2
"""Time for the claim: a message is hidden for this much longer than a lease when it is received."""


def seconds_while_claimed() -> int:
    """How long a received message stays hidden: until the lease that its claim will grant has surely ended."""
    return settings().lease_seconds + HIDING_MARGIN_MS // 1000 + _CLAIMING_SECONDS


def hide_while_claimed(receipt: str) -> Hiding:
    """Hide a message that Lambda received as long as one that the worker received itself."""
    return Hiding(receipt, seconds_while_claimed())


def hide_while_waiting(receipt: str) -> Hiding:
    """Keep the message of a job that waits to be taken over hidden as long as one whose job runs."""
    return Hiding(receipt, settings().lease_seconds + HIDING_MARGIN_MS // 1000)


def hide_while_leased(receipt: str, lease_until: int) -> Hiding:
    """Keep a message hidden until the lease of its job has surely ended."""
    return hide_until(receipt, lease_until + HIDING_MARGIN_MS)


def hide_until(receipt: str, moment_ms: int) -> Hiding:
    """Keep a message hidden until a moment, rounded up to whole seconds."""
    return Hiding(receipt, clock.seconds_until(moment_ms))


def show_again(receipt: str) -> Hiding:
    """Give a message to another worker at once."""
    return Hiding(receipt, 0)
