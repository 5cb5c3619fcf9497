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
    item = UserModel.read(claims.sub)
    if item is None or user_from_item(item).token_generation != claims.gen:
        raise tokens.TokenRevokedError
    return claims
