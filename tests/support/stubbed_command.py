"""`python -m support.stubbed_command ARGUMENTS...`: `leaseway` in a process of its own, on a stubbed deployment."""

import json
import os
import sys
import tempfile
import time
from typing import Any

from leaseway_local import cli
from support.documented_answers import sample_answer
from support.stub_deployment import Answer, ApiRequest, StubDeployment

JOBS = 200  # more than a buffer holds
COUNTED = ("CREATED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED")
FREE_TEXTS = frozenset(
    {"error_message", "progress_note", "worker", "type", "error", "end", "owner", "name", "username"}
)
"""The fields that carry what a user, a page or a worker wrote."""


def answer_at_length(request: ApiRequest) -> Answer:
    if "STUB_ANSWERS_LATE" in os.environ:
        sys.stderr.write("waiting\n")
        sys.stderr.flush()
        time.sleep(60)
    if "STUB_TEXT" in os.environ:
        return answer_with_text(request, json.loads(os.environ["STUB_TEXT"]))
    answer = sample_answer(request.method, request.path.partition("?")[0])
    if isinstance(answer, dict) and "content" in answer:
        answer["content"] *= JOBS
    return Answer.of(answer)


def answer_with_text(request: ApiRequest, text: str) -> Answer:
    """Answer with this text in every field that is free, and with one job that runs at first and is completed then."""
    answer = sample_answer(request.method, request.path.partition("?")[0], nulls=False)
    is_first = sum(each.path == request.path for each in STUB.requests) < 2
    return Answer.of(replace_texts(answer, text, "RUNNING" if is_first else "COMPLETED"))


def replace_texts(node: Any, text: str, status: str) -> Any:
    if isinstance(node, list):
        return [replace_texts(inner, text, status) for inner in node]
    if not isinstance(node, dict):
        return node
    changes: dict[str, Any] = {"tags": [text], "result": {text: text}, "payload": {text: text}, "cursor": None}
    changes |= {"status": status, "jobs": dict.fromkeys(COUNTED, 1)}
    replaced: dict[str, Any] = {name: replace_texts(inner, text, status) for name, inner in node.items()}
    for name in replaced:
        if name in FREE_TEXTS:
            replaced[name] = text
        elif name in changes:
            replaced[name] = changes[name]
    return replaced


STUB = StubDeployment(answer_at_length)


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"LEASEWAY_HOME": home, "LEASEWAY_ENGINE": "localstack", "LOCALSTACK_HOST": "127.0.0.1:1"}
        if "STUB_TEXT" in os.environ:
            text = json.loads(os.environ["STUB_TEXT"])
            event = {"logStreamName": "s", "timestamp": 1_700_000_000_000, "message": text}
            STUB.overrides["FilterLogEvents"] = lambda: Answer.of({"events": [event]})
        with STUB.install():
            cli.main()


if __name__ == "__main__":
    main()
