"""Who may call what: one row a route. The checks, the OpenAPI document and the tests all read this table.

`open` needs no token. `own` needs one, and shows a User what is his and an Admin everything. `Worker` is for programs
that run jobs outside Lambda, and for Admins; `Admin` is for Admins.
"""

from collections.abc import Mapping
from enum import StrEnum


class Access(StrEnum):
    """What a route asks of its caller."""

    OPEN = "open"
    OWN = "own"
    WORKER = "Worker"
    ADMIN = "Admin"


ACCESS: Mapping[tuple[str, str], Access] = {
    ("GET", "/health"): Access.OPEN,
    ("GET", "/docs"): Access.OPEN,
    ("GET", "/docs/{asset}"): Access.OPEN,
    ("GET", "/openapi.json"): Access.OPEN,
    ("GET", "/console"): Access.OPEN,
    ("GET", "/console/{version}/{asset}"): Access.OPEN,
    ("POST", "/auth/register"): Access.OPEN,
    ("POST", "/connect/token"): Access.OPEN,
    ("GET", "/api/v1/me"): Access.OWN,
    ("POST", "/api/v1/me/password"): Access.OWN,
    ("PUT", "/api/v1/users/{username}/role"): Access.ADMIN,
    ("POST", "/api/users"): Access.ADMIN,
    ("POST", "/api/users/update-balance"): Access.ADMIN,
    ("GET", "/api/users/{userId}/balance"): Access.OWN,
    ("GET", "/api/users/{userId}/ledger"): Access.OWN,
    ("POST", "/api/v1/transfers"): Access.OWN,
    ("POST", "/api/v1/ledger/{entry}/reversal"): Access.ADMIN,
    ("POST", "/api/v1/jobs"): Access.OWN,
    ("POST", "/api/v1/jobs/batch"): Access.OWN,
    ("POST", "/api/v1/jobs/cancel"): Access.OWN,
    ("POST", "/api/v1/jobs/retry"): Access.OWN,
    ("GET", "/api/v1/jobs"): Access.OWN,
    ("GET", "/api/v1/jobs/{id}"): Access.OWN,
    ("GET", "/api/v1/jobs/{id}/result"): Access.OWN,
    ("DELETE", "/api/v1/jobs/{id}"): Access.OWN,
    ("POST", "/api/v1/jobs/{id}/cancel"): Access.OWN,
    ("POST", "/api/v1/jobs/{id}/retry"): Access.OWN,
    ("POST", "/api/v1/jobs/claim"): Access.WORKER,
    ("POST", "/api/v1/jobs/{id}/claim"): Access.OWN,
    ("POST", "/api/v1/jobs/{id}/heartbeat"): Access.OWN,
    ("POST", "/api/v1/jobs/{id}/complete"): Access.OWN,
    ("POST", "/api/v1/jobs/{id}/fail"): Access.OWN,
    ("GET", "/api/v1/jobs/{id}/link"): Access.OWN,
    ("GET", "/api/v1/job-types"): Access.OWN,
    ("GET", "/api/v1/overview"): Access.OWN,
    ("GET", "/api/v1/dead-letters"): Access.ADMIN,
    ("POST", "/api/v1/dead-letters/replay"): Access.ADMIN,
    ("POST", "/api/v1/dead-letters/{id}/replay"): Access.ADMIN,
    ("POST", "/api/v1/uploads"): Access.OWN,
    ("GET", "/api/tasks"): Access.OWN,
    ("POST", "/api/tasks"): Access.ADMIN,
    ("GET", "/api/tasks/history"): Access.ADMIN,
    ("GET", "/api/tasks/stats/summary"): Access.ADMIN,
    ("GET", "/api/tasks/{id}"): Access.OWN,
    ("PATCH", "/api/tasks/{id}"): Access.ADMIN,
    ("DELETE", "/api/tasks/{id}"): Access.ADMIN,
    ("GET", "/api/tasks/{id}/history"): Access.ADMIN,
    ("POST", "/api/tasks/{id}/run"): Access.ADMIN,
}


class AccessUndeclaredError(Exception):
    """A route has no row in the table of access, so nobody has said who may call it."""


def access_to(method: str, path: str) -> Access:
    """What the route asks of its caller.

    Raises:
        AccessUndeclaredError: the table has no row for it; the function does not even start.
    """
    try:
        return ACCESS[method, path]
    except KeyError:
        raise AccessUndeclaredError(f"{method} {path} has no row in api.access.ACCESS") from None
