"""`leaseway monitor` at a pseudo-terminal, with real nodes that are really killed, and `leaseway errors`."""

import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from leaseway_local import cli
from leaseway_local.commands import api_access, nodes
from leaseway_local.connection.api_client import ApiClient
from leaseway_local.engine.processes import running_with
from support.as_function import act_as_function
from support.commands import RunCommand
from support.deployed_stacks import DeployedStack, StackFactory
from support.job_stream import TERMINAL, read_job_changes
from support.node_processes import WITHOUT_WORKERS, run_nodes
from support.waiting import wait_until

REFRESH_MS = 1_000
LEASE_SECONDS = 2 * REFRESH_MS / 1000
INTERVAL_MS = 200


@pytest.fixture(scope="module")
def stack(make_stack: StackFactory) -> DeployedStack:
    """The stack of test_nodes.py too."""
    return make_stack("nodes", **WITHOUT_WORKERS)


class Monitor:
    """A monitor whose terminal is ours: what it shows, and the keys that we press."""

    def __init__(self, stack: Any, home: Any, **options: Any) -> None:
        mine, its = pty.openpty()
        ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        arguments = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        variables = {"LOCALSTACK_HOST": str(stack.clients.host), "LEASEWAY_HOME": str(home), "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "leaseway_local.cli", "monitor", "--target", "localstack", "--stack", stack.name,
             *arguments],
            stdin=its, stdout=its, stderr=its, env=nodes.with_code(os.environ) | variables, start_new_session=True,
            preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - Ctrl-C wants a terminal of its own
        )  # fmt: skip
        os.close(its)
        self.written = ""
        self._terminal = mine
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def rows(self) -> list[list[str]]:
        """The rows of the table that was drawn last: id, mode, generated, processed, errors, messages a second."""
        last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.written).rpartition("id ")[2]
        return [line.split() for line in last.splitlines() if re.match(r"\s*(\d+|…|all)\s", line)]

    def node(self, number: int) -> list[str]:
        return next((row for row in self.rows if row[0] == str(number)), [])

    @property
    def working(self) -> list[list[str]]:
        return [row for row in self.rows if row[0].isdigit() and row[1] in ("generator", "handler")]

    def press(self, key: str) -> None:
        os.write(self._terminal, key.encode())

    def running_nodes(self) -> list[int]:
        """The nodes of this monitor that still run."""
        return running_with(f"--name=monitor-{self.process.pid}-")

    def _read(self) -> None:
        try:
            while chunk := os.read(self._terminal, 65_536):
                self.written += chunk.decode(errors="replace")
        except OSError:
            return  # its end of the terminal is closed


@contextmanager
def monitoring(stack: Any, home: Any, **options: Any) -> Iterator[Monitor]:
    monitor = Monitor(stack, home, **options)
    try:
        yield monitor
    finally:
        for process in (monitor.process.pid, *monitor.running_nodes()):
            if process != monitor.process.pid or monitor.process.poll() is None:
                os.kill(process, signal.SIGKILL)
        monitor.process.wait(10)


def lease(stack: DeployedStack) -> dict[str, Any]:
    """The generator's lease as it stands."""
    answer = stack.client("dynamodb").get_item(
        TableName=stack.outputs["NodesTable"], Key={"name": {"S": "generator"}}, ConsistentRead=True
    )
    return {name: next(iter(value.values())) for name, value in answer.get("Item", {}).items()}


def messages(stack: DeployedStack) -> list[dict[str, Any]]:
    """All messages in the order in which they were written, each with its payload and its job's last status."""
    written: dict[str, dict[str, Any]] = {}
    for change in read_job_changes(stack.client, stack.outputs["JobsTable"]):
        new = change.new
        if new.get("type") == "MESSAGE" and new["owner"] == "@generator":
            message = written.setdefault(new["id"], {"ends": 0, **json.loads(new["payload"])})
            message["status"] = new["status"]
            message["ends"] += change.ends_the_job
    return list(written.values())


def list_unhandled(stack: DeployedStack) -> list[dict[str, Any]]:
    """Messages that no node has handled yet; the sweeper sends what a generator wrote but did not send."""
    stack.invoke("SweeperFunction")
    return [message for message in messages(stack) if message["status"] not in TERMINAL]


def test_a_killed_generator_is_followed_by_one_other_and_no_message_is_lost(
    stack: DeployedStack, tmp_path: Path
) -> None:
    before = int(lease(stack).get("epoch", 0))
    options = {"nodes": 5, "interval_ms": INTERVAL_MS, "refresh_ms": REFRESH_MS, "failure_percent": 20}
    with monitoring(stack, tmp_path, **options) as monitor:
        # Given five nodes, of which one generates
        wait_until(lambda: len(monitor.working) == 5, seconds=60, what="five nodes at work")
        assert len(monitor.running_nodes()) == 5
        for _ in range(2):
            old = lease(stack)
            wait_until(lambda: len(messages(stack)) > 5, seconds=30, what="some messages")
            wait_until(lambda old=old: monitor.node(int(old["node"]))[1:2] == ["generator"], seconds=60, what="its row")
            # When it is killed
            monitor.press("k")
            new = wait_until(
                lambda old=old: (now := lease(stack))["epoch"] != old["epoch"] and now,
                seconds=30, what="another generator", every=0.05,
            )  # fmt: skip
            # Then another is the generator, by the first lease that was granted after the dead one's
            assert (int(new["epoch"]), new["node"] != old["node"]) == (int(old["epoch"]) + 1, True)
            wait_until(
                lambda old=old: monitor.node(int(old["node"]))[1:2] == ["killed"], seconds=60, what="the dead one"
            )
        produced = len(messages(stack))
        wait_until(lambda: len(messages(stack)) > produced + 5, seconds=30, what="messages of the third")
        # And [q] ends all of them
        monitor.press("q")
        assert monitor.process.wait(30) == 0
        assert monitor.running_nodes() == []

    # And what was produced is whole: each epoch of one node, without a gap, wholly before the next
    own = [message for message in messages(stack) if message["epoch"] > before]
    epochs = [message["epoch"] for message in own]
    assert epochs == sorted(epochs), "two generated at once"
    assert sorted(set(epochs)) == list(range(before + 1, before + 4))
    for epoch in set(epochs):
        numbers = [message["number"] for message in own if message["epoch"] == epoch]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len({message["node"] for message in own if message["epoch"] == epoch}) == 1
    # And all of it is handled, once
    with run_nodes(stack, tmp_path) as start:
        start("rest", queues="MESSAGE", concurrency=8, poll_seconds=1)
        wait_until(lambda: not list_unhandled(stack), seconds=40, what="all handled", every=0.5)
    ended = messages(stack)
    assert {message["ends"] for message in ended} == {1}
    assert {message["status"] for message in ended} <= {"COMPLETED", "FAILED"}


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "SIGKILL"])
def test_however_a_monitor_ends_no_node_is_left(stack: DeployedStack, tmp_path: Path, how: str) -> None:
    with monitoring(stack, tmp_path, nodes=2, interval_ms=INTERVAL_MS, refresh_ms=REFRESH_MS) as monitor:
        wait_until(lambda: len(monitor.working) == 2, seconds=60, what="two nodes at work")
        assert len(monitor.running_nodes()) == 2
        # (and where it says that their logs are, there they are)
        (logs,) = set(re.findall(r"logsarein(\S+?/nodes)", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\s", "", monitor.written)))
        assert sorted(log.name for log in Path(logs).iterdir()) == ["node-1.log", "node-2.log"]

        if how == "Ctrl-C":
            monitor.press("\x03")
        else:
            monitor.process.send_signal(getattr(signal, how))

        assert monitor.process.wait(30) == (-signal.SIGKILL if how == "SIGKILL" else 0)
        wait_until(lambda: not monitor.running_nodes(), seconds=60, what="the nodes' end")


def start_node(stack: DeployedStack, tmp_path: Path, *flags: str) -> subprocess.Popen[bytes]:
    options = {"--name": "told", "--poll-seconds": 1, "--refresh-ms": REFRESH_MS, "--interval-ms": 100,
               "--failure-percent": 50, "--concurrency": 2}  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        return subprocess.Popen(
            nodes.command(options, ["--generate", *flags]),
            env=nodes.with_code(nodes.environment_of(stack.clients, stack.name)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
        )  # fmt: skip


def test_a_node_reports_in_json_lines_and_one_started_by_hand_says_nothing(
    stack: DeployedStack, tmp_path: Path
) -> None:
    # Given a node that reports, and is the generator
    node = start_node(stack, tmp_path, "--report")
    reports = []
    assert node.stdout is not None
    while len(reports) < 5:
        line = node.stdout.readline()
        assert line.endswith(b"\r\n")
        reports.append(json.loads(line))
    # When another handles what it produced, without `--report`
    by_hand = start_node(stack, tmp_path)
    wait_until(lambda: by_hand.poll() is None and b'"action":"finish"' in (tmp_path / "log").read_bytes(),
          seconds=30, what="a handled message")  # fmt: skip
    node.stdin.close()  # the monitor's end
    rest, _ = node.stdout.read(), node.wait(30)
    assert by_hand.poll() is None, "the end of its input is no monitor's end"
    by_hand.terminate()
    assert by_hand.stdout.read() == b""
    assert by_hand.wait(30) == 0
    # Then the first reported the four kinds of line that monitors expect
    reports += [json.loads(line) for line in rest.decode().split("\r\n") if line]
    number = reports[0].pop("taskId")
    assert (reports[0], type(number)) == ({"msg": "createdTaskId"}, int)
    assert {"msg": "switchedToGeneratorMode"} in reports
    totals = [message["total"] for message in reports if message["msg"] == "generated"]
    assert totals == list(range(1, len(totals) + 1))
    for message in reports:
        if message["msg"] == "processed":
            assert set(message) == {"msg", "total", "errors"}
            assert message["errors"] <= message["total"]


@pytest.fixture
def leaseway(stack: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    monkeypatch.setattr(api_access, "open_api", lambda target: ApiClient(stack.outputs.api_url, auth=stack.admin))
    return lambda *arguments: CliRunner().invoke(cli.app, list(arguments))


def test_failed_messages_are_listed_and_drained_once(
    stack: DeployedStack, leaseway: RunCommand, tmp_path: Path
) -> None:
    # Given three messages that fail, and one that does not
    with act_as_function(stack):
        from leaseway.generator import GeneratorLease, give_up, produce, try_to_become

        generator = wait_until(
            lambda: isinstance(attempt := try_to_become(1, "test", 20_000), GeneratorLease) and attempt,
            seconds=30,
            what="the lease",
        )
        jobs = [produce(generator, number, 100.0 if number < 4 else 0.0).id for number in (1, 2, 3, 4)]
        give_up(generator)
    with run_nodes(stack, tmp_path) as start:
        start("handler", queues="MESSAGE", poll_seconds=1)
        done = [f"/api/v1/jobs/{job_id}" for job_id in jobs]
        wait_until(
            lambda: all(stack.api.get(path)["status"] in TERMINAL for path in done), seconds=30, what="their ends"
        )

    listed = json.loads(leaseway("errors", "--json").stdout)["content"]
    drained = json.loads(leaseway("errors", "--drain", "--json").stdout)["content"]
    again = leaseway("errors", "--drain")

    ids = [job["id"] for job in drained]
    assert set(jobs[:3]) <= {job["id"] for job in listed}
    assert {job["id"] for job in listed} == set(ids)
    assert jobs[3] not in ids
    assert {(job["status"], job["attempts"]) for job in drained} == {("FAILED", 1)}
    assert again.exit_code == 0
    assert "0 removed" in again.stdout
    assert stack.api.request("GET", done[0]).status_code == 404
