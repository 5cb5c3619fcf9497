"""Writes down each change of a job's status or fence in the engine, as the table takes it: what happened, in order.

The engine forgets its tables' streams when it stops, and functions that die cannot write; this file outlives both.
"""

import json
import os
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

JOURNAL = "changes.jsonl"
_KEPT = ("status", "fence", "attempts", "crashes", "worker")


def install(dynamodb: ModuleType) -> None:
    """Record changes where the engine puts them into the table's stream."""
    path = Path(os.environ["CAMPAIGN_FOLDER"]) / JOURNAL
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    emit, lock = dynamodb._emit_stream_event, threading.Lock()

    def emit_and_record(table: str, event: str, old: Any, new: Any, *more: Any, **options: Any) -> Any:
        before, after = simplify(old), simplify(new)
        if before != after:
            line = json.dumps({"table": table, "id": (new or old)["id"]["S"], "old": before, "new": after})
            with lock:
                os.write(file, f"{line}\n".encode())
        return emit(table, event, old, new, *more, **options)

    dynamodb._emit_stream_event = emit_and_record


def simplify(item: dict[str, dict[str, Any]] | None) -> dict[str, Any]:
    """What the journal keeps of a job's item; nothing of an item that is no job."""
    if item is None or "id" not in item or "status" not in item:
        return {}
    values = {name: item[name] for name in _KEPT if name in item}
    return {name: int(value["N"]) if "N" in value else value.get("S") for name, value in values.items()}
