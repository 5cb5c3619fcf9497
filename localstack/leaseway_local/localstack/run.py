"""Runs a command beside a LocalStack of its own: `python -m leaseway_local.localstack.run COMMAND...`.

Both are alone in a network of their own that has nothing but the loopback interface: DynamoDB Local, which LocalStack
starts, listens on every address that it finds.
"""

import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from leaseway_local.connection import engine_choice
from leaseway_local.connection.engine_choice import EngineName
from leaseway_local.deployment import packaging
from leaseway_local.engine import processes
from leaseway_local.errors import LocalCloudError
from leaseway_local.localstack.build import ENVIRONMENT, LIBRARIES, PYTHON
from leaseway_local.terminal.console import Stopwatch, messages, run_main

LOG = ENVIRONMENT / "localstack.log"
HOST = "127.0.0.1:4566"

_INSIDE = "--inside"
_READY_SECONDS = 90.0
_STOP_SECONDS = 5.0
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1


def main() -> None:
    """Enter the network first, which a process can do only by being started in it."""
    command = sys.argv[1:]
    if command[:1] == [_INSIDE]:
        sys.exit(_inside(command[1:]))
    packaging.build_runtime_layer()  # building it takes the package index, which is out of reach inside
    unshare = shutil.which("unshare")
    if not unshare:
        raise LocalCloudError("unshare is not there.", "Install the package util-linux.")
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    this = [sys.executable, "-m", "leaseway_local.localstack.run", _INSIDE]
    os.execv(unshare, [unshare, "--net", *as_root, *this, *command])  # noqa: S606 - a shell would add nothing


def _inside(command: list[str]) -> int:
    _raise_loopback()
    signal.signal(signal.SIGTERM, _exit_on_signal)
    with running() as host:
        environment = os.environ | {"LOCALSTACK_HOST": host, engine_choice.VARIABLE: EngineName.LOCALSTACK.value}
        return subprocess.run(command, env=environment, check=False).returncode


def _exit_on_signal(number: int, _: object) -> None:
    """What was started ends with this process, as at Ctrl-C."""
    sys.exit(128 + number)


@contextmanager
def running() -> Iterator[str]:
    """A LocalStack while the block runs; yields its `host:port`.

    Raises:
        LocalCloudError: it did not start; carries the end of its log.
    """
    root = Path(tempfile.mkdtemp(prefix="run-", dir=ENVIRONMENT))
    watch = Stopwatch()
    process = _start(root)
    try:
        if not processes.wait_until(lambda: process.poll() is not None or _answers(), _READY_SECONDS, every=0.1):
            raise LocalCloudError("LocalStack does not answer.", f"Its log is {LOG}.")
        if process.poll() is not None:
            ends = "\n".join(LOG.read_text(errors="replace").splitlines()[-20:])
            raise LocalCloudError(f"LocalStack did not start; its log ends with:\n{ends}")
        messages.print(f"[green]✓[/] LocalStack answers on {HOST} ({watch})", markup=True)
        yield HOST
        messages.print(f"LocalStack and all that it started hold {_megabytes(process.pid)} MB after {watch}")
    finally:
        # DynamoDB Local and the functions outlive a LocalStack that is killed.
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        process.kill()
        process.wait()
        processes.end(processes.running_with(str(root)), grace=2)
        shutil.rmtree(root, ignore_errors=True)


def _start(root: Path) -> subprocess.Popen[bytes]:
    libraries = root / "var" / "lib" / "localstack" / "lib"
    libraries.parent.mkdir(parents=True)
    libraries.symlink_to(LIBRARIES)
    scratch = root / "scratch"
    scratch.mkdir()
    with LOG.open("wb") as log:
        return subprocess.Popen(
            [PYTHON, "-m", "localstack.runtime.main"],
            cwd=root,
            env=environment(root),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def environment(root: Path) -> dict[str, str]:
    """All that LocalStack sees of the machine's environment; `root` is its folder."""
    passed = {
        name: os.environ[name] for name in ("LANG", "PATH", "SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ
    }
    return passed | {
        "HOME": str(root),
        "TMPDIR": str(root / "scratch"),
        "FILESYSTEM_ROOT": str(root),
        # With 127.0.0.1 it would listen on every address.
        "GATEWAY_LISTEN": f"[::ffff:{HOST.partition(':')[0]}]:{HOST.partition(':')[2]}",
        "LOCALSTACK_HOST": HOST,
        "LS_LOG": "warn",
        "OVERRIDE_IN_DOCKER": "0",
        "DNS_ADDRESS": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "SQS_ENDPOINT_STRATEGY": "path",
        "SQS_DISABLE_CLOUDWATCH_METRICS": "1",
        # DynamoDB Local's own streams: LocalStack's would take a Kinesis emulator more.
        "PROVIDER_OVERRIDE_DYNAMODB": "v2",
        "PROVIDER_OVERRIDE_DYNAMODBSTREAMS": "v2",
        "DYNAMODB_IN_MEMORY": "1",
        "CFN_IGNORE_UNSUPPORTED_RESOURCE_TYPES": "1",  # the deployer makes custom resources
        "CFN_NO_WAIT_ITERATIONS": "15",  # looks, a second apart from then on, whether a function is active; 5 else
        "LAMBDA_RUNTIME_EXECUTOR": "local",
        "LAMBDA_RUNTIME_ENVIRONMENT_TIMEOUT": "60",
        "LAMBDA_KEEPALIVE_MS": "120000",
        # Seconds from one batch to the next, and at the most until an empty queue is looked at again: 1 and 10 else.
        "LAMBDA_EVENT_SOURCE_MAPPING_POLL_INTERVAL_SEC": "0.5",
        "LAMBDA_EVENT_SOURCE_MAPPING_MAX_BACKOFF_ON_EMPTY_POLL_SEC": "2",
        "PROCESS_EXECUTOR_PYTHON": str(Path(sys.executable).resolve()),
    }


def _answers() -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"http://{HOST}/_localstack/health", timeout=2, trust_env=False).status_code == 200
    return False


def _megabytes(pid: int) -> int:
    """Resident memory of a process and of all below it."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            total += sum(_megabytes(int(child)) for child in (task / "children").read_text().split())
    with suppress(OSError):
        total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20
    return total


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


if __name__ == "__main__":
    run_main(main)
