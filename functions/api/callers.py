"""Who is calling. The one seam between the gateway's authorizer and the routes."""

from collections.abc import Mapping

import msgspec
from chalice.app import Request

from api.access import Access
from api.problems import HttpError
from leaseway import clock
from leaseway.errors import NotYoursError
from leaseway.identity import Role, TokenExpiredError, TokenRefusedError, TokenRevokedError, check_current

EVERYBODY = "*"
VALID = "valid"

_ADMITTED: Mapping[Access, frozenset[Role]] = {
    Access.OWN: frozenset(Role),
    Access.WORKER: frozenset({Role.WORKER, Role.ADMIN}),
    Access.ADMIN: frozenset({Role.ADMIN}),
}
_REFUSALS: Mapping[str, type[TokenRefusedError]] = {
    kind.code: kind for kind in (TokenRefusedError, TokenExpiredError, TokenRevokedError)
}


class UnauthorizedError(HttpError):
    """The request needs a valid token."""

    code = "UNAUTHORIZED"
    status = 401


class Caller(msgspec.Struct, frozen=True):
    """The subject of a request, and for whom it may act."""

    subject: str
    role: Role
    generation: int | None = None
    """The token's; None if an authorizer of an earlier release judged it, whose answers last half a minute."""

    @property
    def admin(self) -> bool:
        """Whether it may act for everybody."""
        return self.role is Role.ADMIN

    @property
    def sees_owner(self) -> str | None:
        """The owner whose things this caller may see; None means every owner's."""
        return None if self.admin else self.subject

    @property
    def works_for(self) -> str | None:
        """The owner whose external jobs this caller may run; None means every owner's."""
        return self.subject if self.role is Role.USER else None

    def choose_listed_owner(self, asked_for: str | None) -> str | None:
        """The owner whose jobs a list shows: by default the caller's own; None, asked for as `*`, means everybody's.

        Raises:
            NotYoursError: only an Admin lists what is another's.
        """
        if asked_for is None or asked_for == self.subject:
            return self.subject
        if not self.admin:
            raise NotYoursError
        return None if asked_for == EVERYBODY else asked_for


NOBODY = Caller(subject="", role=Role.USER)
"""The caller of an open route, who is never asked."""


def admit(request: Request, access: Access) -> Caller:
    """The caller of a request, if the route is for him.

    Raises:
        UnauthorizedError: a token is needed and the gateway's authorizer said nothing of one.
        TokenRefusedError, TokenExpiredError, TokenRevokedError: what it said of the token.
        NotYoursError: only an Admin may call this, or only a Worker and an Admin.
    """
    if access is Access.OPEN:
        return NOBODY
    caller = _bearer(request)
    if caller.role not in _ADMITTED[access]:
        raise NotYoursError
    return caller


def require_current(caller: Caller) -> None:
    """Check an Admin's token again, past the authorizer's cache. One consistent read for an Admin, none for others.

    Raises:
        TokenRevokedError: the role was taken, the user disabled or the token ended in the last half a minute.
    """
    if caller.admin and caller.generation is not None:
        check_current(caller.subject, caller.generation)


def address_of(request: Request) -> str:
    """The network address that a request came from, as the gateway saw it."""
    return str((request.context.get("identity") or {}).get("sourceIp") or "unknown")


def subject_of(request: Request) -> str:
    """Whom the request's token names, for logs; empty where it has no valid one."""
    return str((request.context.get("authorizer") or {}).get("subject") or "")


def _bearer(request: Request) -> Caller:
    authorizer_context = request.context.get("authorizer") or {}
    if authorizer_context.get("state") != VALID:
        raise _REFUSALS.get(authorizer_context.get("state", ""), UnauthorizedError)
    # The authorizer's answer is cached: the token may have expired since.
    if int(authorizer_context["expires_at"]) * 1000 <= clock.now_ms():
        raise TokenExpiredError
    generation = authorizer_context.get("generation")
    return Caller(
        subject=authorizer_context["subject"],
        role=Role(authorizer_context["role"]),
        generation=int(generation) if generation is not None else None,
    )
