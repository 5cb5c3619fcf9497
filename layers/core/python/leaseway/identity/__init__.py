"""Identity: users, their passwords and roles, and the tokens that stand for them."""

from leaseway.identity.codes import OneTimeCode
from leaseway.identity.invitations import InvitationRefusedError, invite
from leaseway.identity.lockout import LockedOutError
from leaseway.identity.model import Role, User
from leaseway.identity.ownership import OwnerRequiredError, open_account
from leaseway.identity.passwords import WeakPasswordError
from leaseway.identity.registration import (
    InvitationRequiredError,
    RegistrationClosedError,
    UsernameTakenError,
    create_user,
    ensure_admin,
    register,
)
from leaseway.identity.sessions import authenticate
from leaseway.identity.tokens import (
    Token,
    TokenClaims,
    TokenExpiredError,
    TokenRefusedError,
    TokenRevokedError,
    issue,
)
from leaseway.identity.users import (
    BadCredentialsError,
    OwnRoleError,
    UserNotFoundError,
    change_password,
    change_role,
    get_user,
    sign_in,
)

__all__ = [
    "BadCredentialsError",
    "InvitationRefusedError",
    "InvitationRequiredError",
    "LockedOutError",
    "OneTimeCode",
    "OwnRoleError",
    "OwnerRequiredError",
    "RegistrationClosedError",
    "Role",
    "Token",
    "TokenClaims",
    "TokenExpiredError",
    "TokenRefusedError",
    "TokenRevokedError",
    "User",
    "UserNotFoundError",
    "UsernameTakenError",
    "WeakPasswordError",
    "authenticate",
    "change_password",
    "change_role",
    "create_user",
    "ensure_admin",
    "get_user",
    "invite",
    "issue",
    "open_account",
    "register",
    "sign_in",
]
