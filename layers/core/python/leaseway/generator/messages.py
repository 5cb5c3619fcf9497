"""Messages: jobs of the type MESSAGE, each written only while its node holds the generator's lease.

    node 1, epoch 1  --{put message 7; check: token is node 1's}-->  written, sent
    node 2, epoch 2  --takes over: token is node 2's
    node 1, epoch 1  --{put message 8; check: token is node 1's}-->  refused: deposed

So all messages of an epoch are written before the first of the next, however long a node was suspended.
"""

import hashlib

import msgspec

from leaseway.dynamodb.table import Part
from leaseway.dynamodb.transactions import TransactionCancelledError, transact_until_settled
from leaseway.errors import OutcomeUnknownError, UnavailableError
from leaseway.generator.lease import DeposedError, GeneratorLease, is_still
from leaseway.generator.model import GENERATOR, NodeModel
from leaseway.jobs import content, queue
from leaseway.jobs.create import build
from leaseway.jobs.create.options import Options
from leaseway.jobs.job import Job
from leaseway.jobs.table import JobModel, model_from_job

OWNER = "@generator"
"""Owner of all messages: no user name can begin like this."""

TYPE = "MESSAGE"


def produce(lease: GeneratorLease, number: int, failure_percent: float | None = None) -> Job:
    """Write and send message `number` of the lease's epoch. One transaction (6 write units under 1 KB) and one send.

    If the send fails the sweeper sends it. `failure_percent` is how often handling it fails; None uses the type's
    default. Repeating a number that was written changes nothing.

    Raises:
        DeposedError: another node is the generator; nothing was written.
        UnavailableError: DynamoDB took none or did not answer; the same number may be produced again.
        botocore.exceptions.ClientError: DynamoDB refused.
    """
    job = _message(lease, number, failure_percent)
    body = content.Content(msgspec.json.encode(job.payload).decode(), None)
    parts = [
        JobModel.put_part(model_from_job(job, body), JobModel.id.does_not_exist()),
        NodeModel.check_part(GENERATOR, is_still(lease)),
    ]
    _write(parts)
    queue.send([queue.build_message(job)])
    return job


def _message(lease: GeneratorLease, number: int, failure_percent: float | None) -> Job:
    payload: dict[str, float] = {"epoch": lease.epoch, "number": number, "node": lease.node}
    payload |= {} if failure_percent is None else {"failure_percent": failure_percent}
    terms = build.resolve_terms(OWNER, TYPE, payload, Options(max_attempts=1))
    # An id from lease and number: a message that is written again is the same message.
    job_id = hashlib.sha256(f"{lease.token}/{number}".encode()).hexdigest()[:32]
    return build.new_job(OWNER, TYPE, payload, terms, id=job_id)


def _write(parts: list[Part]) -> None:
    """Send the transaction until it is clear what came of it. Its job's id makes a repetition harmless."""
    try:
        transact_until_settled(lambda: parts, _judge, busy="DynamoDB took no message; try again")
    except OutcomeUnknownError as lost:
        raise UnavailableError("DynamoDB did not answer; try again") from lost


def _judge(cancelled: TransactionCancelledError) -> bool | None:
    """True if the message was written before; None if a node that tried to take over was in the way."""
    put, check = cancelled.reasons
    if check.refused:
        raise DeposedError from None
    return True if put.refused else None
