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
    disabled: Annotated[bool, Meta(description="Whether it can neither sign in nor use a token")]


class NewUserView(UserView):
    """A new user, with a code for the first password if the request had none."""

    code: Annotated[str | None, Meta(description="For `POST /auth/password`, until it expires; null with a password")]
    code_expires_at: Time | None


class UserPageView(msgspec.Struct):
    """A page of users."""

    content: list[UserView]
    cursor: Annotated[str | None, Meta(description="Leads to the next page; null at the end")]


class ResetView(msgspec.Struct):
    """A one-time code for a new password. Only this answer has the code: what is stored is its hash."""

    username: str
    code: Annotated[str, Meta(description="For `POST /auth/password`, until it expires")]
    expires_at: Time


class InvitationView(msgspec.Struct):
    """An invitation. Only this answer contains the code; only its hash is stored."""

    invitation: Annotated[str, Meta(description="A code for one registration, valid until it expires")]
    username: Annotated[str | None, Meta(description="The only name for which it is valid; null for any name")]
    expires_at: Time


def user_view(user: User) -> UserView:
    """Show a user; the password's hash stays in the domain."""
    return UserView(user.username, user.role, rfc3339(user.created_at), rfc3339(user.updated_at), user.disabled)


def new_user_view(user: User, code: OneTimeCode | None) -> NewUserView:
    """Show a new user, with the code for the first password if it has none."""
    created, updated = rfc3339(user.created_at), rfc3339(user.updated_at)
    expires_at = rfc3339(code.expires_at * 1000) if code else None
    return NewUserView(
        user.username, user.role, created, updated, user.disabled, code.text if code else None, expires_at
    )


def reset_view(username: str, code: OneTimeCode) -> ResetView:
    """Show a code for a new password."""
    return ResetView(username, code.text, rfc3339(code.expires_at * 1000))


def invitation_view(code: OneTimeCode, username: str | None) -> InvitationView:
    """Show a new invitation, its code included."""
    return InvitationView(code.text, username, rfc3339(code.expires_at * 1000))
