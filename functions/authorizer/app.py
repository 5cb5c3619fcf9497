"""The authorizer function: API Gateway calls it at most once per token every 30 seconds (its cache TTL).

It allows every route and passes on what the token is worth, because API Gateway caches its answer for all routes:
the API decides 401 and 403, route by route.
"""

from leaseway import coldstart

with coldstart.loading():
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
    """Check the token of a request. If that is impossible it raises: API Gateway answers 503 and caches nothing."""
    try:
        claims = authenticate(request.token.partition(" ")[2].strip())
    except TokenRefusedError as refusal:
        log.info("authorize", extra={"action": "authorize", "outcome": refusal.code})
        return AuthResponse(_EVERY_ROUTE, "nobody", {"state": refusal.code})
    log.info("authorize", extra={"action": "authorize", "outcome": "valid", "who": claims.sub, "token_id": claims.jti})
    authorizer_context = {
        "state": "valid",
        "subject": claims.sub,
        "role": claims.role.value,
        "expires_at": str(claims.exp),
        "generation": str(claims.gen),
    }
    return AuthResponse(_EVERY_ROUTE, claims.sub, authorizer_context)
