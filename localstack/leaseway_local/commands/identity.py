"""`leaseway login`, `token`, `rotate-secret`: the user whom the commands act for, and the key that signs tokens."""

import os
import secrets
import string
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from leaseway_local.commands.options import TargetOption
from leaseway_local.connection import session_file, sign_in
from leaseway_local.connection.api_client import ApiClient, ApiProblem
from leaseway_local.connection.clients import Target
from leaseway_local.connection.outputs import Outputs, fetch
from leaseway_local.connection.sign_in import SignIn
from leaseway_local.connection.target import open_clients, open_session
from leaseway_local.engine.paths import default_home
from leaseway_local.errors import LocalCloudError
from leaseway_local.terminal.console import data, escape_controls, messages

if TYPE_CHECKING:
    from types_boto3_secretsmanager import SecretsManagerClient
    from types_boto3_secretsmanager.type_defs import SecretVersionsListEntryTypeDef

app = typer.Typer()

_LETTERS = string.ascii_letters + string.digits
_LONGEST_TOKEN_SECONDS = 3_600

UserOption = Annotated[str, typer.Option("--user", help="The user's name; by default the first Admin.")]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Rotate even if the last rotation is so recent that sessions will end.")
]


@app.command()
def login(user: UserOption = "", target: TargetOption = Target.LOCAL) -> None:
    """Sign in; from now on all commands act for this user.

    The first Admin's password is read from Secrets Manager, another user's from LEASEWAY_PASSWORD or the terminal.
    """
    clients = open_clients(target)
    outputs = fetch(clients)
    admin = sign_in.read_first_admin(clients, outputs) if not user or _read_password_setting() is None else None
    session = admin if admin and user in ("", admin.username) else SignIn(outputs.api_url, user, _password(user))
    saved = session_file.read(default_home(), outputs)
    saved.add(session)
    saved.current = session.username
    session_file.write(default_home(), outputs, saved)
    messages.print(f"signed in as {session.username}")


@app.command()
def token(user: UserOption = "", target: TargetOption = Target.LOCAL) -> None:
    """Print a bearer token for curl, Swagger UI and programs, as the last line of the output.

    On the local cloud, an unknown user is created, with a password that is saved in this folder.
    """
    print(_session(user, target).token() if user else open_session(target).token())  # noqa: T201 - for programs


@app.command(name="rotate-secret")
def rotate_secret(force: ForceOption = False, target: TargetOption = Target.LOCAL) -> None:
    """Sign new tokens with a new key. Sessions continue: tokens of the old key stay valid until they expire."""
    clients = open_clients(target)
    secret, manager = fetch(clients)["TokenSecret"], clients.get("secretsmanager")
    age = time.time() - _current_version(manager, secret)["CreatedDate"].timestamp()
    if _is_rotated(manager, secret) and age < _LONGEST_TOKEN_SECONDS and not force:
        raise LocalCloudError(
            f"the key was rotated {age / 60:.0f} minutes ago, and tokens of the one before it are still good.",
            "Wait until an hour has passed, or say --force to end those tokens.",
        )
    new = "".join(secrets.choice(_LETTERS) for _ in range(64))
    version = manager.put_secret_value(SecretId=secret, SecretString=new)["VersionId"]
    messages.print(f"the key is rotated; version {version} signs in about a minute, when every function knows it")


def _session(user: str, target: Target) -> SignIn:
    """Return a user's saved session, or open a new one."""
    outputs = fetch(open_clients(target))
    saved = session_file.read(default_home(), outputs)
    session = saved.find(user)
    if session is None or not (session.password or session.is_fresh()):
        session, made_up = _open_or_register(user, outputs)
        saved.add(session, with_password=made_up)
        session_file.write(default_home(), outputs, saved)
    return session


def _open_or_register(user: str, outputs: Outputs) -> tuple[SignIn, bool]:
    if outputs.target is not Target.AWS and _read_password_setting() is None:
        password = "".join(secrets.choice(_LETTERS) for _ in range(24))
        if _register(outputs, user, password):
            messages.print(f"{user} is a new user of the local cloud")
            return SignIn(outputs.api_url, user, password), True
    return SignIn(outputs.api_url, user, _password(user)), False


def _register(outputs: Outputs, user: str, password: str) -> bool:
    with ApiClient(outputs.api_url) as api:
        try:
            api.post("/auth/register", {"username": user, "password": password})
        except ApiProblem as problem:
            if problem.code == "USERNAME_TAKEN":
                return False
            raise
    return True


def _read_password_setting() -> str | None:
    return os.environ.get("LEASEWAY_PASSWORD")


def _password(user: str) -> str:
    password = _read_password_setting()
    if password is not None:
        return password
    if not sys.stdin.isatty():
        raise LocalCloudError(f"the password of {user} is needed.", "Set LEASEWAY_PASSWORD, or run this in a terminal.")
    return str(typer.prompt(f"Password of {escape_controls(user)}", hide_input=True, err=True))


def _versions(manager: "SecretsManagerClient", secret: str) -> "list[SecretVersionsListEntryTypeDef]":
    versions = manager.list_secret_version_ids(SecretId=secret).get("Versions", [])
    if not any("AWSCURRENT" in version.get("VersionStages", []) for version in versions):
        raise LocalCloudError("the secret of tokens has no current version.", "Run `leaseway deploy`.")
    return versions


def _current_version(manager: "SecretsManagerClient", secret: str) -> "SecretVersionsListEntryTypeDef":
    return next(version for version in _versions(manager, secret) if "AWSCURRENT" in version.get("VersionStages", []))


def _is_rotated(manager: "SecretsManagerClient", secret: str) -> bool:
    return any("AWSPREVIOUS" in version.get("VersionStages", []) for version in _versions(manager, secret))


def show_admin(outputs: Outputs, admin: SignIn) -> None:
    """Print the first Admin's password when this folder first uses the deployment."""
    data.print(
        f"""
The first Admin, shown this once and saved in the secret {outputs["AdminSecret"]}:
  username  {admin.username}
  password  {admin.password}""",
        markup=False,
    )
