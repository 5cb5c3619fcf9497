"""The authorizer: the context that it returns for a token."""

import io
import json
from typing import Any

import pytest

from authorizer.app import CACHE_SECONDS, app, handler
from leaseway.errors import UnavailableError
from leaseway.identity import Role, change_role, ensure_admin, issue, register
from leaseway.identity.keys import KeyRing
from support.call_meter import meter_calls
from support.forged_tokens import forge_tokens

pytestmark = pytest.mark.usefixtures("cloud")

ARN = "arn:aws:execute-api:us-east-1:123456789012:abc123/live/GET/api/v1/me"
PASSWORD = "orbit-lantern-mosaic"


def authorize(token: str, scheme: str = "Bearer ") -> Any:
    """The authorizer's answer, as API Gateway reads it: context values are plain text."""
    answer = handler({"type": "TOKEN", "authorizationToken": f"{scheme}{token}", "methodArn": ARN}, None)
    assert all(isinstance(value, str) for value in answer["context"].values())
    return json.loads(json.dumps(answer))


def test_it_is_chalices_own_and_cached_for_half_a_minute() -> None:
    assert [(one.name, one.ttl_seconds) for one in app.builtin_auth_handlers] == [("handler", CACHE_SECONDS)]
    assert CACHE_SECONDS == 30


def test_a_valid_token_names_its_user_and_allows_every_route_of_the_stage() -> None:
    # Given a User's token
    token = issue(register("alice", PASSWORD)).text
    # When the gateway asks
    answer = authorize(token)
    # Then it hears who that is; the answer is kept for the whole token, so it is good for every route
    assert answer["principalId"] == "alice"
    assert answer["context"] | {"expires_at": ""} == {
        "state": "valid",
        "subject": "alice",
        "role": "User",
        "expires_at": "",
        "generation": "1",
    }
    assert answer["policyDocument"]["Statement"] == [
        {
            "Action": "execute-api:Invoke",
            "Effect": "Allow",
            "Resource": ["arn:aws:execute-api:us-east-1:123456789012:abc123/live/*/*"],
        }
    ]


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
def test_the_schemes_case_does_not_matter(scheme: str) -> None:
    assert authorize(issue(register("alice", PASSWORD)).text, scheme)["context"]["state"] == "valid"


def test_a_token_that_is_not_ours_yields_nothing_but_that() -> None:
    # Given every forgery of a good token
    good = issue(register("alice", PASSWORD)).text
    for kind, forged in forge_tokens(good, "t" * 64).items():
        # When the gateway asks
        answer = authorize(forged)
        # Then no name is in the answer
        code = "TOKEN_EXPIRED" if kind == "expired" else "TOKEN_INVALID"
        assert (answer["principalId"], answer["context"]) == ("nobody", {"state": code}), kind


def test_a_revoked_token_has_a_state_of_its_own() -> None:
    token = issue(register("alice", PASSWORD)).text
    ensure_admin("admin", PASSWORD)
    change_role("alice", Role.ADMIN, actor="admin")
    assert authorize(token)["context"] == {"state": "TOKEN_REVOKED"}


def test_a_miss_of_the_cache_costs_one_read() -> None:
    token = issue(register("alice", PASSWORD)).text
    authorize(token)
    with meter_calls() as meter:
        authorize(token)
    assert meter.operations() == {"dynamodb.GetItem": 1}


def test_what_cannot_be_found_out_is_raised_so_that_the_gateway_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    token = issue(register("alice", PASSWORD)).text

    def away(*_: Any) -> None:
        raise UnavailableError

    monkeypatch.setattr(KeyRing, "find", away)
    with pytest.raises(UnavailableError):
        authorize(token)


def test_neither_the_token_nor_its_parts_are_logged(log_output: io.StringIO) -> None:
    good = issue(register("alice", PASSWORD)).text
    authorize(good)
    authorize(good[:-3] + "abc")
    text = log_output.getvalue()
    assert '"outcome":"valid"' in text
    assert '"outcome":"TOKEN_INVALID"' in text
    assert not [part for part in good.split(".") if part in text]
