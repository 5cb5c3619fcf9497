"""Cancelling and retrying many jobs from the command line: looked at first, then changed in parts of a hundred."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import typer

from leaseway_local.connection.api_client import ApiClient
from leaseway_local.terminal.console import data, messages, print_json
from leaseway_local.terminal.tables import Json, changed_table

_TOGETHER = 100
_VERBS = {"cancel": "cancelled", "retry": "queued again"}

Selection = Mapping[str, Any]


def change_many(
    api: ApiClient, what: str, selection: Selection, *, limit: int, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Cancel or retry up to `limit` jobs of a selection, asking first unless `yes`; exit 1 where some were refused.

    Asked or not, nothing is changed that was created after the question was put.
    """
    if dry_run or not yes:
        found = _parts(api, what, selection, limit, dry_run=True)
        if dry_run or not found["matched"]:
            _print(found, what, as_json=as_json)
            return
        messages.print(changed_table(found["content"]))
        typer.confirm(f"{what} {_jobs(found['matched'])}?", err=True, abort=True)
        selection, limit = _not_after(selection, found["content"]), found["matched"]
    done = _parts(api, what, selection, limit, dry_run=False)
    _print(done, what, as_json=as_json)
    if done["refused"]:
        raise typer.Exit(1)


def _parts(api: ApiClient, what: str, selection: Selection, limit: int, *, dry_run: bool) -> dict[str, Any]:
    """All parts joined, until `limit` jobs were found or there are no more; `cursor` tells whether there are."""
    joined: dict[str, Any] = {"matched": 0, "changed": 0, "refused": 0, "dry_run": dry_run, "content": []}
    cursor: str | None = None
    while True:
        left = min(_TOGETHER, limit - joined["matched"])
        body = {**selection, "limit": left, "dry_run": dry_run} | ({"cursor": cursor} if cursor else {})
        part = api.post(f"/api/v1/jobs/{what}", body)
        for name in ("matched", "changed", "refused", "content"):
            joined[name] += part[name]
        cursor = part["cursor"]
        if cursor is None or joined["matched"] >= limit:
            return joined | {"cursor": cursor}


def _not_after(selection: Selection, found: list[Json]) -> dict[str, Any]:
    newest = max(datetime.fromisoformat(job["created_at"]) for job in found) + timedelta(milliseconds=1)
    return {**selection, "created_before": newest.isoformat()}


def _print(done: Json, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    if done["content"]:
        data.print(changed_table(done["content"]))
    if done["dry_run"]:
        text = f"{_jobs(done['matched'])} would be {_VERBS[what]}"
    else:
        refused = f", {done['refused']:,} had moved meanwhile" if done["refused"] else ""
        text = f"{_jobs(done['changed'])} {_VERBS[what]}{refused}"
    more = "; there are more: raise --limit or run it again" if done["cursor"] else ""
    data.print(text + more)


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"
