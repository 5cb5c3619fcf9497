"""`leaseway users` on a deployed stack: a user's life by commands, and the way back in without an Admin."""

import json
import secrets

import pytest
from typer.testing import CliRunner, Result

from leaseway_local import cli
from leaseway_local.commands import api_access, users
from leaseway_local.connection.api_client import ApiClient, ApiProblem
from leaseway_local.connection.sign_in import SignIn, SignInRefusedError
from support.deployed_stacks import DeployedStack, StackFactory

PASSWORD, NEW_PASSWORD = "orbit-lantern-mosaic", "quarry-violin-sunday"


@pytest.fixture
def invitation_stack(make_stack: StackFactory, monkeypatch: pytest.MonkeyPatch) -> DeployedStack:
    """A stack that admits those who have an invitation, with the commands on it."""
    stack = make_stack("invited", Registration="invited", WorkerEnabled=False, SweeperEnabled=False)
    monkeypatch.setattr(api_access, "open_api", lambda target: ApiClient(stack.outputs.api_url, auth=stack.admin))
    monkeypatch.setattr(users, "open_clients", lambda target: stack.clients)
    monkeypatch.setattr(users.outputs, "fetch", lambda clients: stack.outputs)
    return stack


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(cli.app, ["users", *arguments])
    assert result.exit_code == 0, result.output
    return result


def sign_in(stack: DeployedStack, name: str, password: str) -> ApiClient:
    api = ApiClient(stack.outputs.api_url, auth=SignIn(stack.outputs.api_url, name, password))
    assert api.get("/api/v1/me")["username"] == name
    return api


def test_a_users_life_by_commands(invitation_stack: DeployedStack) -> None:
    name = f"life-{secrets.token_hex(4)}"
    # Given a user who registered with an invitation, which the deployment requires
    anyone = invitation_stack.as_anonymous()
    with pytest.raises(ApiProblem, match="INVITATION_REQUIRED"):
        anyone.post("/auth/register", {"username": name, "password": PASSWORD})
    code = json.loads(run("invite", name, "--json").stdout)["invitation"]
    anyone.post("/auth/register", {"username": name, "password": PASSWORD, "invitation": code})
    sign_in(invitation_stack, name, PASSWORD)
    # When she is disabled, then she cannot sign in until she is enabled
    run("disable", name)
    with pytest.raises(SignInRefusedError):
        sign_in(invitation_stack, name, PASSWORD)
    run("enable", name)
    run("logout", name)
    run("unlock", name)
    sign_in(invitation_stack, name, PASSWORD)
    # And a code gives her a new password, and a role is shown in the list
    reset = json.loads(run("reset", name, "--json").stdout)
    anyone.post("/auth/password", {"username": name, "code": reset["code"], "new_password": NEW_PASSWORD})
    sign_in(invitation_stack, name, NEW_PASSWORD)
    assert "Worker" in run("role", name, "Worker").stdout
    listed = {user["username"]: user["role"] for user in json.loads(run("list", "--json").stdout)["content"]}
    assert listed[name] == "Worker"


def test_the_glass_is_broken_with_aws_credentials_alone(invitation_stack: DeployedStack) -> None:
    # Given a name that no user has
    name = f"Root-{secrets.token_hex(4)}"
    # When the owner of the stack breaks the glass
    code = run("break-glass", name).stdout.splitlines()[0]
    # Then the code gives an Admin a password
    body = {"username": name, "code": code, "new_password": NEW_PASSWORD}
    assert invitation_stack.as_anonymous().post("/auth/password", body)["role"] == "Admin"
    assert sign_in(invitation_stack, name, NEW_PASSWORD).get("/api/v1/users")["content"]
