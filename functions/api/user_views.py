"""What identity's routes read and answer: names, passwords, users and one-time codes."""

from typing import Annotated

import msgspec
from msgspec import Meta

from api.views import Time, rfc3339
from leaseway.identity import OneTimeCode, Role, User
from leaseway.validation import USER_ID_PATTERN

Username = Annotated[
    str,
    Meta(
        description="Letters, digits and `. _ @ : -`, up to 128. A user owns the account with this user id.",
        extra_json_schema={"pattern": USER_ID_PATTERN},
        examples=["alice"],
    ),
]
NewPassword = Annotated[
    str,
    Meta(
        description="8 to 128 characters, and not among the first million guesses",
        extra_json_schema={"format": "password", "minLength": 8, "maxLength": 128},
    ),
]


class UserView(msgspec.Struct):
    """A user."""

    username: str
    role: Role
    created_at: Time
    updated_at: Time


class InvitationView(msgspec.Struct):
    """An invitation. Only this answer contains the code; only its hash is stored."""

    invitation: Annotated[str, Meta(description="A code for one registration, valid until it expires")]
    username: Annotated[str | None, Meta(description="The only name for which it is valid; null for any name")]
    expires_at: Time


def user_view(user: User) -> UserView:
    """Show a user; the password's hash stays in the domain."""
    return UserView(user.username, user.role, rfc3339(user.created_at), rfc3339(user.updated_at))


def invitation_view(code: OneTimeCode, username: str | None) -> InvitationView:
    """Show a new invitation, its code included."""
    return InvitationView(code.text, username, rfc3339(code.expires_at * 1000))
