"""The security log: who did or tried what, from where, and what came of it. Never a password, a token or a payload."""

import re
from typing import Any

from chalice.app import Request

from api.callers import address_of, subject_of
from leaseway.logs import log
from leaseway.validation import USER_ID_PATTERN

_username = re.compile(USER_ID_PATTERN)


def record(request: Request, event: str, outcome: str, *, who: str | None = None, **facts: Any) -> None:
    """One line. `who` is the caller unless it is given; what cannot be a name is not repeated."""
    name = subject_of(request) if who is None else who
    log.info(
        "security",
        extra={
            "action": "security",
            "event": event,
            "outcome": outcome,
            "who": name if _username.fullmatch(name) else "(no valid name)" if name else "(nobody)",
            "address": address_of(request),
            "request_id": request.context["requestId"],
            **facts,
        },
    )
