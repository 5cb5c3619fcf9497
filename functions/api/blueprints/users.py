"""Users, for Admins: create and invite them, and change their roles."""

from typing import Annotated

import msgspec
from chalice.app import Blueprint
from msgspec import Meta

from api import security
from api.routes import Call, Operation, operation
from api.user_views import InvitationView, NewPassword, Username, UserView, invitation_view, user_view
from leaseway.errors import OutcomeUnknownError, UnavailableError
from leaseway.identity import (
    OwnRoleError,
    Role,
    UsernameTakenError,
    UserNotFoundError,
    WeakPasswordError,
    change_role,
    create_user,
    invite,
)

users = Blueprint(__name__)

_TAG = "Users"


class NewUser(msgspec.Struct, forbid_unknown_fields=True):
    """A user to create."""

    username: Username
    password: NewPassword
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
        answer=UserView,
        errors=(UsernameTakenError, WeakPasswordError, OutcomeUnknownError, UnavailableError),
        example={"username": "alice", "password": "orbit-lantern-mosaic"},
    ),
)
def make_user(call: Call[NewUser, None]) -> UserView:
    """Works whether registration is open or closed."""
    user = create_user(call.body.username, call.body.password, role=call.body.role)
    security.record(call.request, "user_create", "granted", target=user.username, role=user.role.value)
    return user_view(user)


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
        errors=(UserNotFoundError, OwnRoleError),
        example={"role": "Admin"},
    ),
)
def set_role(call: Call[RoleChange, None]) -> UserView:
    """A changed role revokes the user's earlier tokens within 30 seconds. A caller cannot change their own role."""
    user = change_role(call.path["username"], call.body.role, actor=call.caller.subject)
    security.record(call.request, "role_change", "granted", target=user.username, role=user.role.value)
    return user_view(user)
