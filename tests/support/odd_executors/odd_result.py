"""A job type whose result has no JSON form, or that fails in unusual ways."""

import asyncio
import sys
from typing import Any

import msgspec

from leaseway.jobs.types import JobContext, JobType, PermanentJobError

ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)

RESULTS: dict[str, Any] = {
    "object": object(),
    "surrogate": "\udc80",
    "recursion": ENDLESS,
    "complex": 1j,
    "function": print,
    "nan": float("nan"),
    "infinity": [None, {"deep": float("-inf")}],
    "huge": 2**200,
    "enormous": "x" * 3_000_000,
    "null": None,
}


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class OddResult(msgspec.Struct, forbid_unknown_fields=True):
    kind: str


def run(payload: OddResult, context: JobContext) -> Any:
    match payload.kind:
        case "permanent":
            raise PermanentJobError("gone for good")
        case "exit":
            sys.exit("enough")
        case "cancelled":
            raise asyncio.CancelledError
        case "unprintable":
            raise UnprintableError
        case "odd text":
            context.progress(0.5, "file \udc80.txt")
            raise OSError("no file \udc80.txt")
        case "odd note":
            context.progress(0.5, "file \udc80.txt")
            return {}
        case "list":
            return [1]
        case "none":
            return None
        case kind:
            return {"value": RESULTS[kind]}


TYPE = JobType(name="ODD_RESULT", payload=OddResult, run=run, summary="returns what has no JSON form")
