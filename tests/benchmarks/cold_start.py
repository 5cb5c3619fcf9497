"""Cold start of each packaged function against a bare handler that builds the same botocore clients, in CPU time.

Both sides run in turn in fresh interpreters that see nothing but what the deployer packages. `make bench-cold` prints
medians and the ratio; DESIGN.md section 8 wants at most 1.15.
"""

import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from leaseway_local import packaging

ROUNDS = 9
BUDGET = 1.15

FUNCTIONS = {
    "api": ("dynamodb", "dynamodb once", "sqs"),
    "worker": ("dynamodb", "sqs"),
    "sweeper": ("dynamodb", "sqs"),
    "tally": ("dynamodb",),
    "ledger": ("dynamodb",),
    "ledger.check": ("dynamodb", "dynamodb once"),
    "dead_letter": ("dynamodb", "sqs"),
    "authorizer": ("dynamodb", "secretsmanager"),
}

BARE = """
import json, time
import botocore.session
session = botocore.session.get_session()
for name in {clients!r}:
    session.create_client(name.split()[0])
print(time.process_time())
"""

OURS = """
import importlib, time
importlib.import_module("{module}")
from leaseway import aws
for name in {clients!r}:
    aws.client(name.split()[0], attempts=1 if "once" in name else 3)
print(time.process_time())
"""

ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "JOBS_TABLE": "jobs",
    "ACCOUNTS_TABLE": "accounts",
}


def unpack(folder: Path) -> str:
    """What Lambda would put on the path: two layers and the functions' code."""
    for name, archive in {
        "runtime": packaging.runtime_layer(target="laptop"),
        "core": packaging.core_layer(target="laptop"),
        "functions": packaging.functions(target="laptop"),
    }.items():
        with zipfile.ZipFile(archive.path) as packed:
            packed.extractall(folder / name)
    return f"{folder}/runtime/python:{folder}/core/python:{folder}/functions"


def cpu_ms(script: str, path: str) -> float:
    """CPU milliseconds of an interpreter that runs `script`."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env=ENVIRONMENT | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1]) * 1000


def main() -> None:
    """Measure every function and print a line each."""
    with tempfile.TemporaryDirectory() as folder:
        path = unpack(Path(folder))
        print(f"{'function':12} {'bare ms':>8} {'ours ms':>8} {'ratio':>6}   budget {BUDGET}")
        for function, clients in FUNCTIONS.items():
            module = function if "." in function else f"{function}.app"
            bare, ours = [], []
            for _ in range(ROUNDS):
                bare.append(cpu_ms(BARE.format(clients=clients), path))
                ours.append(cpu_ms(OURS.format(clients=clients, module=module), path))
            ratio = statistics.median(own / other for own, other in zip(ours, bare, strict=True))
            print(f"{function:12} {statistics.median(bare):8.0f} {statistics.median(ours):8.0f} {ratio:6.2f}")


if __name__ == "__main__":
    main()
