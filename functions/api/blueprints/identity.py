"""Identity: register, get a token, see and change who one is."""

from typing import Annotated

import msgspec
from chalice.app import Blueprint, Response
from msgspec import Meta

from api import oauth, security
from api.routes import Call, Operation, operation
from api.views import Time, rfc3339
from leaseway.errors import UnavailableError
from leaseway.identity import (
    BadCredentialsError,
    LockedOutError,
    OwnRoleError,
    Role,
    User,
    UsernameTakenError,
    UserNotFoundError,
    WeakPasswordError,
    change_password,
    change_role,
    get_user,
    issue,
    register,
    sign_in,
)
from leaseway.validation import USER_ID_PATTERN

identity = Blueprint(__name__)

_TAG = "Identity"

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
        description="8 to 128 characters, and none of the first million guesses",
        extra_json_schema={"format": "password", "minLength": 8, "maxLength": 128},
    ),
]


class NewUser(msgspec.Struct, forbid_unknown_fields=True):
    """Who wants to be a user."""

    username: Username
    password: NewPassword


class PasswordChange(msgspec.Struct, forbid_unknown_fields=True):
    """The present password, and the new one."""

    current_password: Annotated[str, Meta(extra_json_schema={"format": "password"})]
    new_password: NewPassword


class RoleChange(msgspec.Struct, forbid_unknown_fields=True):
    """What a user shall be."""

    role: Role


class UserView(msgspec.Struct):
    """A user."""

    username: str
    role: Role
    created_at: Time
    updated_at: Time


@operation(
    identity,
    Operation(
        method="POST",
        path="/auth/register",
        tag=_TAG,
        summary="Become a user",
        status=201,
        body=NewUser,
        answer=UserView,
        errors=(UsernameTakenError, WeakPasswordError),
        example={"username": "alice", "password": "orbit-lantern-mosaic"},
    ),
)
def register_user(call: Call[NewUser, None]) -> UserView:
    """The role is User; only an Admin gives another."""
    user = register(call.body.username, call.body.password)
    security.record(call.request, "register", "granted", who=user.username)
    return _user_view(user)


@operation(
    identity,
    Operation(
        method="POST",
        path="/connect/token",
        tag=_TAG,
        summary="Get a token",
        form=oauth.TokenRequest,
        answer=oauth.TokenAnswer,
        form_error=oauth.TokenErrorAnswer,
        errors=(UnavailableError,),
        example={"grant_type": "password", "username": "alice", "password": "orbit-lantern-mosaic"},
    ),
)
def give_token(call: Call[None, None]) -> Response:
    """OAuth 2.0, resource owner password grant (RFC 6749, 4.3). After a few failures a name is locked, for twice as
    long each time; an unknown name is treated the same.
    """
    try:
        return _token(call, oauth.token_request(call.request))
    except oauth.OAuthError as refusal:
        return _oauth_refusal(refusal)


def _token(call: Call[None, None], grant: oauth.TokenRequest) -> Response:
    try:
        user = sign_in(grant.username, grant.password)
    except (BadCredentialsError, LockedOutError) as refusal:
        security.record(call.request, "login", refusal.code, who=grant.username)
        raise oauth.OAuthError("invalid_grant", refusal.detail, retry_after=refusal.facts.get("retry_after")) from None
    token = issue(user)
    security.record(call.request, "login", "granted", who=user.username, role=user.role.value)
    return _oauth_response(200, oauth.TokenAnswer(token.text, "Bearer", token.seconds, grant.scope))


def _oauth_refusal(refusal: oauth.OAuthError) -> Response:
    response = _oauth_response(400, {"error": refusal.error, "error_description": refusal.detail})
    if refusal.retry_after is not None:
        response.headers["retry-after"] = str(refusal.retry_after)
    return response


def _oauth_response(status: int, body: object) -> Response:
    headers: dict[str, str | list[str]] = {"content-type": "application/json", "pragma": "no-cache"}
    return Response(msgspec.json.encode(body).decode(), headers, status)


@operation(
    identity,
    Operation(
        method="GET", path="/api/v1/me", tag=_TAG, summary="Who am I?", answer=UserView, errors=(UserNotFoundError,)
    ),
)
def show_me(call: Call[None, None]) -> UserView:
    """The user whom the token names."""
    return _user_view(get_user(call.caller.subject))


@operation(
    identity,
    Operation(
        method="POST",
        path="/api/v1/me/password",
        tag=_TAG,
        summary="Change the own password",
        body=PasswordChange,
        answer=UserView,
        errors=(BadCredentialsError, WeakPasswordError, LockedOutError),
    ),
)
def change_my_password(call: Call[PasswordChange, None]) -> UserView:
    """Ends every token of before, this one too, within half a minute."""
    try:
        user = change_password(call.caller.subject, call.body.current_password, call.body.new_password)
    except (BadCredentialsError, LockedOutError) as refusal:
        security.record(call.request, "password_change", refusal.code)
        raise
    security.record(call.request, "password_change", "granted")
    return _user_view(user)


@operation(
    identity,
    Operation(
        method="PUT",
        path="/api/v1/users/{username}/role",
        tag=_TAG,
        summary="Give a user a role",
        body=RoleChange,
        answer=UserView,
        errors=(UserNotFoundError, OwnRoleError),
        example={"role": "Admin"},
    ),
)
def set_role(call: Call[RoleChange, None]) -> UserView:
    """A changed role revokes the user's earlier tokens within 30 seconds. A caller cannot change their own role."""
    user = change_role(call.path["username"], call.body.role, actor=call.caller.subject)
    security.record(call.request, "role_change", "granted", target=user.username, role=user.role.value)
    return _user_view(user)


def _user_view(user: User) -> UserView:
    return UserView(user.username, user.role, rfc3339(user.created_at), rfc3339(user.updated_at))
