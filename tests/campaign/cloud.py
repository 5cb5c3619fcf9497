"""The campaign's own cloud: an engine with the plug-in, one stack, and nodes; all of it gone at the end."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from campaign.plugin.change_journal import JOURNAL
from campaign.plugin.client_faults import CALLS, SWITCH
from leaseway_local.engine.daemon import DaemonRecord
from leaseway_local.engine.ministack import Engine
from leaseway_local.engine.paths import Home
from leaseway_local.errors import LocalCloudError
from support.deployed_stacks import DeployedStack, deploy, start_engine
from support.node_processes import NodeProcess

PLUGIN = Path(__file__).with_name("plugin")
PARAMETERS = {
    "LeaseSeconds": "10",
    "FirstLookSeconds": "10",
    "LookCapSeconds": "60",
    "SweepSeconds": "10",
    "SweeperEnabled": "false",
    "SchedulerEnabled": "false",
    "LedgerCheckEnabled": "false",
    "ThrottleRate": "5000",
}
"""Short times, so that much happens in few minutes; sweeps are the campaign's own, five at once."""
QUEUES = (
    "JobsQueueUrl",
    "HighQueueUrl",
    "LowQueueUrl",
    "OrderedQueueUrl",
    "DeadLetterQueueUrl",
    "OrderedDeadLetterQueueUrl",
)
_NODE_OPTIONS = {"queues": "normal,low", "concurrency": 4, "poll_seconds": 1, "drain_seconds": 5}


_STARTS = 5
_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class MessageCounts(NamedTuple):
    """Messages of a queue: those that it would deliver, now or after their delay, and those that a reader holds."""

    waiting: int
    hidden: int


@dataclass
class Cloud:
    """An engine, a stack on it, and nodes."""

    folder: Path
    home: Home
    variables: dict[str, str]
    record: DaemonRecord
    stack: DeployedStack
    nodes: dict[str, NodeProcess] = field(default_factory=dict)

    @property
    def engine(self) -> Engine:
        """The process that plays AWS."""
        return Engine(self.home)

    @property
    def journal(self) -> Path:
        """The file in which the engine writes down each change of a job."""
        return self.folder / JOURNAL

    @property
    def calls(self) -> Path:
        """The file with a line for each AWS call of functions and nodes."""
        return self.folder / CALLS

    def set_faults(self, *, on: bool) -> None:
        """Let calls fail from now on, or no more."""
        switch = self.folder / SWITCH
        if on:
            switch.touch()
        else:
            switch.unlink(missing_ok=True)

    def restart_engine(self) -> None:
        """Kill every function, stop the engine and start it again with its data, on the same port.

        Raises:
            LocalCloudError: it did not start in several tries.
        """
        for process in self.engine.functions():
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
        self.engine.stop()
        for _ in range(_STARTS - 1):
            with suppress(LocalCloudError):  # a busy machine takes longer than a start may
                self.record = self.engine.start(self.record.port, variables=self.variables)
                return
        self.record = self.engine.start(self.record.port, variables=self.variables)

    def ensure_node(self, name: str) -> bool:
        """Start the node unless it runs; returns whether that took a start."""
        if name in self.nodes and self.nodes[name].alive:
            return False
        variables = self.variables | {"CAMPAIGN_NODE": name}
        log = self.folder / f"{name}.log"
        self.nodes[name] = NodeProcess(self.stack, log, variables=variables, name=name, **_NODE_OPTIONS)
        return True

    def list_workers(self) -> dict[int, str]:
        """Process ids of the worker function's environments, with the names under which they hold jobs."""
        workers = {}
        for process in self.engine.functions():
            variables = _read_environment(process)
            if variables.get("AWS_LAMBDA_FUNCTION_NAME") == self.stack.outputs["WorkerFunction"]:
                workers[process] = variables["AWS_LAMBDA_LOG_STREAM_NAME"]
        return workers

    def count_messages(self) -> dict[str, "MessageCounts"]:
        """The messages of each queue."""
        return {queue.removesuffix("Url"): self._count(self.stack.outputs[queue]) for queue in QUEUES}

    def _count(self, url: str) -> "MessageCounts":
        answer = self.stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        visible, hidden, delayed = (int(answer["Attributes"][name]) for name in _COUNTS)
        # A FIFO queue counts as visible what waits behind a hidden message of its group.
        return MessageCounts(0 if url.endswith(".fifo") and hidden else visible + delayed, hidden)

    def close(self) -> None:
        """End every process of the cloud."""
        for node in self.nodes.values():
            if node.alive:
                node.kill()
        self.engine.stop()


@contextmanager
def open_cloud(folder: Path, *, seed: int, fault_percent: float) -> Iterator[Cloud]:
    """Start an engine with the plug-in and deploy a stack; ends both with the block, by Ctrl-C too."""
    home = Home(folder / "home")
    variables = {
        "PYTHONPATH": str(PLUGIN),
        "CAMPAIGN_FOLDER": str(folder),
        "CAMPAIGN_SEED": str(seed),
        "CAMPAIGN_FAULT_PERCENT": str(fault_percent),
    }
    record = start_engine(home, **variables)
    try:
        stack = deploy(record, home, "leaseway-campaign", PARAMETERS)
        cloud = Cloud(folder, home, variables, record, stack)
        try:
            yield cloud
        finally:
            stack.api.close()
            cloud.close()
    finally:
        Engine(home).stop()


def _read_environment(process: int) -> dict[str, Any]:
    with suppress(OSError):
        parts = Path(f"/proc/{process}/environ").read_bytes().decode(errors="replace").split("\0")
        return dict(part.split("=", 1) for part in parts if "=" in part)
    return {}
