"""Authenticates a caller by the token of the call."""

from leaseway.identity import tokens
from leaseway.identity.model import UserModel, user_from_item


def authenticate(token: str) -> tokens.TokenClaims:
    """Read the claims of a token that is ours, neither expired nor revoked. One consistent read, none for garbage.

    Raises:
        TokenRefusedError: not ours; TokenExpiredError, TokenRevokedError: it was once.
        UnavailableError: there are no keys to check it with.
    """
    claims = tokens.read(token)
    check_current(claims.sub, claims.gen)
    return claims


def check_current(username: str, generation: int) -> None:
    """Refuse a token generation that was ended, past every cache. One consistent read.

    Raises:
        TokenRevokedError: the user has another generation now, is disabled, or is no more.
    """
    item = UserModel.read(username)
    user = user_from_item(item) if item is not None else None
    if user is None or user.disabled or user.token_generation != generation:
        raise tokens.TokenRevokedError
