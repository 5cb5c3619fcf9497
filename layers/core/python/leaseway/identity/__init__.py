"""Identity: users, their passwords and roles, and the tokens that stand for them."""

from leaseway.identity.administration import (
    OwnRoleError,
    UserPage,
    change_role,
    disable_user,
    enable_user,
    end_sessions,
    page_of_users,
    reset_password,
    unlock_user,
)
from leaseway.identity.codes import OneTimeCode
from leaseway.identity.invitations import InvitationRefusedError, invite
from leaseway.identity.lockout import LockedOutError
from leaseway.identity.model import Role, User
from leaseway.identity.ownership import OwnerRequiredError, open_account
from leaseway.identity.passwords import WeakPasswordError
from leaseway.identity.recovery import CodeRefusedError, make_admin, set_password_by_code
from leaseway.identity.registration import (
    InvitationRequiredError,
    RegistrationClosedError,
    UsernameTakenError,
    create_user,
    create_user_without_password,
    ensure_admin,
    register,
)
from leaseway.identity.sessions import authenticate, check_current
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
    UserDisabledError,
    UserNotFoundError,
    change_password,
    get_user,
    sign_in,
)

__all__ = [
    "BadCredentialsError",
    "CodeRefusedError",
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
    "UserDisabledError",
    "UserNotFoundError",
    "UserPage",
    "UsernameTakenError",
    "WeakPasswordError",
    "authenticate",
    "change_password",
    "change_role",
    "check_current",
    "create_user",
    "create_user_without_password",
    "disable_user",
    "enable_user",
    "end_sessions",
    "ensure_admin",
    "get_user",
    "invite",
    "issue",
    "make_admin",
    "open_account",
    "page_of_users",
    "register",
    "reset_password",
    "set_password_by_code",
    "sign_in",
    "unlock_user",
]
