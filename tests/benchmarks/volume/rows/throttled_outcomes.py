"""Jobs that end just when the table is throttled for five seconds."""

import json
import logging
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from moto import mock_aws

from benchmarks.volume.row import Outcome, Row
from benchmarks.volume.virtual_time import WORKER, VirtualTime
from leaseway import aws, metrics
from leaseway.jobs import create_job
from leaseway.jobs.job import JobStatus
from leaseway.jobs.queue import BATCH, Received
from leaseway.jobs.queue_names import NORMAL
from leaseway.jobs.table import JobModel, job_from_item
from leaseway.logs import log
from support import tables
from support.as_function import clear_caches
from worker.batch import Batch
from worker.delivery import parse_deliveries

JOBS = 1_000
RUN_MS = 2_000
THROTTLED_SECONDS = 5.0
INVOCATION_MS = 900_000

ENVIRONMENT = {
    "JOBS_TABLE": "jobs",
    "EXECUTORS_PACKAGE": "worker.executors",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def _outcome(lost: int, jobs: int) -> Outcome:
    return Outcome(lost, f"{lost:,} of {jobs:,} run again")


# ---- At 883dc55: the SDK makes three attempts, and then the result is dropped ----------------------------------------


def _before(scale: float) -> Outcome:
    jobs, chance = round(JOBS * scale), random.Random(0)
    lost = sum(sum(chance.random() * 2**retry for retry in range(2)) < THROTTLED_SECONDS for _ in range(jobs))
    return _outcome(lost, jobs)


# ---- Now: the worker's own code and the table's real conditions, in virtual time -------------------------------------


class _Throttle:
    """Refuses every write of the table for five seconds from the first one after `begins`."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time
        self._begins = 0.0
        self._ends = 0.0

    def arm(self, begins: float) -> None:
        """Expect the end of the jobs of a batch from that moment on."""
        self._begins, self._ends = begins, 0.0

    def __call__(self, **_: Any) -> tuple[Any, dict[str, Any]] | None:
        """Answer in DynamoDB's place, or let the call through: botocore's hook before a call."""
        if self._time.now < self._begins:
            return None
        self._ends = self._ends or self._time.now + THROTTLED_SECONDS
        if self._time.now >= self._ends:
            return None
        error = {"Code": "ThrottlingException", "Message": "the table is throttled"}
        return SimpleNamespace(status_code=400), {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400}}


@contextmanager
def _account() -> Iterator[None]:
    """An AWS account in memory with the parts that a job needs."""
    previous = log.level
    log.setLevel(logging.CRITICAL)
    with mock_aws(), patch.dict(os.environ, ENVIRONMENT), patch.object(metrics, "flush", lambda _: None):
        clear_caches()
        aws.client("dynamodb").create_table(**tables.jobs("jobs"))
        os.environ["JOBS_QUEUE_URL"] = tables.create_queue(aws.client("sqs"), "jobs")
        clear_caches()
        yield
    clear_caches()
    log.setLevel(previous)


def _run_batches(time: VirtualTime, throttle: _Throttle, jobs: int) -> Callable[[], None]:
    def run() -> None:
        for client in (aws.client("dynamodb"), aws.client("dynamodb", attempts=1, timeout=6)):
            client.meta.events.register("before-call.dynamodb.UpdateItem", throttle)
        for _ in range(0, jobs, BATCH):
            messages = [_create() for _ in range(BATCH)]
            throttle.arm(time.now + RUN_MS / 1_000 - 0.1)
            Batch("worker", lambda: INVOCATION_MS, NORMAL).process(parse_deliveries(messages, NORMAL))

    return run


def _create() -> Received:
    job = create_job("ann", "SLEEP", {"duration_ms": RUN_MS})
    return Received(job.id, job.id, json.dumps({"job_id": job.id, "ttl_ms": job.ttl_ms}))


def _now(scale: float) -> Outcome:
    jobs, time = round(JOBS * scale), VirtualTime()
    with _account(), time.replaces_time_of(*WORKER):
        random.seed(0)
        time.run(_run_batches(time, _Throttle(time), jobs))
        ended = [job_from_item(model.serialize()) for model in JobModel.scan()]
    finished = sum(job is not None and (job.status, job.attempts) == (JobStatus.COMPLETED, 1) for job in ended)
    return _outcome(jobs - finished, jobs)


ROW = Row(
    number=5,
    what="1,000 jobs whose finish meets 5 s of throttling",
    target="none run again",
    is_reached=lambda lost: lost == 0,
    before=_before,
    now=_now,
)
