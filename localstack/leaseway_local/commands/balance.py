"""`leaseway balance`: read a balance and change it."""

from typing import Annotated

import typer

from leaseway_local.answers import AccountAnswer
from leaseway_local.commands.api_access import call_api, quote_segment
from leaseway_local.commands.options import JsonOption, TargetOption
from leaseway_local.connection.clients import Target
from leaseway_local.terminal.console import data, print_json
from leaseway_local.terminal.tables import account_table

app = typer.Typer(no_args_is_help=True, help="Read a balance or add to it.")

User = Annotated[str, typer.Argument(help="The account's user id.", show_default=False)]


@app.command()
def show(user: User, target: TargetOption = Target.LOCAL, as_json: JsonOption = False) -> None:
    """Show a user's balance."""
    with call_api(target, as_json=as_json) as api:
        _print(api.get(f"/api/users/{quote_segment(user)}/balance", AccountAnswer), as_json=as_json)


# Without this, -30 would be read as an option.
@app.command(context_settings={"ignore_unknown_options": True})
def update(
    user: User,
    amount: Annotated[str, typer.Argument(help="Added to the balance, such as 100.50 or -30.", show_default=False)],
    reference: Annotated[str | None, typer.Option(help="Your own note on the change.")] = None,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Add to a user's balance; a negative amount takes away. It never falls below zero."""
    change = {"userId": user, "amount": amount} | ({"reference": reference} if reference is not None else {})
    with call_api(target, as_json=as_json) as api:
        _print(api.post_once("/api/users/update-balance", change, AccountAnswer), as_json=as_json)


def _print(account: AccountAnswer, *, as_json: bool) -> None:
    if as_json:
        print_json(account)
    else:
        data.print(account_table(account))
