"""Leases: a worker's right to run one attempt at a job.

A claim grants a lease for the seconds that the claim chose, or the job's type, or else `LEASE_SECONDS`. Heartbeats
extend it. A worker that is silent until its lease ends counts as dead, and another may take the job over. Every write
of a worker is conditional on its lease:

    worker A  --claim, fence 1-->  RUNNING   ...silent...                --complete, fence 1: refused-->  lease lost
    worker B                                 --take over, fence 2-->  RUNNING  --complete, fence 2-->  COMPLETED
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from leaseway import aws, clock
from leaseway.dynamodb.table import ConditionRefusedError
from leaseway.errors import ConflictError
from leaseway.jobs.attempts import encode_history, extend_history
from leaseway.jobs.job import AttemptEnd, Job, JobStatus
from leaseway.jobs.progress import Progress, set_progress
from leaseway.jobs.table import HISTORY_TEXT, JobModel
from leaseway.jobs.transitions import to_waiting
from leaseway.settings import settings

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

TAKEOVER_GRACE_MS = 15_000
"""After a lease ends, its message should bring a new worker; the sweeper and a task's next run wait this long."""


class LeaseLostError(ConflictError):
    """The claim no longer holds the job, so nothing was recorded."""

    code = "LEASE_LOST"


@lru_cache(maxsize=8)
def _heartbeat_model(timeout: int) -> type[JobModel]:
    """Build a view of the table through a client that waits so many seconds and repeats nothing.

    It is a fifth of a lease: the next heartbeat repeats.
    """

    class HeartbeatModel(JobModel):  # type: ignore[misc] # see JobModel
        _connection = None  # its own, for the client belongs to the connection

        @classmethod
        def _get_client(cls) -> "DynamoDBClient":
            return aws.client("dynamodb", attempts=1, timeout=timeout)

    return HeartbeatModel


class Lease(msgspec.Struct, frozen=True):
    """The right to run one attempt at a job. Times are milliseconds since the epoch."""

    job: Job
    """The job as it was when the lease was granted or read."""
    fence: int
    """Grows with each claim of the job, so that the writes of an earlier claim are refused."""
    token: str
    """Random, one per claim: recognizes our own write that the SDK repeated."""
    until: int
    deadline: int
    """A result after it is not stored. Heartbeats do not extend it."""

    @property
    def is_unconfirmed(self) -> bool:
        """Whether no heartbeat has shown yet that a worker knows of it: the answer to its claim may be lost."""
        return self.job.is_unconfirmed is True

    def has_expired(self, now: int) -> bool:
        """Return whether the attempt's time to live passed while its worker was at work.

        A worker that keeps a message hidden writes that itself, at the deadline: if it has not, it died, and another
        attempt has its own time. One outside Lambda may just stop then: it lived if it sent a heartbeat in the last
        half of a lease before.
        """
        if self.deadline > now or self.is_unconfirmed or self.job.message_id is not None:
            return False
        return self.until >= self.deadline + self.length_ms // 2

    @property
    def length_ms(self) -> int:
        """How long the lease lasts from the claim, or from a heartbeat."""
        return self.job.lease_ms or self.job.type_lease_ms or settings().lease_seconds * 1000

    def is_held(self) -> Condition:
        """Return the condition that the job has neither ended nor been claimed since."""
        held: Condition = (JobModel.status == JobStatus.RUNNING.value) & (JobModel.fence == self.fence)
        return held

    def is_in_time(self, now: int) -> Condition:
        """Return the condition that the deadline has not passed."""
        in_time: Condition = JobModel.deadline > now
        return in_time

    def extend(self, *, is_repeated: bool = False) -> "Lease":
        """Extend the lease by its full length from now: a heartbeat. One write unit, no index is touched.

        `is_repeated` says that another heartbeat follows soon: a slow call then fails within a fifth of a lease.

        Raises:
            LeaseLostError: the job was finished, cancelled or claimed by another.
            botocore.exceptions.ClientError: DynamoDB refused for another reason.
            botocore.exceptions.BotoCoreError: no answer.
        """
        until = clock.now_ms() + self.length_ms
        model = _heartbeat_model(max(1, self.length_ms // 5_000)) if is_repeated else JobModel
        self._write([JobModel.lease_until.set(until)], model)
        return msgspec.structs.replace(self, until=until)

    def report(self, progress: Progress) -> None:
        """Store the progress of the attempt. One write unit under 1 KB, no index is touched; the lease is not extended.

        Raises:
            LeaseLostError: the job was finished, cancelled or claimed by another.
        """
        self._write(set_progress(progress))

    def give_back(self) -> bool:
        """Let another worker have the job at once, because this one is stopped. One write.

        The attempt does not count, for it was not the job that ended it. Returns whether the lease was still held;
        the caller then shows the job's message again.
        """
        now = clock.now_ms()
        actions = [
            *to_waiting(self.job.id, now),
            JobModel.attempts.add(-1),
            *self.end_attempt(AttemptEnd.RETURNED, "its worker was stopped"),
        ]
        try:
            JobModel.change(self.job.id, actions, self.is_held() & self.is_in_time(now))
        except ConditionRefusedError:
            return False
        return True

    def end_attempt(self, end: AttemptEnd, error: str) -> list[Action]:
        """Return the action that adds this attempt to the job's history, unless it completed."""
        now = clock.now_ms()
        # A crash is noticed late: the worker counts as dead from the end of its lease.
        ended_at = min(now, self.until) if end is AttemptEnd.CRASHED else now
        return [HISTORY_TEXT.set(encode_history(extend_history(self.job, end, ended_at, error)))]

    def _write(self, actions: Sequence[Action], model: type[JobModel] = JobModel) -> None:
        try:
            model.change(self.job.id, actions, self.is_held())
        except ConditionRefusedError as refusal:
            raise LeaseLostError(job_id=self.job.id) from refusal


def get_lease(job: Job) -> Lease | None:
    """Get the lease under which a job runs; None unless it is RUNNING."""
    # The transitions set the three together; those out of RUNNING remove the lease's end.
    if job.lease_until is None or job.deadline is None or job.claim_token is None:
        return None
    return Lease(job, job.fence, job.claim_token, job.lease_until, job.deadline)
