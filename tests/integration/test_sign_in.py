"""`leaseway login`, `token`, `rotate-secret`: as a person types them, on a stack of the name that they act on."""

import json
import secrets
import stat
from collections.abc import Iterator

import httpx
import pytest
from typer.testing import CliRunner, Result

from leaseway_local.cli import app
from leaseway_local.engine.paths import DEFAULT_STACK, Home
from leaseway_local.errors import LocalCloudError
from support.commands import RunCommand
from support.deployed_stacks import PASSWORD, AnyEngine, DeployedStack, deploy
from support.forged_tokens import decode_token


@pytest.fixture(scope="module")
def usual(engine: AnyEngine, home: Home) -> Iterator[DeployedStack]:
    stack = deploy(engine, home, DEFAULT_STACK, {"WorkerConcurrency": "2"})
    yield stack
    stack.api.close()


@pytest.fixture
def leaseway(usual: DeployedStack, home: Home, monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    """Runs a command before any sign-in."""
    (home.path / "signed-in-local.json").unlink(missing_ok=True)
    monkeypatch.setenv("LEASEWAY_HOME", str(home.path))
    monkeypatch.delenv("LEASEWAY_PASSWORD", raising=False)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def who(stack: DeployedStack, token: str) -> tuple[str, str]:
    headers = {"authorization": f"Bearer {token}"}
    me = httpx.get(f"{stack.outputs.api_url}/api/v1/me", headers=headers, trust_env=False).json()
    return me["username"], me["role"]


def last_line(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()[-1]


def test_a_token_of_the_first_admin_stands_alone_on_the_last_line(usual: DeployedStack, leaseway: RunCommand) -> None:
    assert who(usual, last_line(leaseway("token"))) == ("admin", "Admin")


def test_a_new_name_becomes_a_user_of_the_local_cloud_and_stays_it(usual: DeployedStack, leaseway: RunCommand) -> None:
    name = f"cli-{secrets.token_hex(4)}"
    first = last_line(leaseway("token", "--user", name))
    assert who(usual, first) == (name, "User")
    assert last_line(leaseway("token", "--user", name)) == first


def test_commands_act_for_who_signed_in_last(
    usual: DeployedStack, leaseway: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a User of another program, with an account
    name = f"cli-{secrets.token_hex(4)}"
    usual.as_user(name)
    usual.api.post("/api/users", {"userId": name, "balance": 7, "owner": name})
    # When he signs in
    monkeypatch.setenv("LEASEWAY_PASSWORD", PASSWORD)
    assert leaseway("login", "--user", name).exit_code == 0
    # Then the commands see what he may see
    assert who(usual, last_line(leaseway("token"))) == (name, "User")
    assert json.loads(leaseway("balance", "show", name, "--json").stdout)["balance"] == 7
    refused = leaseway("balance", "update", name, "5")
    assert (refused.exit_code, refused.stderr.partition(":")[0]) == (1, "FORBIDDEN")
    # And the Admin again after the next login
    monkeypatch.delenv("LEASEWAY_PASSWORD")
    assert leaseway("login").exit_code == 0
    assert leaseway("balance", "update", name, "5").exit_code == 0


def test_what_is_kept_is_this_users_alone_and_has_no_password_that_a_person_chose(
    usual: DeployedStack, leaseway: RunCommand, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEASEWAY_PASSWORD", PASSWORD)
    name = f"cli-{secrets.token_hex(4)}"
    usual_login = leaseway("login", "--user", name)
    assert isinstance(usual_login.exception, LocalCloudError)  # there is no such user yet, and login makes none
    monkeypatch.delenv("LEASEWAY_PASSWORD")
    leaseway("token", "--user", name)
    leaseway("login")
    file = home.path / f"signed-in-{usual.outputs.target.value}.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    users = json.loads(file.read_text())["users"]
    assert users["admin"]["password"] == ""
    assert users[name]["password"]


def test_a_name_that_is_taken_needs_its_password(usual: DeployedStack, leaseway: RunCommand) -> None:
    name = f"cli-{secrets.token_hex(4)}"
    usual.as_user(name)
    refused = leaseway("token", "--user", name)
    assert isinstance(refused.exception, LocalCloudError)
    assert "password" in str(refused.exception)


def test_a_rotation_keeps_sessions_and_is_not_repeated_within_the_hour(
    usual: DeployedStack, leaseway: RunCommand
) -> None:
    # Given an Admin with a token
    token = last_line(leaseway("token"))
    manager, secret = usual.client("secretsmanager"), usual.outputs["TokenSecret"]
    before = manager.get_secret_value(SecretId=secret)
    # When the key is rotated
    assert leaseway("rotate-secret").exit_code == 0
    # Then there is another, and the token is still good
    after = manager.get_secret_value(SecretId=secret)
    assert decode_token(token)[0]["kid"] == before["VersionId"] != after["VersionId"]
    assert before["SecretString"] != after["SecretString"]
    assert len(after["SecretString"]) == 64
    assert who(usual, token)[0] == "admin"
    # And a second rotation, which would end tokens, is refused unless it is meant
    again = leaseway("rotate-secret")
    assert isinstance(again.exception, LocalCloudError)
    assert "--force" in again.exception.todo
    assert leaseway("rotate-secret", "--force").exit_code == 0
