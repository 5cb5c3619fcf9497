"""`leaseway ledger`: show a user's entries, verify them, repair a gap, export everything.

Verifying, repairing and exporting run in the deployment's ledger-check function, which has permission to read the
tables; the commands only invoke it.
"""

import csv
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import IO, Annotated, Any, cast

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from leaseway_local.answers import LedgerPageAnswer
from leaseway_local.commands.api_access import call_api, quote_segment
from leaseway_local.commands.options import JsonOption, TargetOption
from leaseway_local.connection.clients import Target
from leaseway_local.connection.ledger_check import ExportReport, RepairReport, VerificationReport, invoke_check
from leaseway_local.connection.pages import CursorTrail
from leaseway_local.errors import LocalCloudError
from leaseway_local.terminal.console import data, escape_controls, format_json, messages, print_json
from leaseway_local.terminal.tables import format_money, format_time

app = typer.Typer(no_args_is_help=True, help="Show, verify, repair and export the ledger.")


_USER_ID = re.compile("[A-Za-z0-9_][A-Za-z0-9._@:-]{0,127}")
_QUOTED_CHARACTERS = 130


def _refuse_odd(user: str | None) -> str | None:
    """Refuse what cannot be a user's id, before DynamoDB refuses it in its own words."""
    if user == "":
        raise typer.BadParameter("the user id is empty")
    if user is not None and not _USER_ID.fullmatch(user):
        raise typer.BadParameter(f"{user[:_QUOTED_CHARACTERS]!r} is no user id")
    return user


User = Annotated[str, typer.Argument(help="The account's user id.", show_default=False, callback=_refuse_odd)]
AnyUser = Annotated[
    str | None,
    typer.Argument(help="The account's user id; all accounts by default.", show_default=False, callback=_refuse_odd),
]

_COLUMNS = ("user_id", "version", "at", "kind", "amount", "prev_balance", "balance_after", "currency", "reference",
            "actor", "request_id", "counterparty", "transfer_id", "reverses", "reconstructed")  # fmt: skip

_FREE_TEXT = ("reference", "actor")


class Format(str, Enum):  # noqa: UP042 - typer shows the members' values
    """The format of an export."""

    CSV = "csv"
    JSONL = "jsonl"


@app.command()
def show(
    user: User,
    size: Annotated[int, typer.Option(help="Number of entries, up to 100.")] = 20,
    since: Annotated[str | None, typer.Option("--from", help="Only entries since this time, as 2026-02-04T15:30:00Z.")]
    = None,
    until: Annotated[str | None, typer.Option("--to", help="Only entries up to this time.")] = None,
    reference: Annotated[str | None, typer.Option(help="Only entries with this reference.")] = None,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Show a user's latest entries, newest first."""
    query = {"from": since, "to": until, "reference": reference, "size": size}
    with call_api(target, as_json=as_json) as api:
        page = api.get(f"/api/users/{quote_segment(user)}/ledger", LedgerPageAnswer, **query)
    if as_json:
        print_json(page)
        return
    table = _table("entry", "at", "kind", "amount", "balance", "reference", "other side")
    for entry in page["content"]:
        amounts = (format_money(entry["amount"]), format_money(entry["balance_after"]))
        about = (entry["reference"] or "", entry["counterparty"] or entry["reverses"] or "")
        table.add_row(entry["entry"], format_time(entry["at"]), entry["kind"], *amounts, *about)
    data.print(table)


@app.command()
def verify(user: AnyUser = None, target: TargetOption = Target.LOCAL, as_json: JsonOption = False) -> None:
    """Check that the entries explain every balance and add up to the total. Exits 1 if they do not."""
    report = invoke_check(target, {"do": "verify", "user_id": user}, VerificationReport)
    if as_json:
        print_json(report)
    else:
        _print_report(report)
    if not report["clean"]:
        raise typer.Exit(1)


@app.command()
def repair(user: User, target: TargetOption = Target.LOCAL, as_json: JsonOption = False) -> None:
    """Rebuild a user's missing entries from their neighbours, and mark them as reconstructed."""
    entries = invoke_check(target, {"do": "repair", "user_id": user}, RepairReport)["repaired"]
    if as_json:
        print_json(entries)
        return
    for entry in entries:
        data.print(f"rebuilt {entry['user_id']}:{entry['version']}, a {entry['kind']} of {entry['amount']}")
    data.print(f"{len(entries)} entries rebuilt")


@app.command()
def export(
    user: AnyUser = None,
    form: Annotated[Format, typer.Option("--format", help="csv has a header line; jsonl has one object per line.")]
    = Format.CSV,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file instead of standard output.")] = None,
    target: TargetOption = Target.LOCAL,
) -> None:  # fmt: skip
    """Export every entry; those of one user are in the order of their versions."""
    with _open_output(output) as file:
        count = (_write_csv if form is Format.CSV else _write_jsonl)(file, _entries(target, user))
    messages.print(f"{count:,} entries exported")


def _entries(target: Target, user: str | None) -> Iterator[dict[str, Any]]:
    after: dict[str, Any] | None = None
    trail = CursorTrail()
    while True:
        page = invoke_check(target, {"do": "export", "user_id": user, "after": after}, ExportReport)
        yield from cast("list[dict[str, Any]]", page["entries"])
        after = page["after"]
        if after is None:
            return
        trail.follow(json.dumps(after, sort_keys=True))


def _print_report(report: VerificationReport) -> None:
    if report["listed"]:
        table = _table("user", "version", "what", "detail")
        for difference in report["listed"]:
            version = str(difference["version"] or "")
            table.add_row(difference["user_id"] or "", version, difference["kind"], difference["detail"])
        data.print(table)
    counts = f"{report['accounts']:,} accounts, {report['entries']:,} entries"
    behind = f", {report['behind']:,} accounts whose latest entries are on their way" if report["behind"] else ""
    verdict = "[green]clean[/]" if report["clean"] else f"[red]{report['differences']:,} differences[/]"
    data.print(f"{verdict}: {counts}{behind}", markup=True)


def _write_csv(file: IO[str], entries: Iterator[dict[str, Any]]) -> int:
    writer = csv.DictWriter(file, _COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    count = 0
    for entry in entries:
        row = entry | {name: _defuse_formula(entry[name] or "") for name in _FREE_TEXT if name in entry}
        if file is sys.stdout:  # a terminal may be behind a pipe too; --output keeps every character
            row = {name: escape_controls(value) if isinstance(value, str) else value for name, value in row.items()}
        writer.writerow(row)
        count += 1
    return count


def _defuse_formula(text: str) -> str:
    """Quote a text that a spreadsheet would run, such as =cmd(...)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _write_jsonl(file: IO[str], entries: Iterator[dict[str, Any]]) -> int:
    count = 0
    for entry in entries:
        file.write(format_json(entry) + "\n")
        count += 1
    return count


@contextmanager
def _open_output(output: Path | None) -> Iterator[IO[str]]:
    """Open standard output, or a file that takes the place of `output` only when the block has succeeded."""
    if output is None:
        yield sys.stdout
        return
    # A device or a pipe has no content to protect.
    unfinished = output.with_name(f".{output.name}.unfinished") if output.is_file() or not output.exists() else output
    try:
        with unfinished.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file
        if unfinished is not output:
            unfinished.replace(output)
    except OSError as problem:
        raise LocalCloudError(f"cannot write {output}: {problem.strerror}.", "Give another file.") from problem
    finally:
        if unfinished is not output:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)


def _table(*columns: str) -> Table:
    return Table(*columns, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
