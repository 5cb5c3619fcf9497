"""Identity on the deployed stack: OAuth2 by a standard client, lock-out, rotation, roles, throttling, CORS."""

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest
from authlib.integrations.httpx_client import OAuth2Client

from leaseway_local.connection.api_client import ApiClient
from support.deployed_stacks import PASSWORD, DeployedStack, StackFactory
from support.forged_tokens import decode_token
from support.waiting import wait_until

ORIGIN = "https://app.example.com"
NEW_PASSWORD = "quarry-violin-sunday"
FIRST_LOCK, LONGEST_LOCK = 1, 4


@pytest.fixture
def name() -> str:
    return f"user-{secrets.token_hex(6)}"


@pytest.fixture(scope="module")
def hasty(make_stack: StackFactory) -> DeployedStack:
    """A stack with short lock-outs and keys that are cached for three seconds, which pages of two origins may call."""
    return make_stack(
        "identity",
        LockoutSeconds=FIRST_LOCK,
        LockoutCapSeconds=LONGEST_LOCK,
        KeyCacheSeconds=3,
        CorsOrigins=f"{ORIGIN},https://other.example.com",
        WorkerEnabled=False,
    )


@pytest.fixture(scope="module")
def aside() -> Iterator[ThreadPoolExecutor]:
    """Waits while other tests run, for what takes half a minute: so long the gateway keeps an authorizer's answer."""
    with ThreadPoolExecutor() as waiting:
        yield waiting


@pytest.fixture(scope="module")
def password_change(stack: DeployedStack, aside: ThreadPoolExecutor) -> tuple[str, list[Future]]:
    """A User who was signed in twice when the password changed, and what became of both tokens."""
    name = f"user-{secrets.token_hex(6)}"
    first, second = stack.as_user(name), stack.as_user(name)
    assert first.get("/api/v1/me") == second.get("/api/v1/me")
    first.post("/api/v1/me/password", {"current_password": PASSWORD, "new_password": NEW_PASSWORD})
    return name, [aside.submit(until_refused, client) for client in (first, second)]


@pytest.fixture(scope="module")
def role_loss(stack: DeployedStack, aside: ThreadPoolExecutor) -> tuple[str, Future]:
    """A User who was made an Admin, acted as one and is none any more, and what became of that token."""
    name = f"user-{secrets.token_hex(6)}"
    role = f"/api/v1/users/{name}/role"
    stack.as_user(name)
    assert stack.api.request("PUT", role, json={"role": "Admin"}).json()["role"] == "Admin"
    admin = stack.as_user(name)
    assert admin.request("POST", "/api/users", json={"userId": name, "owner": name}).status_code == 201
    assert stack.api.request("PUT", role, json={"role": "User"}).json()["role"] == "User"
    return name, aside.submit(until_refused, admin)


@pytest.fixture(scope="module", autouse=True)
def _start_what_takes_long(password_change: tuple[str, list[Future]], role_loss: tuple[str, Future]) -> None:
    """Started before the first test of this module, so that the half minute passes during the others."""


def until_refused(client: ApiClient) -> tuple[int, str]:
    """How a token is refused that was good; within a minute."""

    def refusal() -> tuple[int, str] | None:
        answer = client.request("GET", "/api/v1/me")
        return None if answer.status_code == 200 else (answer.status_code, answer.json()["code"])

    return wait_until(refusal, seconds=60, what="the end of the token", every=0.5)


def ask(stack: DeployedStack, username: str, password: str) -> httpx.Response:
    form = {"grant_type": "password", "username": username, "password": password}
    return httpx.post(f"{stack.outputs.api_url}/connect/token", data=form, trust_env=False, timeout=180)


# ---- The token endpoint -------------------------------------------------------------------------------------------


def test_a_standard_oauth2_client_gets_a_token_and_uses_it(stack: DeployedStack, name: str) -> None:
    # Given a User, and an OAuth2 library that sends client credentials with HTTP Basic and a scope
    stack.as_user(name)
    url = stack.outputs.api_url
    client = OAuth2Client("some-client", "some-secret", scope="openid profile TaskerWebAPI", trust_env=False)
    # When it fetches a token
    token = client.fetch_token(f"{url}/connect/token", username=name, password=PASSWORD, grant_type="password")
    # Then the answer is what RFC 6749 says, and the library's own requests are let in
    assert token["token_type"] == "Bearer"
    assert (token["expires_in"], token["scope"]) == (3_600, "openid profile TaskerWebAPI")
    assert client.get(f"{url}/api/v1/me").json()["username"] == name


def test_the_first_admin_was_made_at_deployment(stack: DeployedStack) -> None:
    assert stack.api.get("/api/v1/me")["role"] == "Admin"


# ---- Lock-out -----------------------------------------------------------------------------------------------------


def test_a_thousand_wrong_passwords_from_twenty_sides_open_nothing(
    hasty: DeployedStack, name: str, many: Callable[[int], int]
) -> None:
    # Given a User where lock-outs are short
    hasty.as_user(name)
    # When twenty sides try fifty passwords each
    with ThreadPoolExecutor(many(20)) as sides:
        answers = list(sides.map(lambda guess: ask(hasty, name, f"guess-{guess}"), range(many(1_000))))
    # Then none gets in, and all hear the same
    assert {(answer.status_code, answer.json()["error"]) for answer in answers} == {(400, "invalid_grant")}
    # And the right password is refused while the name is locked
    locked = wait_until(lambda: long_lock(hasty, name), seconds=30, what="a fresh lock-out", every=0)
    right = ask(hasty, name, PASSWORD)
    assert (right.status_code, right.json()["error"]) == (400, "invalid_grant")
    assert 1 <= int(right.headers["retry-after"]) <= LONGEST_LOCK
    # And is good after it
    wait_until(
        lambda: ask(hasty, name, PASSWORD).status_code == 200, seconds=locked + 30, what="the end of the lock-out"
    )
    # And a name without a user is locked in the same words
    nobody = [ask(hasty, f"no-{name}", "guess").json() for _ in range(6)]
    assert {tuple(answer) for answer in nobody} == {tuple(right.json())}
    assert nobody[-1] == right.json()


def long_lock(stack: DeployedStack, name: str) -> int | None:
    """Seconds of a lock-out that leaves time for one more request; wrong guesses make one."""
    wait = int(ask(stack, name, "one more guess").headers.get("retry-after", 0))
    return wait if wait >= LONGEST_LOCK - 1 else None


# ---- Rotation -----------------------------------------------------------------------------------------------------


def test_a_rotation_under_load_logs_no_user_out(hasty: DeployedStack, name: str) -> None:
    # Given keys that are cached for three seconds, and sides that call all the time
    hasty.as_user(name)
    old = hasty.admin.token()
    statuses: list[int] = []
    kinds: set[str] = set()
    over = threading.Event()

    def call_all_the_time() -> None:
        while not over.is_set():
            fresh = ask(hasty, name, PASSWORD).json()["access_token"]
            kinds.add(decode_token(fresh)[0]["kid"])
            for token in (fresh, old):
                headers = {"authorization": f"Bearer {token}"}
                answer = httpx.get(f"{hasty.outputs.api_url}/api/v1/me", headers=headers, trust_env=False, timeout=60)
                statuses.append(answer.status_code)

    with ThreadPoolExecutor(4) as sides:
        running = [sides.submit(call_all_the_time) for _ in range(4)]
        try:
            wait_until(lambda: len(statuses) > 40, seconds=60, what="load")
            # When the key is rotated
            new = hasty.client("secretsmanager").put_secret_value(
                SecretId=hasty.outputs["TokenSecret"], SecretString=secrets.token_hex(32)
            )["VersionId"]
            # Then the new key signs after the cache time, and never does a good token get a 401
            wait_until(lambda: new in kinds, seconds=60, what="a token signed with the new key")
            seen = len(statuses)
            wait_until(lambda: len(statuses) > seen + 40, seconds=60, what="load after the rotation")
        finally:
            over.set()
        for side in running:
            side.result()
    assert set(statuses) == {200}
    assert len(kinds) == 2


# ---- The gateway --------------------------------------------------------------------------------------------------


@pytest.mark.only_on("ministack", because="LocalStack keeps rates and bursts and lets everything through")
def test_over_the_rate_a_429_problem_arrives(make_stack: StackFactory) -> None:
    # Given a stack that takes five requests at once and one a second
    stack = make_stack("throttled", ThrottleRate=1, ThrottleBurst=5, WorkerEnabled=False)
    # When thirty come
    with ThreadPoolExecutor(10) as sides:
        answers = list(sides.map(lambda _: stack.api.request("GET", "/api/v1/me"), range(30)))
    # Then some are let in, and the others get a problem that says when to come again
    refusals = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {200, 429}
    for refusal in refusals:
        assert refusal.json()["code"] == "TOO_MANY_REQUESTS"
        assert refusal.headers["content-type"] == "application/problem+json"
        assert refusal.headers["retry-after"] == "1"


def test_pages_of_named_origins_may_call_and_others_may_not(hasty: DeployedStack, subtests: pytest.Subtests) -> None:
    # Given a stack that names two origins
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    for path, item in hasty.api.get("/openapi.json")["paths"].items():
        with subtests.test(path):
            url = path.replace("{", "").replace("}", "")
            # When a browser asks for leave, without a token
            answer = hasty.as_anonymous(origin=ORIGIN, **preflight).request("OPTIONS", url)
            # Then every path grants it, for its own methods
            assert answer.status_code == 204
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            assert set(answer.headers["access-control-allow-methods"].split(", ")) == {name.upper() for name in item}
            granted = set(answer.headers["access-control-allow-headers"].split(", "))
            assert granted == {"authorization", "content-type", "idempotency-key", "if-match"}
            # And another origin gets none
            foreign = hasty.as_anonymous(origin="https://evil.example.com", **preflight).request("OPTIONS", url)
            assert not [header for header in foreign.headers if header.startswith("access-control")]
    # And the answers themselves, refusals too, can be read by the named origin alone
    for path in ("/health", "/openapi.json"):
        readable = hasty.as_anonymous(origin=ORIGIN).request("GET", path)
        assert (readable.headers["access-control-allow-origin"], readable.headers["vary"]) == (ORIGIN, "origin")
        hidden = hasty.as_anonymous(origin="null").request("GET", path)
        assert "access-control-allow-origin" not in hidden.headers


def test_pages_and_answers_carry_their_security_headers(stack: DeployedStack) -> None:
    page = stack.as_anonymous().request("GET", "/docs").headers
    assert "frame-ancestors 'none'" in page["content-security-policy"]
    assert page["x-frame-options"] == "DENY"
    assert page["strict-transport-security"].startswith("max-age=")
    for path in ("/docs", "/docs/start.js", "/health", "/api/v1/me"):
        assert stack.api.request("GET", path).headers["x-content-type-options"] == "nosniff"
    assert stack.api.request("GET", "/api/v1/me").headers["cache-control"] == "no-store"
    assert ask(stack, "nobody", "x").headers["cache-control"] == "no-store"


# ---- Last, because the half minute has passed by now ----------------------------------------------------------------


def test_a_password_change_ends_the_tokens_of_before(
    stack: DeployedStack, password_change: tuple[str, list[Future]]
) -> None:
    # Given a User who was signed in twice when the password changed
    name, tokens = password_change
    # Then both tokens are out within a minute, and the new password opens a new session
    assert {token.result() for token in tokens} == {(401, "TOKEN_REVOKED")}
    assert ask(stack, name, PASSWORD).json()["error"] == "invalid_grant"
    assert ask(stack, name, NEW_PASSWORD).status_code == 200


def test_a_role_taken_away_is_refused_within_a_minute(stack: DeployedStack, role_loss: tuple[str, Future]) -> None:
    # Given a User who acted as an Admin until the role was taken away
    name, token = role_loss
    # Then the token that says Admin is out within a minute, and a new one opens no Admin's door
    assert token.result()[0] == 401
    again = stack.as_user(name).request("PUT", f"/api/v1/users/{name}/role", json={"role": "Admin"})
    assert (again.status_code, again.json()["code"]) == (403, "FORBIDDEN")
