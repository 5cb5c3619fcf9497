"""Who is calling. The one seam between the gateway's authorizer and the routes."""

from dataclasses import dataclass

from chalice.app import Request


@dataclass(frozen=True)
class Caller:
    """The subject of a request, and whether it may act for everybody."""

    subject: str
    admin: bool

    @property
    def sees_owner(self) -> str | None:
        """The owner whose jobs this caller may see; None means every owner's."""
        return None if self.admin else self.subject


_ANYBODY = Caller(subject="anonymous", admin=True)


def caller_of(request: Request) -> Caller:
    """The caller of a request. Everything is open as long as there is no identity."""
    return _ANYBODY
