"""Who may call what, and which blueprint answers: one row a route. The checks, the OpenAPI document, the blueprints'
loader and the tests all read this table.

`open` needs no token. `own` needs one, and shows a User what is his and an Admin everything. `Worker` is for programs
that run jobs outside Lambda or read the metrics, and for Admins; `Admin` is for Admins.
"""

from collections.abc import Mapping
from enum import StrEnum


class Access(StrEnum):
    """What a route asks of its caller."""

    OPEN = "open"
    OWN = "own"
    WORKER = "Worker"
    ADMIN = "Admin"


Route = tuple[str, str]
"""A method and a path."""

ROUTES: Mapping[str, Mapping[Route, Access]] = {
    "balances": {
        ("POST", "/api/users"): Access.ADMIN,
        ("POST", "/api/users/update-balance"): Access.ADMIN,
        ("GET", "/api/users/{userId}/balance"): Access.OWN,
    },
    "ledger": {
        ("GET", "/api/users/{userId}/ledger"): Access.OWN,
        ("POST", "/api/v1/transfers"): Access.OWN,
        ("POST", "/api/v1/ledger/{entry}/reversal"): Access.ADMIN,
    },
    "jobs": {
        ("POST", "/api/v1/jobs"): Access.OWN,
        ("POST", "/api/v1/jobs/batch"): Access.OWN,
        ("GET", "/api/v1/jobs"): Access.OWN,
        ("GET", "/api/v1/jobs/{id}"): Access.OWN,
        ("GET", "/api/v1/jobs/{id}/result"): Access.OWN,
    },
    "control": {
        ("POST", "/api/v1/jobs/cancel"): Access.OWN,
        ("POST", "/api/v1/jobs/retry"): Access.OWN,
        ("DELETE", "/api/v1/jobs/{id}"): Access.OWN,
        ("POST", "/api/v1/jobs/{id}/cancel"): Access.OWN,
        ("POST", "/api/v1/jobs/{id}/retry"): Access.OWN,
    },
    "dead_letters": {
        ("GET", "/api/v1/dead-letters"): Access.ADMIN,
        ("POST", "/api/v1/dead-letters/replay"): Access.ADMIN,
        ("POST", "/api/v1/dead-letters/{id}/replay"): Access.ADMIN,
    },
    "workers": {
        ("POST", "/api/v1/jobs/claim"): Access.WORKER,
        ("POST", "/api/v1/jobs/{id}/claim"): Access.OWN,
        ("POST", "/api/v1/jobs/{id}/heartbeat"): Access.OWN,
        ("POST", "/api/v1/jobs/{id}/complete"): Access.OWN,
        ("POST", "/api/v1/jobs/{id}/fail"): Access.OWN,
    },
    "overview": {
        ("GET", "/api/v1/jobs/{id}/link"): Access.OWN,
        ("GET", "/api/v1/job-types"): Access.OWN,
        ("GET", "/api/v1/overview"): Access.OWN,
    },
    "tasks": {
        ("GET", "/api/tasks"): Access.OWN,
        ("POST", "/api/tasks"): Access.ADMIN,
        ("GET", "/api/tasks/history"): Access.ADMIN,
        ("GET", "/api/tasks/stats/summary"): Access.ADMIN,
        ("GET", "/api/tasks/{id}"): Access.OWN,
        ("PATCH", "/api/tasks/{id}"): Access.ADMIN,
        ("DELETE", "/api/tasks/{id}"): Access.ADMIN,
        ("GET", "/api/tasks/{id}/history"): Access.ADMIN,
        ("POST", "/api/tasks/{id}/run"): Access.ADMIN,
    },
    "uploads": {
        ("POST", "/api/v1/uploads"): Access.OWN,
    },
    "identity": {
        ("POST", "/auth/register"): Access.OPEN,
        ("POST", "/auth/password"): Access.OPEN,
        ("POST", "/connect/token"): Access.OPEN,
        ("GET", "/api/v1/me"): Access.OWN,
        ("POST", "/api/v1/me/password"): Access.OWN,
    },
    "users": {
        ("GET", "/api/v1/users"): Access.ADMIN,
        ("POST", "/api/v1/users"): Access.ADMIN,
        ("GET", "/api/v1/users/{username}"): Access.ADMIN,
        ("POST", "/api/v1/users/{username}/disable"): Access.ADMIN,
        ("POST", "/api/v1/users/{username}/enable"): Access.ADMIN,
        ("POST", "/api/v1/users/{username}/logout"): Access.ADMIN,
        ("POST", "/api/v1/users/{username}/reset"): Access.ADMIN,
        ("POST", "/api/v1/users/{username}/unlock"): Access.ADMIN,
        ("POST", "/api/v1/invitations"): Access.ADMIN,
        ("PUT", "/api/v1/users/{username}/role"): Access.ADMIN,
    },
    "operations": {
        ("GET", "/health"): Access.OPEN,
        ("GET", "/metrics"): Access.WORKER,
        ("GET", "/docs"): Access.OPEN,
        ("GET", "/docs/{asset}"): Access.OPEN,
        ("GET", "/openapi.json"): Access.OPEN,
        ("GET", "/console"): Access.OPEN,
        ("GET", "/console/{version}/{asset}"): Access.OPEN,
    },
}
"""What each route requires, by the blueprint that declares it."""

ACCESS: Mapping[Route, Access] = {route: asks for rows in ROUTES.values() for route, asks in rows.items()}


class AccessUndeclaredError(Exception):
    """A route has no row in the table of access, so who may call it is undeclared."""


def access_to(method: str, path: str) -> Access:
    """Return what the route requires of its caller.

    Raises:
        AccessUndeclaredError: the table has no row for it; its blueprint cannot even be imported.
    """
    try:
        return ACCESS[method, path]
    except KeyError:
        raise AccessUndeclaredError(f"{method} {path} has no row in api.access.ROUTES") from None
