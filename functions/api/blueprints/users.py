"""Users as an Admin sees them: list, create and invite them, and change what they may do."""

from collections.abc import Callable
from typing import Annotated

import msgspec
from chalice.app import Blueprint
from msgspec import Meta

from api import security
from api.routes import Call, Operation, operation
from api.user_views import (
    InvitationView,
    NewPassword,
    NewUserView,
    ResetView,
    Username,
    UserPageView,
    UserView,
    invitation_view,
    new_user_view,
    reset_view,
    user_view,
)
from leaseway.cursors import LARGEST_PAGE, InvalidCursorError
from leaseway.errors import OutcomeUnknownError, UnavailableError
from leaseway.identity import (
    OwnRoleError,
    Role,
    User,
    UsernameTakenError,
    UserNotFoundError,
    WeakPasswordError,
    change_role,
    create_user,
    create_user_without_password,
    disable_user,
    enable_user,
    end_sessions,
    get_user,
    invite,
    page_of_users,
    reset_password,
    unlock_user,
)
from leaseway.identity.codes import make_code

users = Blueprint(__name__)

_TAG = "Users"


class NewUser(msgspec.Struct, forbid_unknown_fields=True):
    """A user to create."""

    username: Username
    password: Annotated[
        NewPassword | None, Meta(description="Left out, the answer has a one-time code with which the user sets one")
    ] = None
    role: Annotated[Role, Meta(extra_json_schema={"default": Role.USER})] = Role.USER


class NewInvitation(msgspec.Struct, forbid_unknown_fields=True):
    """An invitation."""

    username: Annotated[Username | None, Meta(description="The only name for which it is valid; null for any name")] = (
        None
    )


class RoleChange(msgspec.Struct, forbid_unknown_fields=True):
    """The new role of a user."""

    role: Role


@operation(
    users,
    Operation(
        method="POST",
        path="/api/v1/users",
        tag=_TAG,
        summary="Create a user",
        status=201,
        body=NewUser,
        answer=NewUserView,
        rechecks_admins=True,
        errors=(UsernameTakenError, WeakPasswordError, OutcomeUnknownError, UnavailableError),
        example={"username": "alice"},
    ),
)
def make_user(call: Call[NewUser, None]) -> NewUserView:
    """Works whether registration is open or closed. Without a password, only the one-time code sets one."""
    code = make_code() if call.body.password is None else None
    if code is not None:
        user = create_user_without_password(call.body.username, code, role=call.body.role)
    else:
        user = create_user(call.body.username, call.body.password or "", role=call.body.role)
    security.record(call.request, "user_create", "granted", target=user.username, role=user.role.value)
    return new_user_view(user, code)


class UserWindow(msgspec.Struct, forbid_unknown_fields=True):
    """Which part of the list."""

    size: Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description="Users a page")] = 20
    cursor: (
        Annotated[str, Meta(description="Leads on from an earlier page", extra_json_schema={"minLength": 1})] | None
    ) = None


@operation(
    users,
    Operation(
        method="GET",
        path="/api/v1/users",
        tag=_TAG,
        summary="List users",
        query=UserWindow,
        answer=UserPageView,
        errors=(InvalidCursorError,),
    ),
)
def list_users(call: Call[None, UserWindow]) -> UserPageView:
    """In no order, but always the same. A page may have fewer users than asked for and still a cursor."""
    page = page_of_users(size=call.query.size, cursor=call.query.cursor)
    return UserPageView([user_view(user) for user in page.users], page.cursor)


@operation(
    users,
    Operation(
        method="GET",
        path="/api/v1/users/{username}",
        tag=_TAG,
        summary="Read a user",
        answer=UserView,
        errors=(UserNotFoundError,),
    ),
)
def show_user(call: Call[None, None]) -> UserView:
    """A consistent read."""
    return user_view(get_user(call.path["username"]))


@operation(
    users,
    Operation(
        method="POST",
        path="/api/v1/users/{username}/disable",
        tag=_TAG,
        summary="Disable a user",
        answer=UserView,
        rechecks_admins=True,
        errors=(UserNotFoundError, OwnRoleError, OutcomeUnknownError, UnavailableError),
    ),
)
def disable(call: Call[None, None]) -> UserView:
    """The user cannot sign in; the user's tokens are refused within 30 seconds. Admins cannot disable themselves."""
    return _administer(call, "user_disable", disable_user)


@operation(
    users,
    Operation(
        method="POST",
        path="/api/v1/users/{username}/enable",
        tag=_TAG,
        summary="Enable a user",
        answer=UserView,
        rechecks_admins=True,
        errors=(UserNotFoundError, OutcomeUnknownError, UnavailableError),
    ),
)
def enable(call: Call[None, None]) -> UserView:
    """The user can sign in again, with the password of before."""
    return _administer(call, "user_enable", enable_user)


@operation(
    users,
    Operation(
        method="POST",
        path="/api/v1/users/{username}/logout",
        tag=_TAG,
        summary="End a user's sessions",
        answer=UserView,
        rechecks_admins=True,
        errors=(UserNotFoundError, OutcomeUnknownError, UnavailableError),
    ),
)
def log_out(call: Call[None, None]) -> UserView:
    """Every token that the user has is refused within 30 seconds."""
    return _administer(call, "user_logout", end_sessions)


@operation(
    users,
    Operation(
        method="POST",
        path="/api/v1/users/{username}/unlock",
        tag=_TAG,
        summary="End a user's lock-out",
        answer=UserView,
        rechecks_admins=True,
        errors=(UserNotFoundError, OutcomeUnknownError, UnavailableError),
    ),
)
def unlock(call: Call[None, None]) -> UserView:
    """Forgets the failed sign-ins of the name."""
    return _administer(call, "user_unlock", unlock_user)


@operation(
    users,
    Operation(
        method="POST",
        path="/api/v1/users/{username}/reset",
        tag=_TAG,
        summary="Reset a user's password",
        answer=ResetView,
        rechecks_admins=True,
        errors=(UserNotFoundError, OutcomeUnknownError, UnavailableError),
    ),
)
def reset(call: Call[None, None]) -> ResetView:
    """A one-time code with which the user sets a new password. The present one is valid until then."""
    username = call.path["username"]
    code = reset_password(username, actor=call.caller.subject)
    security.record(call.request, "user_reset", "granted", target=username)
    return reset_view(username, code)


@operation(
    users,
    Operation(
        method="POST",
        path="/api/v1/invitations",
        tag=_TAG,
        summary="Invite a user",
        status=201,
        body=NewInvitation,
        body_optional=True,
        answer=InvitationView,
        rechecks_admins=True,
        example={"username": "alice"},
    ),
)
def make_invitation(call: Call[NewInvitation, None]) -> InvitationView:
    """Returns a one-time code that `POST /auth/register` accepts until it expires. Only its hash is stored."""
    code = invite(actor=call.caller.subject, username=call.body.username)
    security.record(call.request, "invitation", "granted", target=call.body.username or "")
    return invitation_view(code, call.body.username)


@operation(
    users,
    Operation(
        method="PUT",
        path="/api/v1/users/{username}/role",
        tag=_TAG,
        summary="Change a user's role",
        body=RoleChange,
        answer=UserView,
        rechecks_admins=True,
        errors=(UserNotFoundError, OwnRoleError, OutcomeUnknownError, UnavailableError),
        example={"role": "Admin"},
    ),
)
def set_role(call: Call[RoleChange, None]) -> UserView:
    """A changed role revokes the user's earlier tokens within 30 seconds. A caller cannot change their own role."""
    user = change_role(call.path["username"], call.body.role, actor=call.caller.subject)
    security.record(call.request, "role_change", "granted", target=user.username, role=user.role.value)
    return user_view(user)


def _administer(call: Call[None, None], event: str, change: Callable[..., User]) -> UserView:
    """Make a change to the user whom the path names, and record it."""
    user = change(call.path["username"], actor=call.caller.subject)
    security.record(call.request, event, "granted", target=user.username)
    return user_view(user)
