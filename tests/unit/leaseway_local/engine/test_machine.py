"""What the local tools know of this machine: processes, ports, environments, addresses."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from leaseway_local.engine import processes
from leaseway_local.engine.daemon import DaemonRecord
from leaseway_local.engine.ministack import Engine, build_environment
from leaseway_local.engine.paths import Home
from leaseway_local.engine.ports import configured_port, demo_host
from leaseway_local.errors import LocalCloudError

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]


@pytest.fixture
def start() -> Iterator[Callable[[list[str]], subprocess.Popen[bytes]]]:
    started = []

    def run(command: list[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout.readline().strip() == b"up"
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_later_process_with_the_same_id_is_not_the_one_that_was_started(
    start: Callable[[list[str]], subprocess.Popen[bytes]],
) -> None:
    process = start(SLEEPER)
    mark = processes.start_mark(process.pid)

    assert processes.is_alive(process.pid, mark)
    assert not processes.is_alive(process.pid, mark + "0")
    assert not processes.is_alive(2**22 + 1, mark)


def test_a_process_that_was_killed_and_not_yet_collected_is_not_alive(
    start: Callable[[list[str]], subprocess.Popen[bytes]],
) -> None:
    process = start(SLEEPER)
    mark = processes.start_mark(process.pid)

    os.kill(process.pid, signal.SIGKILL)

    assert processes.wait_until(lambda: not processes.is_alive(process.pid, mark), 5)


def test_a_process_that_ignores_the_request_to_end_is_ended(
    start: Callable[[list[str]], subprocess.Popen[bytes]],
) -> None:
    process = start(DEAF)

    processes.end([process.pid], grace=0.2)

    assert process.wait(timeout=5) == -signal.SIGKILL


def test_a_taken_port_is_known_with_its_owner() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]

        assert not processes.port_is_free(port)
        assert f"(pid {os.getpid()})" in processes.port_owner(port)
    assert processes.port_is_free(port)


def test_waiting_ends_with_the_condition_or_with_the_time() -> None:
    looks = []

    assert processes.wait_until(lambda: len(looks.append(1) or looks) == 3, 5, every=0)
    assert not processes.wait_until(lambda: False, 0.01, every=0)


def test_the_engine_sees_nothing_of_the_users_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "LOCALSTACK_AUTH_TOKEN", "HTTP_PROXY", "PYTHONPATH", "DATABASE"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("LANG", "C.UTF-8")

    seen = build_environment(Home(tmp_path), 4710)

    assert "secret" not in seen.values()
    assert seen["LANG"] == "C.UTF-8"
    assert (seen["BIND_HOST"], seen["GATEWAY_PORT"]) == ("127.0.0.1", "4710")
    assert (seen["IOT_MTLS_ENABLED"], seen["SFTP_ENABLED"], seen["PERSIST_STATE"]) == ("0", "0", "1")


@pytest.mark.parametrize("port", ["x", "0", "65536", "-1", "4566.0"])
def test_a_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("LEASEWAY_PORT", port)

    with pytest.raises(LocalCloudError, match="is not a port"):
        configured_port()


def test_the_port_is_4566_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEASEWAY_PORT", raising=False)
    assert configured_port() == 4566
    monkeypatch.setenv("LEASEWAY_PORT", "4700")
    assert configured_port() == 4700


def test_the_demos_server_is_beside_the_engine_and_never_on_its_port() -> None:
    assert demo_host(4566) == "127.0.0.1:4567"
    assert demo_host(65_535) == "127.0.0.1:65534"


def test_a_record_cut_short_is_as_good_as_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.record.write_text('{"pid": 12')

    assert Engine(home).record() is None


def test_a_record_of_a_dead_process_is_not_a_running_engine(
    tmp_path: Path, start: Callable[[list[str]], subprocess.Popen[bytes]]
) -> None:
    home = Home(tmp_path)
    process = start(SLEEPER)
    record = DaemonRecord(process.pid, processes.start_mark(process.pid), 4710, 0.0)
    home.record.write_text(json.dumps(asdict(record)))
    assert Engine(home).running() == record

    process.kill()
    process.wait()

    assert Engine(home).record() == record
    assert Engine(home).running() is None
