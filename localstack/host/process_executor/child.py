"""The inside of an execution environment: loads one handler, then answers one event after the other.

Run as `python child.py REPLY_FD HANDLER PATH...` by the functions' own interpreter, so it needs the standard library
only. Requests come on standard input and replies leave by REPLY_FD, a JSON document a line; what the function prints
goes where standard output goes.
"""

import importlib
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

Handler = Callable[[Any, "Context"], Any]


class Context:
    """Lambda's context object."""

    client_context = None
    identity = None

    def __init__(self, request: dict[str, Any]) -> None:
        self.aws_request_id = request["id"]
        self.invoked_function_arn = request["arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self._ends = time.monotonic() + request["seconds"]

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the environment is ended."""
        return max(0, int((self._ends - time.monotonic()) * 1000))


def main() -> None:
    """Serve until the requests end."""
    reply_to, handler_name, *paths = sys.argv[1:]
    sys.path[:0] = paths
    replies = os.fdopen(int(reply_to), "wb", buffering=0)
    requests = _requests()
    try:
        handler = _load(handler_name)
    except BaseException as problem:
        _reply(replies, {"failed": _described(problem)})
        raise
    _reply(replies, {"ready": True})
    while True:
        request = json.loads(requests.get())
        _reply(replies, _answer(handler, request))


def _requests() -> "queue.SimpleQueue[bytes]":
    """Lines from standard input; a thread of its own reads, so that a function at work ends with its parent too."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin.buffer:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _load(name: str) -> Handler:
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(module.replace("/", ".")), function)  # type: ignore[no-any-return]


def _answer(handler: Handler, request: dict[str, Any]) -> dict[str, Any]:
    os.environ["_X_AMZN_TRACE_ID"] = request["trace"]
    try:
        result = handler(json.loads(request["payload"] or "{}"), Context(request))
        return {"result": json.dumps(result, default=_number)}
    except Exception as problem:
        described = _described(problem) | {"requestId": request["id"]}
        told = f"[ERROR] {described['errorType']}: {described['errorMessage']}\n{''.join(described['stackTrace'])}"
        sys.stdout.write(f"{told.rstrip()}\n")
        return {"failed": described}


def _number(value: Any) -> float:
    import decimal

    if isinstance(value, decimal.Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _described(problem: BaseException) -> dict[str, Any]:
    return {
        "errorMessage": str(problem),
        "errorType": type(problem).__name__,
        "stackTrace": traceback.format_tb(problem.__traceback__)[1:],
    }


def _reply(replies: Any, document: dict[str, Any]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    view = memoryview(json.dumps(document).encode() + b"\n")
    while view:
        view = view[replies.write(view) :]


if __name__ == "__main__":
    main()
