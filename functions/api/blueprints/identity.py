"""Identity: register, get a token, read the signed-in user and change the password."""

from typing import Annotated

import msgspec
from chalice.app import Blueprint, Response
from msgspec import Meta

from api import oauth, security
from api.routes import Call, Operation, operation
from api.user_views import NewPassword, Username, UserView, user_view
from leaseway.errors import NotYoursError, OutcomeUnknownError, UnavailableError
from leaseway.identity import (
    BadCredentialsError,
    CodeRefusedError,
    InvitationRefusedError,
    InvitationRequiredError,
    LockedOutError,
    RegistrationClosedError,
    UserDisabledError,
    UsernameTakenError,
    UserNotFoundError,
    WeakPasswordError,
    change_password,
    get_user,
    issue,
    register,
    set_password_by_code,
    sign_in,
)
from leaseway.identity.codes import LONGEST as CODE_LIMIT

identity = Blueprint(__name__)

_TAG = "Identity"


class Registration(msgspec.Struct, forbid_unknown_fields=True):
    """The name and password of a new user."""

    username: Username
    password: NewPassword
    invitation: (
        Annotated[
            str,
            Meta(description="A code from an Admin; some deployments require one", extra_json_schema={"minLength": 1}),
        ]
        | None
    ) = None


class PasswordReset(msgspec.Struct, forbid_unknown_fields=True):
    """A one-time code, and the password that it sets."""

    username: Username
    code: Annotated[str, Meta(max_length=CODE_LIMIT, extra_json_schema={"format": "password"})]
    new_password: NewPassword


class PasswordChange(msgspec.Struct, forbid_unknown_fields=True):
    """The current password and the new one."""

    current_password: Annotated[str, Meta(extra_json_schema={"format": "password"})]
    new_password: NewPassword


@operation(
    identity,
    Operation(
        method="POST",
        path="/auth/register",
        tag=_TAG,
        summary="Register a user",
        status=201,
        body=Registration,
        answer=UserView,
        errors=(
            RegistrationClosedError,
            InvitationRequiredError,
            InvitationRefusedError,
            UsernameTakenError,
            WeakPasswordError,
            OutcomeUnknownError,
            UnavailableError,
        ),
        example={"username": "alice", "password": "orbit-lantern-mosaic"},
    ),
)
def register_user(call: Call[Registration, None]) -> UserView:
    """The user gets the role User; only an Admin can give another one. An invitation is valid for one registration.

    The deployment's parameter `Registration` decides who may register: anyone, holders of an invitation, or no one.
    """
    try:
        user = register(call.body.username, call.body.password, invitation=call.body.invitation)
    except NotYoursError as refusal:
        security.record(call.request, "register", refusal.code, who=call.body.username)
        raise
    security.record(call.request, "register", "granted", who=user.username)
    return user_view(user)


@operation(
    identity,
    Operation(
        method="POST",
        path="/auth/password",
        tag=_TAG,
        summary="Set a password with a one-time code",
        body=PasswordReset,
        answer=UserView,
        errors=(CodeRefusedError, WeakPasswordError, OutcomeUnknownError, UnavailableError),
        example={"username": "alice", "code": "kX3b0mJ1...", "new_password": "quarry-violin-sunday"},
    ),
)
def set_password(call: Call[PasswordReset, None]) -> UserView:
    """An Admin hands out the code. It works once, ends the user's tokens, and ends a lock-out of the name."""
    try:
        user = set_password_by_code(call.body.username, call.body.code, call.body.new_password)
    except CodeRefusedError as refusal:
        security.record(call.request, "password_reset", refusal.code, who=call.body.username)
        raise
    security.record(call.request, "password_reset", "granted", who=user.username)
    return user_view(user)


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
    """OAuth 2.0, resource owner password grant (RFC 6749, 4.3). After several failures the name is locked, for twice as
    long each time. Unknown names are treated in the same way.
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
        method="GET",
        path="/api/v1/me",
        tag=_TAG,
        summary="Read the signed-in user",
        answer=UserView,
        errors=(UserNotFoundError,),
    ),
)
def show_me(call: Call[None, None]) -> UserView:
    """The user of the token."""
    return user_view(get_user(call.caller.subject))


@operation(
    identity,
    Operation(
        method="POST",
        path="/api/v1/me/password",
        tag=_TAG,
        summary="Change your password",
        body=PasswordChange,
        answer=UserView,
        errors=(BadCredentialsError, UserDisabledError, WeakPasswordError, LockedOutError),
    ),
)
def change_my_password(call: Call[PasswordChange, None]) -> UserView:
    """Revokes all earlier tokens of the user within half a minute, including the one of this request."""
    try:
        user = change_password(call.caller.subject, call.body.current_password, call.body.new_password)
    except (BadCredentialsError, LockedOutError) as refusal:
        security.record(call.request, "password_change", refusal.code)
        raise
    security.record(call.request, "password_change", "granted")
    return user_view(user)
