"""Tokens: JWTs signed with HS256, which is the server's choice and never the token's.

PyJWT is imported by the first call that needs it: no other request pays for it.
"""

import uuid
from typing import Any

import msgspec

from leaseway import clock
from leaseway.errors import LeasewayError
from leaseway.identity.keys import key_ring
from leaseway.identity.model import Role, User
from leaseway.settings import settings

_ALGORITHM = "HS256"
_CLAIMS = ("iss", "aud", "sub", "role", "gen", "iat", "exp", "jti")
_LONGEST = 4_096


class TokenRefusedError(LeasewayError):
    """The token is invalid."""

    code = "TOKEN_INVALID"


class TokenExpiredError(TokenRefusedError):
    """The token has expired."""

    code = "TOKEN_EXPIRED"


class TokenRevokedError(TokenRefusedError):
    """The token was revoked: its user's password or role has changed, or the user no longer exists."""

    code = "TOKEN_REVOKED"


class Token(msgspec.Struct, frozen=True):
    """A signed token and how long it is good, in seconds."""

    text: str
    seconds: int


class TokenClaims(msgspec.Struct, frozen=True):
    """The claims of a token. `exp` is in seconds since the epoch; `gen` is the token generation of its user."""

    sub: str
    role: Role
    gen: int
    exp: int
    jti: str


def issue(user: User) -> Token:
    """A token for a user who proved who he is. No AWS call but the key ring's.

    Raises:
        UnavailableError: there is no key to sign with.
    """
    import jwt  # noqa: PLC0415

    configured = settings()
    now = clock.now_ms() // 1000
    key = key_ring().signing_key()
    claims: dict[str, Any] = {
        "iss": configured.issuer,
        "aud": configured.audience,
        "sub": user.username,
        "role": user.role.value,
        "gen": user.token_generation,
        "iat": now,
        "exp": now + configured.token_seconds,
        "jti": uuid.uuid4().hex,
    }
    text = jwt.encode(claims, key.secret, algorithm=_ALGORITHM, headers={"kid": key.id})
    return Token(text, configured.token_seconds)


def read(text: str) -> TokenClaims:
    """Read the claims of a token that is ours and has not expired. Garbage is refused without a call.

    Raises:
        TokenRefusedError: not a token of this deployment, or altered.
        TokenExpiredError: it was one.
        UnavailableError: there are no keys to check it with.
    """
    import jwt  # noqa: PLC0415

    configured = settings()
    try:
        key = key_ring().find(_key_id(text))
        if key is None:
            raise TokenRefusedError
        # Expiry is judged below, by the domain's clock.
        payload = jwt.decode(
            text,
            key.secret,
            algorithms=[_ALGORITHM],
            audience=configured.audience,
            issuer=configured.issuer,
            options={"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False},
        )
        claims = msgspec.convert(payload, TokenClaims)
    except (jwt.InvalidTokenError, msgspec.ValidationError, UnicodeError, RecursionError):
        raise TokenRefusedError from None
    if claims.exp * 1000 <= clock.now_ms():
        raise TokenExpiredError
    return claims


def _key_id(text: str) -> str:
    import jwt  # noqa: PLC0415

    if len(text) > _LONGEST:
        raise TokenRefusedError
    header = jwt.get_unverified_header(text)
    key_id = header.get("kid")
    if header.get("alg") != _ALGORITHM or not isinstance(key_id, str):
        raise TokenRefusedError
    return key_id
