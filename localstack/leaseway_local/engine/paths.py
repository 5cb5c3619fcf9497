"""Paths of the project's files and of a local cloud's data."""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
"""The project's folder: the one that holds template.yaml."""

BUILD_CACHE = ROOT / ".leaseway" / "build"
"""Archives of layers and functions, named by the hash of their inputs; all local clouds share them."""


@dataclass(frozen=True)
class Home:
    """The folder of one local cloud: its data, its log, its process record, its outputs."""

    path: Path

    @property
    def record(self) -> Path:
        """Process id, start time and port of the engine."""
        return self.path / "engine.json"

    @property
    def log(self) -> Path:
        """The output of the engine since its last start."""
        return self.path / "engine.log"

    @property
    def state(self) -> Path:
        """Tables, queues and functions; written when the engine stops cleanly."""
        return self.path / "state"

    @property
    def objects(self) -> Path:
        """The buckets' objects, written immediately."""
        return self.path / "objects"

    @property
    def scratch(self) -> Path:
        """Unpacked code of running functions; emptied at every start."""
        return self.path / "tmp"

    @property
    def lock(self) -> Path:
        """Held while the engine is started or stopped."""
        return self.path / "lock"

    @property
    def deployment_lock(self) -> Path:
        """Held while a stack is deployed from here."""
        return self.path / "deployment-lock"

    @property
    def monitor(self) -> Path:
        """Process id, start time and port of the monitor."""
        return self.path / "monitor.json"

    @property
    def monitor_log(self) -> Path:
        """The output of the monitor since its last start."""
        return self.path / "monitor.log"

    @property
    def journal(self) -> Path:
        """What the monitor forwarded in the last hours, and its position in the logs."""
        return self.path / "forwarded.jsonl"

    @property
    def node_logs(self) -> Path:
        """The folder with the logs of the nodes of `leaseway monitor`."""
        return self.path / "nodes"

    def outputs(self, target: str, stack: str) -> Path:
        """The names and addresses of a deployed stack."""
        suffix = "" if stack == _STANDARD_STACK else f"-{stack}"
        return self.path / f"outputs-{target}{suffix}.json"


_STANDARD_STACK = "leaseway"

DEFAULT_STACK = os.environ.get("LEASEWAY_STACK") or _STANDARD_STACK
"""The stack that the command line works on: `LEASEWAY_STACK`, or `leaseway`."""


def default_home() -> Home:
    """The local cloud that `make run` starts, in the project's own folder or in LEASEWAY_HOME."""
    return Home(Path(os.environ.get("LEASEWAY_HOME") or ROOT / ".leaseway").absolute())
