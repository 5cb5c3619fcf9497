"""Cold start of each packaged function against a bare handler that builds the same botocore clients, in CPU time.

Both start under Lambda's own bootstrap, in turn, with the layers that are deployed and nothing else, until they ask for
their first event. `make bench-cold` prints medians and the ratio; DESIGN.md section 8 wants at most 1.15.
"""

import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from leaseway_local import template
from runtime_api import Folders, execution_environment, lay_out

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
    described = template.read()["Resources"].values()
    modules = [
        module_of(found["Properties"]["Handler"]) for found in described if found["Type"] == template.FUNCTION_TYPE
    ]
    return {module.removesuffix(".app"): module for module in modules}


def cpu_ms(folders: Folders, module: str) -> float:
    """CPU milliseconds from the start of a bootstrap until it asks for its first event."""
    with execution_environment(folders, f"{module}.handler", VARIABLES) as started:
        started.wait_until_ready()
        return started.cpu_ms()


def compare(folders: Folders, module: str, clients: Sequence[str], rounds: int = ROUNDS) -> tuple[float, float, float]:
    """Medians of both sides in CPU milliseconds, and of the ratio of neighbours."""
    # A module on the path beside what is deployed; the bootstrap imports it as it imports a handler.
    (folders.task / "bare_start.py").write_text(BARE.format(clients=tuple(clients)))
    (folders.task / "our_start.py").write_text(OURS.format(clients=tuple(clients), module=module))
    pairs = [(cpu_ms(folders, "bare_start"), cpu_ms(folders, "our_start")) for _ in range(rounds)]
    bare, ours = zip(*pairs, strict=True)
    ratio = statistics.median(own / other for other, own in pairs)
    return statistics.median(bare), statistics.median(ours), ratio


def main() -> None:
    """Measure every function and print a line each; exit with 1 where one is over the budget."""
    over = []
    with tempfile.TemporaryDirectory() as root:
        folders = lay_out(Path(root))
        print(f"{'function':12} {'bare ms':>8} {'ours ms':>8} {'ratio':>6}   budget {BUDGET}")
        for name, module in sorted(handlers().items()):
            bare, ours, ratio = compare(folders, module, CLIENTS[name])
            print(f"{name:12} {bare:8.0f} {ours:8.0f} {ratio:6.2f}", flush=True)
            over += [name] if ratio > BUDGET else []
    sys.exit(f"over the budget: {', '.join(over)}" if over else 0)


if __name__ == "__main__":
    main()
