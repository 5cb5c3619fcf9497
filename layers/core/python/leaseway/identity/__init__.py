"""Identity: users, their passwords and roles, and the tokens that stand for them."""

from leaseway.identity.lockout import LockedOutError
from leaseway.identity.model import Role, User
from leaseway.identity.passwords import WeakPasswordError
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
    UsernameTakenError,
    UserNotFoundError,
    change_password,
    change_role,
    ensure_admin,
    get_user,
    register,
    sign_in,
)

__all__ = [
    "BadCredentialsError",
    "LockedOutError",
    "OwnRoleError",
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
    "ensure_admin",
    "get_user",
    "issue",
    "register",
    "sign_in",
]
