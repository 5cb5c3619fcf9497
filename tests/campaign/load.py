"""What a campaign does to its cloud, each in threads of its own: jobs, sweeps, kills and restarts."""

import os
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from campaign.cloud import Cloud
from campaign.verdict import parse_journal
from campaign.workload import Wish, split_into_lanes
from leaseway_local.errors import LocalCloudError
from support.deployed_stacks import FunctionFailedError
from support.job_stream import TERMINAL

LANES = 8
SWEEPERS = 5
NODES = ("node-1", "node-2")
_KILL_SECONDS = 8.0
_NODE_KILL_SECONDS = 20.0
_SWEEP_SECONDS = 8.0
_RESTART_SECONDS = 420.0
_RETRY_SECONDS = 0.5
# Answers that say nothing about the job: the client repeats the request under its key.
_REPEATABLE = frozenset({401, 403, 408, 409, 425, 429})


class RefusedWishError(AssertionError):
    """The API refused a job that it has to accept."""


@dataclass
class Figures:
    """What happened, counted. Safe to share between threads, as far as counts of figures need."""

    counts: Counter[str] = field(default_factory=Counter)
    killed_with: Counter[str] = field(default_factory=Counter)
    """How often a worker was killed that held the job, by the job's id."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, name: str, number: int = 1) -> None:
        """Add to a count."""
        with self.lock:
            self.counts[name] += number

    def note_kill(self, job_ids: set[str]) -> None:
        """Note the jobs whose worker the campaign has just killed."""
        with self.lock:
            self.killed_with.update(job_ids)


class LiveJobs:
    """The jobs' states now, by the engine's journal, of which each look reads only what is new. Safe for threads."""

    def __init__(self, journal: Path, table: str) -> None:
        self._journal = journal
        self._table = table
        self._offset = 0
        self._states: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def find_held_by(self, workers: Collection[str]) -> set[str]:
        """The jobs that these workers run."""
        with self._lock:
            self._read()
            running = {job_id: state for job_id, state in self._states.items() if state.get("status") == "RUNNING"}
        return {job_id for job_id, state in running.items() if state.get("worker") in workers}

    def count_states(self) -> Counter[str]:
        """How many jobs have each status."""
        with self._lock:
            self._read()
            return Counter(state["status"] for state in self._states.values() if "status" in state)

    def _read(self) -> None:
        if not self._journal.exists():
            return
        with self._journal.open("rb") as file:
            file.seek(self._offset)
            lines = file.read()
        lines = lines[: lines.rfind(b"\n") + 1]
        self._offset += len(lines)
        self._states.update((entry.job_id, entry.new) for entry in parse_journal(lines, self._table))


class Load:
    """The troubles of one campaign, until it is stopped."""

    def __init__(self, cloud: Cloud, workload: list[Wish], *, seed: int, seconds: float) -> None:
        self._cloud = cloud
        self._workload = workload
        self._seed = seed
        self._seconds = seconds
        self.begun = time.monotonic()
        self._stopping = threading.Event()
        self._draining = threading.Event()
        self._restarting = threading.Lock()
        self._live = LiveJobs(cloud.journal, cloud.stack.outputs["JobsTable"])
        self.figures = Figures()
        self.accepted: dict[str, Wish] = {}
        self.failures: list[BaseException] = []

    @contextmanager
    def run(self) -> Iterator[None]:
        """Do all of it while the block runs."""
        self.begun = time.monotonic()
        repeated = [
            *((self._sweep, _SWEEP_SECONDS, self._stopping) for _ in range(SWEEPERS)),
            (self._kill_function, _KILL_SECONDS, self._draining),
            (self._kill_node, _NODE_KILL_SECONDS, self._draining),
            (self._keep_nodes, 1.0, self._stopping),
        ]
        threads = [
            threading.Thread(target=self._create, args=(lane,)) for lane in split_into_lanes(self._workload, LANES)
        ]
        threads += [
            threading.Thread(target=self._repeat, args=(*action, number)) for number, action in enumerate(repeated)
        ]
        threads.append(threading.Thread(target=self._restart_engine))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._draining.set()
            self._stopping.set()
            for thread in threads:
                thread.join()

    def end_troubles(self) -> None:
        """Kill and restart no more; sweeps go on, and nodes that were killed start again."""
        self._draining.set()
        with self._restarting:
            return

    @property
    def progress(self) -> float:
        """Which part of its time has passed, from 0."""
        return (time.monotonic() - self.begun) / self._seconds

    # ---- Jobs -------------------------------------------------------------------------------------------------------

    def _create(self, lane: list[Wish]) -> None:
        try:
            for wish in lane:
                self._stopping.wait(max(0.0, (wish.moment - self.progress) * self._seconds))
                if self._stopping.is_set():
                    return
                if job_id := self._submit(wish):
                    self.accepted[job_id] = wish
        except BaseException as failure:
            self.failures.append(failure)
            raise

    def _submit(self, wish: Wish) -> str | None:
        """Create a job, repeated under its key until it is accepted; None if the campaign ended before that."""
        headers = {"Idempotency-Key": f"campaign-{self._seed}-{wish.number}"}
        while not self._stopping.is_set():
            try:
                answer = self._cloud.stack.api.request("POST", "/api/v1/jobs", json=wish.body, headers=headers)
            except (LocalCloudError, httpx.HTTPError):
                self.figures.count("requests without an answer")
            else:
                if answer.is_success:
                    return str(answer.json()["id"])
                if answer.status_code < 500 and answer.status_code not in _REPEATABLE:
                    raise RefusedWishError(f"{answer.status_code} for {wish}: {answer.text}")
                self.figures.count(f"requests answered {answer.status_code}")
            self._stopping.wait(_RETRY_SECONDS)
        return None

    # ---- Troubles ---------------------------------------------------------------------------------------------------

    def _repeat(
        self, action: Callable[[random.Random], None], seconds: float, ending: threading.Event, number: int
    ) -> None:
        draw = random.Random(f"{self._seed}/{number}")
        while not ending.wait(seconds * draw.uniform(0.5, 1.5)):
            try:
                action(draw)
            except (ClientError, BotoCoreError, LocalCloudError, FunctionFailedError, OSError) as failure:
                self.figures.count(f"failures of {action.__name__.strip('_')}: {_describe(failure)}")

    def _sweep(self, _: random.Random) -> None:
        report = self._cloud.stack.invoke("SweeperFunction")
        self.figures.count("sweeps")
        self.figures.count("messages sent by sweeps", report["resent"])

    def _kill_function(self, draw: random.Random) -> None:
        """Kill a worker's environment at random, at work if there is one, and no job's second worker."""
        with self._restarting:
            workers = self._cloud.list_workers()
            jobs_of = {process: self._live.find_held_by({name}) for process, name in workers.items()}
            processes = [process for process, jobs in jobs_of.items() if jobs] or list(workers)
            if not processes:
                return
            process = draw.choice(sorted(processes))
            jobs = jobs_of[process]
            if any(self.figures.killed_with[job_id] for job_id in jobs):
                return
            os.kill(process, signal.SIGKILL)
            jobs |= self._live.find_held_by({workers[process]})  # what it claimed in its last moment
            self.figures.note_kill(jobs)
            self.figures.count("workers killed")
            self.figures.count("workers killed at work", bool(jobs))

    def _kill_node(self, draw: random.Random) -> None:
        name = draw.choice(NODES)
        node = self._cloud.nodes.get(name)
        jobs = self._live.find_held_by({name})
        if node is not None and node.alive and not any(self.figures.killed_with[job_id] for job_id in jobs):
            node.kill()
            self.figures.note_kill(jobs | self._live.find_held_by({name}))
            self.figures.count("nodes killed")

    def _keep_nodes(self, _: random.Random) -> None:
        for name in NODES:
            if self._cloud.ensure_node(name):
                self.figures.count("nodes started")

    def _restart_engine(self) -> None:
        restarts = max(1, round(self._seconds / _RESTART_SECONDS))
        for number in range(1, restarts + 1):
            if self._draining.wait(max(0.0, (number / (restarts + 1) - self.progress) * self._seconds)):
                return
            with self._restarting:
                # Nodes outlive the engine; its functions do not.
                self.figures.note_kill(self._live.find_held_by(self._cloud.list_workers().values()))
                try:
                    self._cloud.restart_engine()
                except LocalCloudError as failure:
                    self.failures.append(failure)
                    return
                self.figures.count("engine restarts")

    # ---- The end ----------------------------------------------------------------------------------------------------

    @property
    def is_made(self) -> bool:
        """Whether the time of the load has passed and every job of the workload was accepted."""
        return self.progress >= 1 and len(self.accepted) == len(self._workload)

    def count_states(self) -> Counter[str]:
        """How many jobs have each status, by the engine's journal."""
        return self._live.count_states()

    def count_open_jobs(self) -> int:
        """Jobs of the workload that have not ended yet, by the engine's journal; those not yet created are open too."""
        states = self.count_states()
        return len(self._workload) - sum(states[status] for status in TERMINAL)


def _describe(failure: Exception) -> str:
    """The beginning of an error, without what differs each time."""
    return re.sub(r"[0-9a-f]{8,}[0-9a-f-]*|\d+", "#", f"{type(failure).__name__} {failure}")[:150]
