"""Cold start of each packaged function against a bare handler that builds the same botocore clients, in CPU time.

Both start under Lambda's own bootstrap, in turn, with the layers that are deployed and nothing else, until they ask for
their first event. `make bench-cold` prints the least that each took, and the ratio of both: a busy machine only
ever adds. The budget is 1.15.

The API imports a blueprint with the first request that needs it. So that nothing hides there, the same is measured once
more until a first request has been answered; the bare handler is sent it too.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leaseway_local.deployment import template
from support.lambda_runtime import Folders, lay_out, run_environment
from support.sample_events import sample_event

ROUNDS = 9
BUDGET = 1.15

DATABASE = ("dynamodb",)
QUEUES = ("dynamodb", "sqs")
CLIENTS = {
    "api": ("dynamodb", "dynamodb once", "sqs"),
    "authorizer": ("dynamodb", "secretsmanager"),
    "dead_letter": QUEUES,
    "first_admin": ("dynamodb", "secretsmanager"),
    "ledger": DATABASE,
    "ledger.check": ("dynamodb", "dynamodb once"),
    "meter": DATABASE,
    "retention": ("dynamodb", "s3"),
    "scheduler": QUEUES,
    "sweeper": QUEUES,
    "tally": DATABASE,
    "worker": QUEUES,
}
"""What each function calls; "once" is the client that never repeats a write of money."""

FIRST_REQUESTS = {
    "balances": ("POST", "/api/users/update-balance"),
    "jobs": ("POST", "/api/v1/jobs"),
    "tasks": ("GET", "/api/tasks"),
    "workers": ("POST", "/api/v1/jobs/claim"),
}
"""A route of each of the largest nouns. Asked for without a token: refused when all of it is there, before any call."""

BARE = """
import botocore.session
session = botocore.session.get_session()
for name in {clients!r}:
    session.create_client(name.split()[0])

def handler(event, context):
    return event
"""

OURS = """
from {module} import handler
from leaseway import aws
for name in {clients!r}:
    aws.client(name.split()[0], attempts=1 if "once" in name else 3)
"""

VARIABLES = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "EXECUTORS_PACKAGE": "worker.executors",
}


def module_of(handler: str) -> str:
    """`worker.app.handler` is in `worker.app`."""
    return handler.removesuffix(".handler")


def handlers() -> dict[str, str]:
    """The module of every function of the template, by the name that it has here."""
    resources = template.read()["Resources"].values()
    modules = [module_of(part["Properties"]["Handler"]) for part in resources if part["Type"] == template.FUNCTION_TYPE]
    return {module.removesuffix(".app"): module for module in modules}


def first_request(method: str, path: str) -> dict[str, Any]:
    """An event of the API's from a caller without a token."""
    event: dict[str, Any] = sample_event("api")
    del event["requestContext"]["authorizer"]
    event["requestContext"] |= {"httpMethod": method, "resourcePath": path}
    return event | {"httpMethod": method, "resource": path, "path": path}


def cpu_ms(folders: Folders, module: str, event: Any) -> float:
    """CPU milliseconds of a bootstrap until it asks for its first event, or until it has answered the one given."""
    with run_environment(folders, f"{module}.handler", VARIABLES) as started:
        started.wait_until_ready()
        if event is not None:
            started.invoke(event)
        return started.cpu_ms()


def compare(folders: Folders, module: str, clients: Sequence[str], event: Any = None) -> tuple[float, float, float]:
    """The least CPU milliseconds that either side took, in turn, and their ratio."""
    # A module on the path beside what is deployed; the bootstrap imports it as it imports a handler.
    (folders.task / "bare_start.py").write_text(BARE.format(clients=tuple(clients)))
    (folders.task / "our_start.py").write_text(OURS.format(clients=tuple(clients), module=module))
    pairs = [(cpu_ms(folders, "bare_start", event), cpu_ms(folders, "our_start", event)) for _ in range(ROUNDS)]
    bare, ours = (min(side) for side in zip(*pairs, strict=True))
    return bare, ours, ours / bare


def report(name: str, compared: tuple[float, float, float]) -> float:
    """Print a line; returns the ratio."""
    bare, ours, ratio = compared
    print(f"{name:12} {bare:8.0f} {ours:8.0f} {ratio:6.2f}", flush=True)
    return ratio


def main() -> None:
    """Measure every function and print a line each; exit with 1 where one is over the budget."""
    over = []
    with tempfile.TemporaryDirectory() as root:
        folders = lay_out(Path(root))
        print(f"{'function':12} {'bare ms':>8} {'ours ms':>8} {'ratio':>6}   budget {BUDGET}")
        for name, module in sorted(handlers().items()):
            ratio = report(name, compare(folders, module, CLIENTS[name]))
            over += [name] if ratio > BUDGET else []
        print("the API with its first request, about")
        for noun, route in FIRST_REQUESTS.items():
            report(noun, compare(folders, "api.app", CLIENTS["api"], first_request(*route)))
    sys.exit(f"over the budget: {', '.join(over)}" if over else 0)


if __name__ == "__main__":
    main()
