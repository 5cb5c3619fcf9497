"""Running a task by hand under an Idempotency-Key: a repeat starts no second run, and gets the first one's answer.

The key's record is put in the transaction that starts the run. It is marked once the message is sent, so a repeat knows
whether the first request died before that.
"""

from contextlib import suppress

import msgspec

from leaseway.dynamodb.table import Item
from leaseway.errors import OutcomeUnknownError, UnavailableError
from leaseway.idempotency import IdempotencyKey, KeyedRequest, read_progress
from leaseway.jobs import queue
from leaseway.jobs.job import Job, JobStatus
from leaseway.tasks.model import TaskNotFoundError
from leaseway.tasks.slots import AlreadyRunningError, RunRecordedError, read_run, start_now

_SENT = "sent"


class _FirstRun(msgspec.Struct, frozen=True):
    """The run as it was created; its payload is the task's and in no answer."""

    id: str
    task_id: str
    type: str
    owner: str
    created_at: int
    ttl_ms: int
    max_attempts: int
    queue: str | None


def start_now_once(task_id: str, key: IdempotencyKey) -> Job:
    """Run a task once, now, as `start_now` does; a repeat returns the first run as it was created, without its payload.

    A read and an update more than without a key, and a record in the transaction: 3 write units and a read unit. A
    repeat costs a read unit.

    Raises what `start_now` raises, and:
        KeyReusedError: the key came with another task.
    """
    keyed = KeyedRequest.of(key, task_id)
    if (record := keyed.find_record()) is None:
        try:
            job = start_now(task_id, record=lambda job: keyed.record(_encode(job)))
        except (RunRecordedError, AlreadyRunningError, TaskNotFoundError):
            # A request with the same key was quicker: the run that is in the way is its own.
            if (record := keyed.find_record()) is None:
                raise
        else:
            _mark_sent(keyed)
            return job
    return _repeat(keyed, record)


def _encode(job: Job) -> str:
    return msgspec.json.encode(msgspec.convert(job, _FirstRun, from_attributes=True)).decode()


def _repeat(keyed: KeyedRequest, record: Item) -> Job:
    first = msgspec.json.decode(keyed.replay(record), type=_FirstRun)
    if read_progress(record) is None:
        _send_unclaimed(first.id)
        _mark_sent(keyed)
    return Job(**msgspec.structs.asdict(first), status=JobStatus.CREATED, updated_at=first.created_at, payload={})


def _mark_sent(keyed: KeyedRequest) -> None:
    # The run is there and sent. Without the mark, a repeat sends a message more, which the first one's claim refuses.
    with suppress(UnavailableError, OutcomeUnknownError):
        keyed.save_progress(_SENT)


def _send_unclaimed(job_id: str) -> None:
    """Send the message of a run unless a worker has claimed it. The request that started it may have died before."""
    run = read_run(job_id)
    if run is not None and run.status is JobStatus.CREATED and run.fence == 0:
        queue.send([queue.build_message(run)])
