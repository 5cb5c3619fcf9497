"""Identity over HTTP: the token endpoint as RFC 6749 words it, roles, and the security log."""

import io
import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest

from api.access import ACCESS, Access, AccessUndeclaredError, access_to
from api.app import blueprints
from leaseway.identity import authenticate, ensure_admin, register
from leaseway.settings import settings
from support.api_gateway import ADDRESS, ADMIN, ApiResponse, call, make_caller, post

pytestmark = pytest.mark.usefixtures("cloud")

TOKEN = "/connect/token"
FORM = "application/x-www-form-urlencoded"
PASSWORD = "orbit-lantern-mosaic"
GOOD = {"grant_type": "password", "username": "alice", "password": PASSWORD}


@pytest.fixture
def alice(cloud: None) -> None:
    register("alice", PASSWORD)
    ensure_admin("admin", PASSWORD)


def send(body: str, content_type: str | None = FORM) -> ApiResponse:
    headers = {"content-type": content_type} if content_type else {}
    return call("POST", TOKEN, body=body, headers=headers, caller=None)


def form(**changes: str | None) -> ApiResponse:
    fields = {name: value for name, value in (GOOD | changes).items() if value is not None}
    return send(urlencode(fields))


# ---- The token endpoint -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (urlencode(GOOD), FORM),
        (urlencode(GOOD), f"{FORM}; charset=UTF-8"),
        (urlencode(GOOD), FORM.upper()),
        (json.dumps(GOOD), "application/json"),
        (json.dumps(GOOD | {"unknown": {"nested": 1}}), "application/json; charset=utf-8"),
        (urlencode(GOOD | {"unknown": "parameter", "client_id": "swagger", "client_secret": "x"}), FORM),
        (urlencode(GOOD | {"scope": ""}), FORM),
    ],
)
def test_a_password_gets_a_token(body: str, content_type: str) -> None:
    # When a form or JSON asks for one
    answer = send(body, content_type)
    # Then it is what RFC 6749 says, and not to be kept by anybody on the way
    assert answer.status == 200, answer.text
    token = answer.json
    assert (token["token_type"], token["expires_in"], token["scope"]) == ("Bearer", 3600, "leaseway")
    assert authenticate(token["access_token"]).sub == "alice"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize("scope", ["leaseway", "openid profile TaskerWebAPI"])
def test_the_requested_scope_is_in_the_answer(scope: str) -> None:
    assert form(scope=scope).json["scope"] == scope


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize(
    ("body", "content_type", "error"),
    [
        (urlencode(GOOD | {"password": "wrong"}), FORM, "invalid_grant"),
        (urlencode(GOOD | {"username": "nobody"}), FORM, "invalid_grant"),
        (urlencode(GOOD | {"username": "a b"}), FORM, "invalid_grant"),
        (urlencode(GOOD | {"username": "attempts#alice"}), FORM, "invalid_grant"),
        (urlencode(GOOD | {"password": "x" * 100_000}), FORM, "invalid_grant"),
        (urlencode(GOOD | {"grant_type": "client_credentials"}), FORM, "unsupported_grant_type"),
        (urlencode(GOOD | {"grant_type": "Password"}), FORM, "unsupported_grant_type"),
        (urlencode(GOOD | {"scope": "everything"}), FORM, "invalid_scope"),
        (urlencode(GOOD | {"scope": 'a"b'}), FORM, "invalid_scope"),
        (urlencode(GOOD | {"scope": "leaseway  openid"}), FORM, "invalid_scope"),
        ("username=alice&password=x", FORM, "invalid_request"),
        ("grant_type=&username=alice&password=x", FORM, "invalid_request"),
        ("grant_type=password&password=x", FORM, "invalid_request"),
        ("grant_type=password&username=alice", FORM, "invalid_request"),
        ("grant_type=password&username=alice&password=", FORM, "invalid_request"),
        (urlencode(GOOD) + "&username=bob", FORM, "invalid_request"),
        ("&".join(f"a{number}=1" for number in range(200)), FORM, "invalid_request"),
        ("grant_type=%ff%fe&username=a&password=b", FORM, "invalid_request"),
        ("", FORM, "invalid_request"),
        ("{", "application/json", "invalid_request"),
        ("[]", "application/json", "invalid_request"),
        ('[["grant_type", "password"]]', "application/json", "invalid_request"),
        ('"password"', "application/json", "invalid_request"),
        ("[" * 50_000, "application/json", "invalid_request"),
        (json.dumps(GOOD | {"password": 1}), "application/json", "invalid_request"),
        (json.dumps(GOOD)[:-1] + ', "username": "bob"}', "application/json", "invalid_request"),
        (urlencode(GOOD), "application/json", "invalid_request"),
        (json.dumps(GOOD), FORM, "invalid_request"),
        (json.dumps(GOOD), "text/plain", "invalid_request"),
        (urlencode(GOOD), None, "invalid_request"),
    ],
)
def test_refusals_go_by_the_names_of_rfc_6749(body: str, content_type: str | None, error: str) -> None:
    answer = send(body, content_type)
    assert (answer.status, answer.json["error"]) == (400, error)
    assert answer.json.keys() == {"error", "error_description"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.usefixtures("alice")
def test_a_locked_name_hears_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKOUT_AFTER", "1")
    settings.cache_clear()
    assert "retry-after" not in form(password="wrong").headers
    locked = form()
    assert (locked.status, locked.json["error"]) == (400, "invalid_grant")
    assert int(locked.headers["retry-after"]) in range(1, 31)


def test_a_body_that_is_too_large_is_413() -> None:
    assert send("a" * 300_000).status == 413


# ---- Users --------------------------------------------------------------------------------------------------------


def test_who_registers_is_a_user_and_never_an_admin() -> None:
    registered = post("/auth/register", {"username": "alice", "password": PASSWORD}, caller=None)
    assert (registered.status, registered.json["username"], registered.json["role"]) == (201, "alice", "User")
    assert PASSWORD not in registered.text
    cheeky = post("/auth/register", {"username": "eve", "password": PASSWORD, "role": "Admin"}, caller=None)
    assert (cheeky.status, cheeky.json["field"]) == (400, "role")


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"username": "alice"}, 409, "USERNAME_TAKEN", None),
        ({"username": "a b"}, 400, "INVALID_INPUT", "username"),
        ({"username": "attempts#alice"}, 400, "INVALID_INPUT", "username"),
        ({"username": 1}, 400, "INVALID_INPUT", "username"),
        ({"password": "password1234"}, 400, "WEAK_PASSWORD", "password"),
        ({"password": "short"}, 400, "WEAK_PASSWORD", "password"),
    ],
)
def test_registrations_that_are_refused(change: dict[str, Any], status: int, code: str, field: str | None) -> None:
    answer = post("/auth/register", {"username": "bob", "password": PASSWORD} | change, caller=None)
    assert (answer.status, answer.json["code"], answer.json.get("field")) == (status, code, field)
    assert str(change.get("password", "no password")) not in answer.text


@pytest.mark.parametrize(
    ("mode", "code"), [("closed", "REGISTRATION_CLOSED"), ("invited", "INVITATION_REQUIRED"), ("open", None)]
)
def test_registration_is_open_to_invited_users_or_closed(
    monkeypatch: pytest.MonkeyPatch, mode: str, code: str | None
) -> None:
    monkeypatch.setenv("REGISTRATION", mode)
    settings.cache_clear()
    answer = post("/auth/register", {"username": "bob", "password": PASSWORD}, caller=None)
    assert (answer.status, answer.json.get("code")) == (403 if code else 201, code)


def test_only_an_admin_invites_and_creates_users(monkeypatch: pytest.MonkeyPatch, log_output: io.StringIO) -> None:
    # Given a deployment that admits those with an invitation
    monkeypatch.setenv("REGISTRATION", "invited")
    settings.cache_clear()
    # When an Admin invites, and creates a user
    invited = post("/api/v1/invitations", {})
    created = post("/api/v1/users", {"username": "node-7", "password": PASSWORD, "role": "Worker"})
    # Then the code admits one, and the user is there
    assert (invited.status, invited.json["username"]) == (201, None)
    registration = {"username": "bob", "password": PASSWORD, "invitation": invited.json["invitation"]}
    assert post("/auth/register", registration, caller=None).status == 201
    again = post("/auth/register", registration | {"username": "eve"}, caller=None)
    assert (again.status, again.json["code"]) == (403, "INVITATION_REFUSED")
    assert (created.status, created.json["role"]) == (201, "Worker")
    # And no log line holds the code, and a User is refused
    assert invited.json["invitation"] not in log_output.getvalue()
    for route in ("/api/v1/invitations", "/api/v1/users"):
        assert post(route, {}, caller=make_caller("bob")).status == 403


@pytest.mark.usefixtures("alice")
def test_me_is_the_tokens_subject() -> None:
    me = call("GET", "/api/v1/me", caller=make_caller("alice")).json
    assert (me["username"], me["role"]) == ("alice", "User")
    assert "password_hash" not in me


@pytest.mark.usefixtures("alice")
def test_an_admin_changes_roles_but_not_the_own() -> None:
    route = "/api/v1/users/{username}/role"

    def put(name: str, role: str, **parts: Any) -> ApiResponse:
        headers = {"content-type": "application/json"}
        return call("PUT", route, path={"username": name}, body=json.dumps({"role": role}), headers=headers, **parts)

    assert put("alice", "Admin").json["role"] == "Admin"
    assert put("alice", "User").json["role"] == "User"
    assert put("alice", "Root").status == 400
    assert (put("nobody", "Admin").status, put("nobody", "Admin").json["code"]) == (404, "USER_NOT_FOUND")
    assert put("admin", "User").json["code"] == "OWN_ROLE"
    assert put("alice", "Admin", caller=make_caller("alice")).status == 403


@pytest.mark.usefixtures("alice")
def test_a_password_change_needs_the_present_one() -> None:
    body = {"current_password": "wrong", "new_password": "quarry-violin-sunday"}
    refused = post("/api/v1/me/password", body, caller=make_caller("alice"))
    assert (refused.status, refused.json["code"]) == (400, "BAD_CREDENTIALS")
    weak = post(
        "/api/v1/me/password", {"current_password": PASSWORD, "new_password": "password"}, caller=make_caller("alice")
    )
    assert (weak.status, weak.json["field"]) == (400, "new_password")
    assert post("/api/v1/me/password", body | {"current_password": PASSWORD}, caller=make_caller("alice")).status == 200
    assert form().json["error"] == "invalid_grant"


# ---- The table of access ------------------------------------------------------------------------------------------


def test_the_table_has_a_row_for_each_route_and_none_else() -> None:
    routes = blueprints.whole_app().routes
    assert set(ACCESS) == {(method, path) for path, methods in routes.items() for method in methods}


def test_a_route_without_a_row_cannot_be_declared() -> None:
    with pytest.raises(AccessUndeclaredError, match="GET /new"):
        access_to("GET", "/new")


@pytest.mark.parametrize("route", sorted(ACCESS), ids=" ".join)
def test_each_route_asks_what_its_row_says(route: tuple[str, str]) -> None:
    # Given an Admin, and a route, called with nothing that fits
    ensure_admin("admin", PASSWORD)
    method, path = route
    parts = {"path": dict.fromkeys(re.findall(r"\{(\w+)\}", path), "x")}

    def status(caller: dict[str, str] | None) -> int:
        return call(
            method, path, body="{}", headers={"content-type": "application/json"}, caller=caller, **parts
        ).status

    # When a caller without a token, a User, a Worker and an Admin call it
    # Then it lets in whom its row says: who is let in hears of the request, who is not does not
    asks = ACCESS[route]
    assert (status(None) == 401) == (asks is not Access.OPEN)
    assert (status(make_caller("alice")) == 403) == (asks in (Access.WORKER, Access.ADMIN))
    assert (status(make_caller("build-7") | {"role": "Worker"}) == 403) == (asks is Access.ADMIN)
    assert status(ADMIN) not in (401, 403)


@pytest.mark.parametrize(
    ("context", "code"),
    [
        (None, "UNAUTHORIZED"),
        ({}, "UNAUTHORIZED"),
        ({"state": ""}, "UNAUTHORIZED"),
        ({"principalId": "admin", "subject": "admin", "role": "Admin"}, "UNAUTHORIZED"),
        ({"state": "TOKEN_INVALID"}, "TOKEN_INVALID"),
        ({"state": "TOKEN_EXPIRED"}, "TOKEN_EXPIRED"),
        ({"state": "TOKEN_REVOKED"}, "TOKEN_REVOKED"),
        (ADMIN | {"expires_at": "1"}, "TOKEN_EXPIRED"),
    ],
)
def test_what_the_authorizer_says_decides(context: dict[str, str] | None, code: str) -> None:
    answer = call("GET", "/api/v1/me", caller=context)
    assert (answer.status, answer.json["code"]) == (401, code)
    challenge = answer.headers["www-authenticate"]
    assert challenge == "Bearer" if code == "UNAUTHORIZED" else challenge.startswith('Bearer error="invalid_token"')


# ---- CORS ---------------------------------------------------------------------------------------------------------


def test_without_named_origins_no_page_may_call() -> None:
    preflight = call("OPTIONS", "/api/v1/jobs", headers={"origin": "https://app.example.com"}, caller=None)
    assert preflight.status == 204
    assert not [name for name in preflight.headers if name.startswith("access-control")]


def test_a_named_origin_may_read_refusals_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://app.example.com/, https://other.example.com")
    settings.cache_clear()
    for origin, allowed in (("https://app.example.com", True), ("https://evil.example.com", False), ("null", False)):
        answer = call("GET", "/api/v1/me", headers={"origin": origin}, caller=None)
        assert answer.status == 401
        assert answer.headers["vary"] == "origin"
        assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
        assert "*" not in answer.headers.values()


# ---- The security log ---------------------------------------------------------------------------------------------


def security_lines(logged: io.StringIO) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    return [line for line in lines if line.get("action") == "security"]


@pytest.mark.usefixtures("alice")
def test_logins_role_changes_and_refusals_leave_a_line(log_output: io.StringIO) -> None:
    form()
    form(password="wrong-password-1")
    form(username="not a name\nforged=line")
    put = {"path": {"username": "alice"}, "body": '{"role": "Admin"}', "headers": {"content-type": "application/json"}}
    call("PUT", "/api/v1/users/{username}/role", **put)
    call("PUT", "/api/v1/users/{username}/role", **put, caller=make_caller("alice"))
    call("GET", "/api/v1/me", caller={"state": "TOKEN_REVOKED"})
    lines = security_lines(log_output)
    events = [(line["event"], line["who"], line["outcome"]) for line in lines]
    assert events == [
        ("login", "alice", "granted"),
        ("login", "alice", "BAD_CREDENTIALS"),
        ("login", "(no valid name)", "BAD_CREDENTIALS"),
        ("role_change", "admin", "granted"),
        ("refused", "alice", "FORBIDDEN"),
        ("refused", "(nobody)", "TOKEN_REVOKED"),
    ]
    assert {line["address"] for line in lines} == {ADDRESS}
    assert (lines[3]["target"], lines[3]["role"]) == ("alice", "Admin")


@pytest.mark.usefixtures("alice")
def test_no_password_and_no_token_is_logged(log_output: io.StringIO) -> None:
    token = form().json["access_token"]
    form(password="planted-wrong-password")
    post("/auth/register", {"username": "bob", "password": "planted-new-password"}, caller=None)
    post("/auth/register", {"username": "bob", "password": "planted-new-password", "x": 1}, caller=None)
    change = {"current_password": PASSWORD, "new_password": "planted-next-password"}
    post("/api/v1/me/password", change, caller=make_caller("alice"), headers={"authorization": f"Bearer {token}"})
    text = log_output.getvalue()
    assert text
    assert not [secret for secret in ("planted", PASSWORD, *token.split(".")) if secret in text]
