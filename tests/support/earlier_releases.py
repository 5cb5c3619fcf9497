"""What earlier releases left in the tables, made from what this one writes."""

import copy
from typing import Any

Record = dict[str, Any]


def name_sides_by_version(records: list[Record]) -> list[Record]:
    """Return stream records as the release before transfer ids wrote them: a transfer's sides name their versions."""
    versions = {_transfer_key(record): record["dynamodb"]["NewImage"]["version"]["N"] for record in records}
    earlier = copy.deepcopy(records)
    for record in earlier:
        entry = record["dynamodb"]["NewImage"]["last_entry"]["M"]
        transfer_id = entry.pop("transfer_id", {}).get("S")
        if transfer_id is not None:
            user = entry["counterparty"]["S"].rpartition(":")[0]
            entry["counterparty"] = {"S": f"{user}:{versions[user, transfer_id]}"}
    return earlier


def _transfer_key(record: Record) -> tuple[str, str | None]:
    image = record["dynamodb"]["NewImage"]
    return image["user_id"]["S"], image["last_entry"]["M"].get("transfer_id", {}).get("S")
