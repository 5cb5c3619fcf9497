"""Users over HTTP: what an Admin does, one-time codes, and that an Admin of half a minute ago does none of it."""

import io
import json
from typing import Any

import pytest

from api.app import blueprints
from api.routes import operation_of
from authorizer.app import handler
from leaseway.identity import Role, change_role, create_user, issue, register
from leaseway.identity.model import User
from support.api_gateway import ADMIN, ApiResponse, call, make_caller, post
from support.call_meter import meter_calls

pytestmark = pytest.mark.usefixtures("admins")

PASSWORD = "orbit-lantern-mosaic"
NEW_PASSWORD = "quarry-violin-sunday"
MONEY_AND_ROLES = {
    ("POST", "/api/users"),
    ("POST", "/api/users/update-balance"),
    ("POST", "/api/v1/transfers"),
    ("POST", "/api/v1/ledger/{entry}/reversal"),
    ("POST", "/api/v1/users"),
    ("POST", "/api/v1/invitations"),
    ("PUT", "/api/v1/users/{username}/role"),
    *(
        ("POST", f"/api/v1/users/{{username}}/{change}")
        for change in ("disable", "enable", "logout", "reset", "unlock")
    ),
}


@pytest.fixture
def admins(cloud: None) -> None:
    """Two Admins, admin and ben, and the User alice."""
    for name in ("admin", "ben"):
        create_user(name, PASSWORD, role=Role.ADMIN)
    register("alice", PASSWORD)


def change(name: str, what: str, **parts: Any) -> ApiResponse:
    return call("POST", f"/api/v1/users/{{username}}/{what}", path={"username": name}, **parts)


def context_of(user: User) -> dict[str, str]:
    """The context that the authorizer returns for a new token of the user, and API Gateway caches."""
    token = issue(user).text
    event = {"type": "TOKEN", "authorizationToken": f"Bearer {token}", "methodArn": "a:b:c:d:e:f/g/GET/x"}
    context: dict[str, str] = handler(event, None)["context"]
    return context


def test_an_admin_reads_users_and_a_user_does_not() -> None:
    listed = call("GET", "/api/v1/users").json
    assert sorted((user["username"], user["role"], user["disabled"]) for user in listed["content"]) == [
        ("admin", "Admin", False),
        ("alice", "User", False),
        ("ben", "Admin", False),
    ]
    assert listed["cursor"] is None
    one = call("GET", "/api/v1/users/{username}", path={"username": "alice"})
    assert (one.status, one.json["username"]) == (200, "alice")
    assert "hash" not in one.text
    assert call("GET", "/api/v1/users", caller=make_caller("alice")).status == 403


def test_a_password_is_reset_by_a_code_that_is_in_no_log(log_output: io.StringIO) -> None:
    # Given a code for a user, and one for a new user without a password
    reset = change("alice", "reset").json
    made = post("/api/v1/users", {"username": "carl"}).json
    # When they are used, then each sets one password
    for name, code in (("alice", reset["code"]), ("carl", made["code"])):
        body = {"username": name, "code": code, "new_password": NEW_PASSWORD}
        assert post("/auth/password", body, caller=None).status == 200
        again = post("/auth/password", body, caller=None)
        assert (again.status, again.json["code"]) == (403, "CODE_REFUSED")
        assert code not in log_output.getvalue()
    # And a weak one uses up nothing
    code = change("alice", "reset").json["code"]
    weak = post("/auth/password", {"username": "alice", "code": code, "new_password": "password"}, caller=None)
    assert (weak.status, weak.json["field"]) == (400, "new_password")
    good = {"username": "alice", "code": code, "new_password": PASSWORD}
    assert post("/auth/password", good, caller=None).status == 200


def test_a_user_with_a_password_gets_no_code() -> None:
    made = post("/api/v1/users", {"username": "carl", "password": PASSWORD}).json
    assert (made["code"], made["code_expires_at"]) == (None, None)


def test_a_disabled_user_is_told_so_after_the_right_password_only() -> None:
    assert change("alice", "disable").json["disabled"]
    grant = {"grant_type": "password", "username": "alice"}
    right = post("/connect/token", grant | {"password": PASSWORD}, caller=None).json
    wrong = post("/connect/token", grant | {"password": "wrong"}, caller=None).json
    assert (right["error"], wrong["error"]) == ("invalid_grant", "invalid_grant")
    assert "disabled" in right["error_description"]
    assert "disabled" not in wrong["error_description"]
    assert not change("alice", "enable").json["disabled"]
    assert post("/connect/token", grant | {"password": PASSWORD}, caller=None).status == 200


def test_every_change_leaves_a_line_with_who_and_whom(log_output: io.StringIO) -> None:
    for what in ("disable", "enable", "logout", "reset", "unlock"):
        assert change("alice", what).status == 200
    lines = [json.loads(line) for line in log_output.getvalue().splitlines()]
    recorded = [(line["event"], line["who"], line["target"]) for line in lines if line.get("action") == "security"]
    assert recorded == [
        (f"user_{what}", "admin", "alice") for what in ("disable", "enable", "logout", "reset", "unlock")
    ]


def test_the_routes_of_money_and_roles_check_an_admin_again() -> None:
    operations = [
        operation_of(method.view_function)
        for methods in blueprints.whole_app().routes.values()
        for method in methods.values()
    ]
    assert {(one.method, one.path) for one in operations if one.rechecks_admins} == MONEY_AND_ROLES


def test_an_admin_who_was_demoted_a_moment_ago_moves_no_money_and_promotes_nobody() -> None:
    # Given an Admin whose token the gateway has just cached, and who is demoted
    ben = context_of(change_role("alice", Role.ADMIN, actor="admin"))
    post("/api/users", {"userId": "1", "balance": 5}, caller=ben)
    change_role("alice", Role.USER, actor="admin")
    # When the cached answer comes with each route of money and roles
    for method, route in sorted(MONEY_AND_ROLES):
        path = {"username": "carl", "entry": "1:1"}
        answer = call(method, route, path=path, body="{}", headers={"content-type": "application/json"}, caller=ben)
        # Then it is refused before anything else of the request is looked at
        assert (answer.status, answer.json["code"]) == (401, "TOKEN_REVOKED"), route
    assert call("GET", "/api/users/{userId}/balance", path={"userId": "1"}).json["balance"] == 5


def test_an_admin_pays_one_read_for_it_and_a_user_none() -> None:
    post("/api/users", {"userId": "1", "balance": 5})
    update = {"userId": "1", "amount": 1}
    admin = context_of(change_role("alice", Role.ADMIN, actor="admin"))
    costs = []
    for caller in (ADMIN, admin):  # the first is of an authorizer of an earlier release, without a generation
        with meter_calls() as meter:
            assert post("/api/users/update-balance", update, caller=caller).status == 200
        costs.append(meter.operations())
    assert costs == [{"dynamodb.UpdateItem": 1}, {"dynamodb.UpdateItem": 1, "dynamodb.GetItem": 1}]
