"""`leaseway users`: list, create and invite users, and change what they may do."""

import json
import os
from typing import Annotated, Any, TypedDict

import typer
from rich.table import Table
from rich.text import Text

from leaseway_local.answer_checks import check_answer, parse_answer
from leaseway_local.answers import InvitationAnswer, NewUserAnswer, ResetAnswer, UserAnswer, UserPageAnswer
from leaseway_local.commands.api_access import call_api, quote_segment
from leaseway_local.commands.options import CursorOption, JsonOption, TargetOption
from leaseway_local.connection import outputs
from leaseway_local.connection.clients import Target
from leaseway_local.connection.target import open_clients
from leaseway_local.errors import LocalCloudError
from leaseway_local.terminal.console import data, escape_controls, messages, print_json
from leaseway_local.terminal.tables import format_more, format_time

app = typer.Typer(no_args_is_help=True, help="List, create and invite users, and change what they may do.")

_PATH = "/api/v1/users"

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.", show_default=False)]
RoleOption = Annotated[str, typer.Option("--role", help="User, Worker or Admin.")]


class _BreakGlassReport(TypedDict):
    """The answer of the first Admin's function: a code for a new password."""

    username: str
    code: str


@app.command("list")
def list_users(
    size: Annotated[int, typer.Option(help="Users per page, up to 100.")] = 20,
    cursor: CursorOption = None,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """List users, in no order. A page can be short and still have a next one."""
    with call_api(target, as_json=as_json) as api:
        page = api.get(_PATH, UserPageAnswer, size=size, cursor=cursor)
    if as_json:
        print_json(page)
        return
    data.print(_user_table(page["content"]))
    if page["cursor"]:
        data.print(format_more(page))


@app.command()
def show(name: Name, target: TargetOption = Target.LOCAL, as_json: JsonOption = False) -> None:
    """Show a user."""
    with call_api(target, as_json=as_json) as api:
        _print_user(api.get(f"{_PATH}/{quote_segment(name)}", UserAnswer), as_json=as_json)


@app.command()
def create(
    name: Name, role: RoleOption = "User", target: TargetOption = Target.LOCAL, as_json: JsonOption = False
) -> None:
    """Create a user with the password in LEASEWAY_PASSWORD, or print a one-time code for the first password."""
    password = os.environ.get("LEASEWAY_PASSWORD")
    body = {"username": name, "role": role} | ({"password": password} if password is not None else {})
    with call_api(target, as_json=as_json) as api:
        user = api.post(_PATH, body, NewUserAnswer)
    if as_json:
        print_json(user)
        return
    data.print(_user_table([user]))
    if user["code"] is not None:
        _print_code(user["code"], user["username"])


@app.command()
def invite(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The only name that may use it.")] = None,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Print an invitation, a one-time code that admits one registration."""
    with call_api(target, as_json=as_json) as api:
        invitation = api.post("/api/v1/invitations", {"username": name}, InvitationAnswer)
    if as_json:
        print_json(invitation)
    else:
        data.print(invitation["invitation"], markup=False)
        messages.print(f"valid until {format_time(invitation['expires_at'])}, for POST /auth/register")


@app.command()
def disable(name: Name, target: TargetOption = Target.LOCAL, as_json: JsonOption = False) -> None:
    """Refuse a user's sign-ins, and the user's tokens within 30 seconds."""
    _change(name, "disable", target, as_json=as_json)


@app.command()
def enable(name: Name, target: TargetOption = Target.LOCAL, as_json: JsonOption = False) -> None:
    """Let a disabled user sign in again."""
    _change(name, "enable", target, as_json=as_json)


@app.command()
def logout(name: Name, target: TargetOption = Target.LOCAL, as_json: JsonOption = False) -> None:
    """End all sessions of a user within 30 seconds."""
    _change(name, "logout", target, as_json=as_json)


@app.command()
def unlock(name: Name, target: TargetOption = Target.LOCAL, as_json: JsonOption = False) -> None:
    """End a user's lock-out after failed sign-ins."""
    _change(name, "unlock", target, as_json=as_json)


@app.command()
def reset(name: Name, target: TargetOption = Target.LOCAL, as_json: JsonOption = False) -> None:
    """Print a one-time code with which a user sets a new password."""
    with call_api(target, as_json=as_json) as api:
        answer = api.post(f"{_PATH}/{quote_segment(name)}/reset", None, ResetAnswer)
    if as_json:
        print_json(answer)
    else:
        _print_code(answer["code"], answer["username"])


@app.command()
def role(
    name: Name,
    new: Annotated[str, typer.Argument(metavar="ROLE", help="User, Worker or Admin.", show_default=False)],
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Change a user's role, which ends the user's sessions within 30 seconds."""
    with call_api(target, as_json=as_json) as api:
        user = check_answer(api.put(f"{_PATH}/{quote_segment(name)}/role", {"role": new}), UserAnswer)
    _print_user(user, as_json=as_json)


@app.command("break-glass")
def break_glass(name: Name, target: TargetOption = Target.LOCAL) -> None:
    """Make a user an Admin with AWS credentials alone, if no Admin can sign in. Prints a code for a new password."""
    clients = open_clients(target)
    function = outputs.fetch(clients)["FirstAdminFunction"]
    answer = clients.get("lambda").invoke(FunctionName=function, Payload=json.dumps({"break_glass": name}))
    report = parse_answer(answer["Payload"].read(), dict[str, Any], of=f"the answer of {function}")
    if answer.get("FunctionError") or "error" in report:
        raise LocalCloudError(f"{name} is no Admin: {report.get('error') or report.get('errorMessage')}")
    admin = parse_answer(json.dumps(report), _BreakGlassReport, of=f"the answer of {function}")
    messages.print(f"{admin['username']} is an Admin")
    _print_code(admin["code"], admin["username"])


def _change(name: str, change: str, target: Target, *, as_json: bool) -> None:
    with call_api(target, as_json=as_json) as api:
        _print_user(api.post(f"{_PATH}/{quote_segment(name)}/{change}", None, UserAnswer), as_json=as_json)


def _print_user(user: UserAnswer, *, as_json: bool) -> None:
    if as_json:
        print_json(user)
    else:
        data.print(_user_table([user]))


def _print_code(code: str, username: str) -> None:
    data.print(code, markup=False)
    messages.print(f"with it, {username} sets a password once: POST /auth/password", markup=False)


def _user_table(users: list[UserAnswer] | list[NewUserAnswer]) -> Table:
    table = Table("name", "role", "created", "state", box=None, pad_edge=False)
    for user in users:
        state = "disabled" if user["disabled"] else ""
        table.add_row(
            Text(escape_controls(user["username"])),
            Text(escape_controls(user["role"])),
            Text(escape_controls(format_time(user["created_at"]))),
            state,
        )
    return table
