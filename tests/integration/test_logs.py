"""A whole run, with secrets planted wherever one can be put, and then every log of it is read."""

import secrets

import httpx

from leaseway_local.engine.paths import Home
from support.deployed_stacks import PASSWORD, DeployedStack, StackFactory
from support.forged_tokens import forge_tokens
from support.waiting import wait_until

FUNCTIONS = ("ApiFunction", "AuthorizerFunction", "FirstAdminFunction", "WorkerFunction", "TallyFunction")


def test_no_log_of_a_whole_run_has_a_secret(make_stack: StackFactory, home: Home) -> None:
    # Given a stack that logs as much as it can
    stack = make_stack("planted", LogLevel="DEBUG", LogFormat="json", LockoutAfter=3)
    url, name = stack.outputs.api_url, f"logs-{secrets.token_hex(4)}"
    planted = {kind: f"planted-{kind}-{secrets.token_hex(8)}" for kind in ("wrong", "new", "payload", "key", "body")}
    # When everything that carries a secret is done, well and badly
    user = stack.as_user(name)
    token = user.auth.token()
    key = stack.client("secretsmanager").get_secret_value(SecretId=stack.outputs["TokenSecret"])["SecretString"]
    for forged in forge_tokens(token, key).values():
        httpx.get(f"{url}/api/v1/me", headers={"authorization": f"Bearer {forged}"}, trust_env=False)
    for password in [planted["wrong"]] * 4:
        form = {"grant_type": "password", "username": f"no-{name}", "password": password}
        httpx.post(f"{url}/connect/token", data=form, trust_env=False)
    httpx.post(f"{url}/auth/register", json={"username": "a b", "password": planted["new"]}, trust_env=False)
    httpx.post(f"{url}/auth/register", content=f'{{"password": "{planted["body"]}"', trust_env=False)
    stack.api.post("/api/users", {"userId": name, "balance": 1, "owner": name})
    with_key = {"idempotency-key": planted["key"]}
    user.request("POST", "/api/v1/transfers", json={"from": name, "to": "1", "amount": "0.01"}, headers=with_key)
    jobs = [
        {"type": "HTTP_GET", "payload": {"url": f"http://10.0.0.1/?token={planted['payload']}"}},
        {"type": "HTTP_GET", "payload": {"url": f"http://no-such-host.invalid/?token={planted['payload']}"}},
        {"type": "IMAGE_RESIZE", "payload": {"source": {"base64": planted["payload"]}, "width": 1, "height": 1}},
        {"type": "SLEEP", "payload": {"duration_ms": 1, "note": planted["payload"]}},
    ]
    answers = [user.request("POST", "/api/v1/jobs", json={**job, "max_attempts": 1}) for job in jobs]
    for answer in answers:
        if answer.status_code == 202:
            path = f"/api/v1/jobs/{answer.json()['id']}/result"
            wait_until(lambda path=path: user.request("GET", path).status_code == 200, seconds=60, what="the job's end")
    change = {"current_password": PASSWORD, "new_password": planted["new"]}
    assert user.request("POST", "/api/v1/me/password", json=change).status_code == 200
    # Then no function's log and not the engine's has one of them
    engines_own = home.log.read_text(errors="replace") if home.log.exists() else ""  # another's log is not kept here
    text = everything_logged(stack) + engines_own
    for event in ("login", "register", "password_change", "refused"):
        assert f'"event":"{event}"' in text
    settings = stack.client("lambda").get_function_configuration(FunctionName=stack.outputs["ApiFunction"])
    named = settings["Environment"]["Variables"]["CURSOR_SECRET"]
    cursor = stack.client("secretsmanager").get_secret_value(SecretId=named)["SecretString"]
    never = {**planted, "password": PASSWORD, "admin": stack.admin.password, "signs tokens": key, "cursors": cursor}
    never |= {f"part {number} of a token": part for number, part in enumerate(token.split(".")[1:])}
    assert [kind for kind, secret in never.items() if secret in text] == []


def everything_logged(stack: DeployedStack) -> str:
    logs = stack.client("logs")
    groups = logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{stack.name}-")["logGroups"]
    assert len(groups) >= len(FUNCTIONS)
    pages = (
        page
        for group in groups
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
    )
    return "\n".join(event["message"] for page in pages for event in page["events"])
