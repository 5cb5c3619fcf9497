"""The authorizer function: API Gateway asks it once a token and half a minute.

It allows every route and says what it found of the token, because its answer is kept for the whole token: the API
decides 401 and 403, route by route.
"""

from leaseway import coldstart

# isort: split
from chalice.app import AuthRequest, AuthResponse, AuthRoute, Chalice

from leaseway import metrics
from leaseway.identity import TokenRefusedError, authenticate
from leaseway.logs import log

CACHE_SECONDS = 30

_EVERY_ROUTE: list[str | AuthRoute] = ["*"]

app = Chalice(app_name="leaseway-authorizer", configure_logs=False, env={})


@app.authorizer(ttl_seconds=CACHE_SECONDS)
@metrics.flush_after("authorizer")
def handler(request: AuthRequest) -> AuthResponse:
    """What the token of a request is worth. Where that cannot be found out it raises: 503, and nothing is kept."""
    try:
        claims = authenticate(request.token.partition(" ")[2].strip())
    except TokenRefusedError as refusal:
        log.info("authorize", extra={"action": "authorize", "outcome": refusal.code})
        return AuthResponse(_EVERY_ROUTE, "nobody", {"state": refusal.code})
    log.info("authorize", extra={"action": "authorize", "outcome": "valid", "who": claims.sub, "token_id": claims.jti})
    told = {"state": "valid", "subject": claims.sub, "role": claims.role.value, "expires_at": str(claims.exp)}
    return AuthResponse(_EVERY_ROUTE, claims.sub, told)


coldstart.loaded()
