"""Every route of the OpenAPI document against every kind of caller, through the deployed gateway and authorizer."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from support.deployed_stacks import PASSWORD, DeployedStack, StackFactory
from support.forged_tokens import decode_token, forge_tokens, sign_token
from support.waiting import wait_until

# The gateway refuses these before the authorizer is asked: they cannot be tokens.
SHAPELESS = ("garbage", "alg none")


@dataclass
class Things:
    """What the routes are called with: a User's own job and account, and another User's."""

    user: str
    other: str
    admin: str
    own_job: str
    other_job: str
    task: str
    fresh: Callable[[], str] = lambda: f"doors-{secrets.token_hex(6)}"


@dataclass(frozen=True)
class Row:
    """How a permitted caller calls a route, and what comes back. `others` is the same call for what is another's."""

    status: int
    path: Callable[[Things], str] = lambda _: ""
    body: Callable[[Things], Any] = lambda _: None
    others: Callable[[Things], str] | None = None
    missing: str = ""


TASK = {"every": "1h", "type": "SLEEP", "payload": {"duration_ms": 1}, "overlap": "allow"}
JOB = {"type": "SLEEP", "payload": {"duration_ms": 1}}
CLAIMS = ("claim", "heartbeat", "complete", "fail")
NOT_HELD = {"claim_token": "0" * 16}
ROWS: dict[tuple[str, str], Row] = {
    ("get", "/health"): Row(200),
    ("get", "/metrics"): Row(200),
    ("get", "/docs"): Row(200),
    ("get", "/docs/{asset}"): Row(200, lambda _: "/docs/start.js"),
    ("get", "/openapi.json"): Row(200),
    ("get", "/console"): Row(200),
    ("get", "/console/{version}/{asset}"): Row(200, lambda _: "/console/any/console.js"),
    ("post", "/auth/register"): Row(201, body=lambda things: {"username": things.fresh(), "password": PASSWORD}),
    ("post", "/connect/token"): Row(
        200, body=lambda things: {"grant_type": "password", "username": things.user, "password": PASSWORD}
    ),
    # A code that nobody handed out: anyone may try one, and nothing is changed.
    ("post", "/auth/password"): Row(
        403, body=lambda things: {"username": things.user, "code": "made-up", "new_password": "quarry-violin-sunday"}
    ),
    ("get", "/api/v1/me"): Row(200),
    # The present password is wrong: who may call it learns that much, and nothing is changed.
    ("post", "/api/v1/me/password"): Row(
        400, body=lambda things: {"current_password": "wrong", "new_password": "quarry-violin-sunday"}
    ),
    ("post", "/api/v1/users"): Row(201, body=lambda things: {"username": things.fresh(), "password": PASSWORD}),
    ("post", "/api/v1/invitations"): Row(201),
    ("get", "/api/v1/users"): Row(200),
    ("get", "/api/v1/users/{username}"): Row(200, lambda things: f"/api/v1/users/{things.other}"),
    # There is no such user: who may call these learns that much, and nothing is changed.
    **{
        ("post", f"/api/v1/users/{{username}}/{change}"): Row(
            404, lambda _, change=change: f"/api/v1/users/nobody/{change}"
        )
        for change in ("disable", "enable", "logout", "reset", "unlock")
    },
    ("put", "/api/v1/users/{username}/role"): Row(
        200, lambda things: f"/api/v1/users/{things.other}/role", lambda _: {"role": "User"}
    ),
    ("post", "/api/users"): Row(201, body=lambda things: {"userId": things.fresh()}),
    ("post", "/api/users/update-balance"): Row(200, body=lambda things: {"userId": things.user, "amount": 1}),
    ("get", "/api/users/{userId}/balance"): Row(
        200,
        lambda things: f"/api/users/{things.user}/balance",
        others=lambda things: f"/api/users/{things.other}/balance",
        missing="/api/users/nobody-at-all/balance",
    ),
    ("get", "/api/users/{userId}/ledger"): Row(
        200,
        lambda things: f"/api/users/{things.user}/ledger",
        others=lambda things: f"/api/users/{things.other}/ledger",
        missing="/api/users/nobody-at-all/ledger",
    ),
    ("post", "/api/v1/transfers"): Row(
        200, body=lambda things: {"from": things.user, "to": things.other, "amount": "0.01"}
    ),
    # There is no such entry: who may call it learns that much, and nothing is changed.
    ("post", "/api/v1/ledger/{entry}/reversal"): Row(404, lambda _: "/api/v1/ledger/nobody:7/reversal"),
    ("post", "/api/v1/jobs"): Row(202, body=lambda _: JOB),
    ("post", "/api/v1/jobs/batch"): Row(202, body=lambda _: {"jobs": [JOB]}),
    ("post", "/api/v1/jobs/cancel"): Row(200, body=lambda _: {"type": "SLEEP", "dry_run": True}),
    ("post", "/api/v1/jobs/retry"): Row(200, body=lambda _: {"type": "SLEEP", "dry_run": True}),
    ("get", "/api/v1/jobs"): Row(200),
    ("get", "/api/v1/jobs/{id}"): Row(
        200,
        lambda things: f"/api/v1/jobs/{things.own_job}",
        others=lambda things: f"/api/v1/jobs/{things.other_job}",
        missing=f"/api/v1/jobs/{'0' * 32}",
    ),
    ("get", "/api/v1/jobs/{id}/result"): Row(
        200,
        lambda things: f"/api/v1/jobs/{things.own_job}/result",
        others=lambda things: f"/api/v1/jobs/{things.other_job}/result",
        missing=f"/api/v1/jobs/{'0' * 32}/result",
    ),
    # The own job has ended: who may call these learns that much, and nothing is changed.
    ("post", "/api/v1/jobs/{id}/cancel"): Row(
        409,
        lambda things: f"/api/v1/jobs/{things.own_job}/cancel",
        others=lambda things: f"/api/v1/jobs/{things.other_job}/cancel",
        missing=f"/api/v1/jobs/{'0' * 32}/cancel",
    ),
    ("post", "/api/v1/jobs/{id}/retry"): Row(
        409,
        lambda things: f"/api/v1/jobs/{things.own_job}/retry",
        others=lambda things: f"/api/v1/jobs/{things.other_job}/retry",
        missing=f"/api/v1/jobs/{'0' * 32}/retry",
    ),
    # No type of that name: who may ask learns that much, and no job is handed out.
    ("post", "/api/v1/jobs/claim"): Row(400, body=lambda _: {"types": ["NO_SUCH"], "worker": "doors"}),
    # The user's job runs on Lambda, and no worker holds it.
    ("post", "/api/v1/jobs/{id}/claim"): Row(
        409,
        lambda things: f"/api/v1/jobs/{things.own_job}/claim",
        lambda _: {"worker": "doors"},
        others=lambda things: f"/api/v1/jobs/{things.other_job}/claim",
        missing=f"/api/v1/jobs/{'0' * 32}/claim",
    ),
    ("post", "/api/v1/jobs/{id}/heartbeat"): Row(
        409,
        lambda things: f"/api/v1/jobs/{things.own_job}/heartbeat",
        lambda _: NOT_HELD,
        others=lambda things: f"/api/v1/jobs/{things.other_job}/heartbeat",
        missing=f"/api/v1/jobs/{'0' * 32}/heartbeat",
    ),
    ("post", "/api/v1/jobs/{id}/complete"): Row(
        409,
        lambda things: f"/api/v1/jobs/{things.own_job}/complete",
        lambda _: NOT_HELD | {"result": {}},
        others=lambda things: f"/api/v1/jobs/{things.other_job}/complete",
        missing=f"/api/v1/jobs/{'0' * 32}/complete",
    ),
    ("post", "/api/v1/jobs/{id}/fail"): Row(
        409,
        lambda things: f"/api/v1/jobs/{things.own_job}/fail",
        lambda _: NOT_HELD | {"error": "no"},
        others=lambda things: f"/api/v1/jobs/{things.other_job}/fail",
        missing=f"/api/v1/jobs/{'0' * 32}/fail",
    ),
    # There is no such job: who may call it learns that much, and nothing is removed.
    ("delete", "/api/v1/jobs/{id}"): Row(
        404,
        lambda _: f"/api/v1/jobs/{'0' * 32}",
        others=lambda things: f"/api/v1/jobs/{things.other_job}",
        missing=f"/api/v1/jobs/{'0' * 32}",
    ),
    ("get", "/api/tasks"): Row(200),
    ("post", "/api/tasks"): Row(201, body=lambda things: TASK | {"name": things.fresh()}),
    ("get", "/api/tasks/history"): Row(200),
    ("get", "/api/tasks/stats/summary"): Row(200),
    ("get", "/api/tasks/{id}"): Row(200, lambda things: f"/api/tasks/{things.task}"),
    ("patch", "/api/tasks/{id}"): Row(200, lambda things: f"/api/tasks/{things.task}", lambda _: {"enabled": False}),
    # There is no such task: who may call it learns that much, and nothing is deleted.
    ("delete", "/api/tasks/{id}"): Row(404, lambda _: f"/api/tasks/{'0' * 32}"),
    ("get", "/api/tasks/{id}/history"): Row(200, lambda things: f"/api/tasks/{things.task}/history"),
    ("post", "/api/tasks/{id}/run"): Row(202, lambda things: f"/api/tasks/{things.task}/run"),
    # The own job has ended without an object: who may call this learns that much.
    ("get", "/api/v1/jobs/{id}/link"): Row(
        404,
        lambda things: f"/api/v1/jobs/{things.own_job}/link",
        others=lambda things: f"/api/v1/jobs/{things.other_job}/link",
        missing=f"/api/v1/jobs/{'0' * 32}/link",
    ),
    ("get", "/api/v1/job-types"): Row(200),
    ("get", "/api/v1/overview"): Row(200),
    ("get", "/api/v1/dead-letters"): Row(200),
    ("post", "/api/v1/dead-letters/replay"): Row(202),
    # There is no such dead letter: who may call it learns that much, and nothing is changed.
    ("post", "/api/v1/dead-letters/{id}/replay"): Row(404, lambda _: f"/api/v1/dead-letters/{'0' * 32}/replay"),
    ("post", "/api/v1/uploads"): Row(201, body=lambda _: {"content_type": "image/png", "size": 1}),
}


@dataclass
class Doors:
    stack: DeployedStack
    things: Things
    user: str
    admin: str
    forged: dict[str, str]

    def knock(self, route: tuple[str, str], token: str | None, path: str = "") -> httpx.Response:
        """Call a route as its row says."""
        row = ROWS[route]
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return httpx.request(
            route[0],
            self.stack.outputs.api_url + (path or row.path(self.things) or route[1]),
            json=row.body(self.things),
            headers=headers,
            trust_env=False,
            timeout=60,
        )


@pytest.fixture(scope="module")
def doors(make_stack: StackFactory) -> Doors:
    stack = make_stack("doors", SweeperEnabled=False, LockoutAfter=100)
    names = [f"doors-{secrets.token_hex(4)}" for _ in range(2)]
    clients = [stack.as_user(name) for name in names]
    for name in names:
        stack.api.post("/api/users", {"userId": name, "balance": 10, "owner": name})
    jobs = [client.post("/api/v1/jobs", JOB)["id"] for client in clients]
    for job in jobs:
        ended = f"/api/v1/jobs/{job}/result"
        wait_until(
            lambda ended=ended: stack.api.request("GET", ended).status_code == 200, seconds=60, what="the job's end"
        )
    user = clients[0].auth.token()
    key = stack.client("secretsmanager").get_secret_value(SecretId=stack.outputs["TokenSecret"])["SecretString"]
    task = stack.api.post("/api/tasks", TASK | {"name": names[0]})["id"]
    things = Things(names[0], names[1], stack.admin.username, *jobs, task)
    return Doors(stack, things, user, stack.admin.token(), forge_tokens(user, key))


def routes(doors: Doors) -> dict[tuple[str, str], str]:
    """Every operation of the document, with what it asks of its caller."""
    document = doors.stack.api.get("/openapi.json")
    return {
        (method, path): operation["x-access"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def test_every_route_has_a_row(doors: Doors) -> None:
    assert routes(doors).keys() == ROWS.keys()


def test_open_routes_need_no_token(doors: Doors, subtests: pytest.Subtests) -> None:
    for route, access in routes(doors).items():
        if access == "open":
            for token in (None, doors.forged["garbage"], doors.forged["expired"], doors.user):
                with subtests.test(f"{route} {token}"):
                    assert doors.knock(route, token).status_code == ROWS[route].status


def test_guarded_routes_refuse_a_caller_without_a_valid_token(doors: Doors, subtests: pytest.Subtests) -> None:
    # Given every guarded route, no token, and every forgery
    expected = {None: "UNAUTHORIZED", **dict.fromkeys(SHAPELESS, "UNAUTHORIZED"), "expired": "TOKEN_EXPIRED"}
    for route, access in routes(doors).items():
        if access == "open":
            continue
        for kind in (None, *doors.forged):
            with subtests.test(f"{route} {kind}"):
                # When it is called
                answer = doors.knock(route, doors.forged[kind] if kind else None)
                # Then it is 401 with a challenge, in a problem document, and says nothing more
                assert answer.status_code == 401, answer.text
                assert answer.json()["code"] == expected.get(kind, "TOKEN_INVALID")
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_token_must_come_as_a_bearer(doors: Doors, subtests: pytest.Subtests) -> None:
    for value in (doors.admin, f"Basic {doors.admin}", "Bearer", f"Bearer {doors.admin} {doors.admin}"):
        with subtests.test(value[:10]):
            answer = httpx.get(
                f"{doors.stack.outputs.api_url}/api/v1/me", headers={"authorization": value}, trust_env=False
            )
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")


def test_a_user_is_let_in_where_users_are_and_nowhere_else(doors: Doors, subtests: pytest.Subtests) -> None:
    for route, access in routes(doors).items():
        with subtests.test(str(route)):
            answer = doors.knock(route, doors.user)
            if access in ("Admin", "Worker"):
                assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
            else:
                assert answer.status_code == ROWS[route].status, answer.text


def test_a_worker_is_let_in_where_workers_and_users_are_and_sees_no_more_than_a_user(
    doors: Doors, subtests: pytest.Subtests
) -> None:
    # Given a user whom an Admin made a Worker
    name = f"doors-{secrets.token_hex(4)}"
    doors.stack.as_user(name)
    doors.stack.api.request("PUT", f"/api/v1/users/{name}/role", json={"role": "Worker"})
    worker = doors.stack.as_user(name)
    token = worker.auth.token()
    # When it calls every route, then Admins' stay shut
    for route, access in routes(doors).items():
        with subtests.test(str(route)):
            path = ROWS[route].others(doors.things) if ROWS[route].others else ""
            answer = doors.knock(route, token, path)
            if access == "Admin":
                assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
            elif access == "Worker":
                assert answer.status_code == ROWS[route].status
            # And what is others' is absent, but for the claims of their jobs
            elif path:
                assert answer.status_code == (409 if route[1].rpartition("/")[2] in CLAIMS else 404), answer.text


def test_an_admin_is_let_in_everywhere_and_sees_what_is_others(doors: Doors, subtests: pytest.Subtests) -> None:
    for route in routes(doors):
        with subtests.test(str(route)):
            answer = doors.knock(route, doors.admin)
            assert answer.status_code == ROWS[route].status, answer.text


def test_what_is_anothers_is_as_absent_as_what_does_not_exist(doors: Doors, subtests: pytest.Subtests) -> None:
    for route, row in ROWS.items():
        if row.others is None:
            continue
        with subtests.test(str(route)):
            # When a User asks for what is another's, and for what does not exist
            others = doors.knock(route, doors.user, row.others(doors.things))
            missing = doors.knock(route, doors.user, row.missing)
            # Then both are 404 with the same code and words
            assert others.status_code == missing.status_code == 404
            assert without_names(others) == without_names(missing)


def without_names(answer: httpx.Response) -> dict[str, Any]:
    """A problem without what names the request and the thing that was asked for."""
    return {name: value for name, value in answer.json().items() if name not in ("instance", "job_id", "userId")}


def test_a_user_sends_money_from_the_own_account_only(doors: Doors) -> None:
    body = {"from": doors.things.other, "to": doors.things.user, "amount": 1}
    answer = doors.stack.as_user(doors.things.user).request("POST", "/api/v1/transfers", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
    past = {"at": "2020-01-01T00:00:00Z"}
    refused = doors.stack.as_user(doors.things.user).request(
        "GET", f"/api/users/{doors.things.other}/balance", params=past
    )
    assert (refused.status_code, refused.json()["code"]) == (404, "USER_NOT_FOUND")


def test_a_user_reads_definitions_of_tasks_but_no_runs_of_others(doors: Doors) -> None:
    # Given an Admin's task that has run
    path = f"/api/tasks/{doors.things.task}"
    doors.stack.api.post(f"{path}/run")
    wait_until(lambda: doors.stack.api.get(path)["run"], seconds=30, what="a run of the task")
    # When a User reads it, alone and in the list
    user = doors.stack.as_user(doors.things.user)
    listed = [task for task in user.get("/api/tasks")["content"] if task["id"] == doors.things.task]
    # Then there is the definition, without the run
    for task in (user.get(path), *listed):
        assert (task["type"], task["run"]) == ("SLEEP", None)
    assert listed


def test_lists_counts_and_cursors_show_a_user_only_his_own(doors: Doors) -> None:
    # Given two users with several jobs each
    mine, theirs = (doors.stack.as_user(f"lists-{secrets.token_hex(4)}") for _ in range(2))
    own = {mine.post("/api/v1/jobs", JOB)["id"] for _ in range(3)}
    for _ in range(5):
        theirs.post("/api/v1/jobs", JOB)
    # When one lists
    page = mine.get("/api/v1/jobs", size=2)
    rest = mine.get("/api/v1/jobs", size=2, cursor=page["cursor"])
    # Then only own jobs are in it
    assert {job["id"] for job in page["content"] + rest["content"]} == own
    # And the other's cursor opens nothing, nor does a page beyond the end, nor another's name
    foreign = theirs.get("/api/v1/jobs", size=2)["cursor"]
    stolen = mine.request("GET", "/api/v1/jobs", params={"size": 2, "cursor": foreign})
    assert (stolen.status_code, stolen.json()["code"]) == (400, "INVALID_CURSOR")
    assert mine.get("/api/v1/jobs", page=50, size=10)["content"] == []
    for owner in ("*", "admin", doors.things.other):
        refused = mine.request("GET", "/api/v1/jobs", params={"owner": owner, "status": "CREATED"})
        assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")
    # And totals count his own, however many there are
    for client, most in ((mine, 3), (theirs, 5)):
        assert client.get("/api/v1/jobs")["totalElements"] <= most


def test_a_token_is_good_at_its_own_deployment_only(doors: Doors, stack: DeployedStack) -> None:
    answer = httpx.get(
        f"{stack.outputs.api_url}/api/v1/me", headers={"authorization": f"Bearer {doors.admin}"}, trust_env=False
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "TOKEN_INVALID")


def test_the_forgeries_are_good_but_for_what_they_forge(doors: Doors) -> None:
    """The control: signed the same way, with nothing forged, a token is let in."""
    header, claims = decode_token(doors.user)
    key = doors.stack.client("secretsmanager").get_secret_value(SecretId=doors.stack.outputs["TokenSecret"])
    token = sign_token(header, claims | {"jti": "another"}, key["SecretString"])
    assert doors.knock(("get", "/api/v1/me"), token).json()["username"] == doors.things.user
