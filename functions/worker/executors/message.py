"""MESSAGE: what the generator produces. Nodes handle it outside Lambda; a share of them fails on purpose."""

import random
from typing import Annotated

import msgspec
from msgspec import Meta

from leaseway.jobs.types import JobContext, JobError, JobType, JsonObject


class MessagePayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The message's identity, and how often handling one fails."""

    epoch: Annotated[
        int, Meta(ge=0, description="The generator's epoch, which rises whenever another node becomes the generator")
    ] = 0
    number: Annotated[int, Meta(ge=0, description="The number of the message within the epoch, from 1")] = 0
    node: Annotated[int, Meta(ge=0, description="The number of the node that produced it")] = 0
    failure_percent: Annotated[float, Meta(ge=0, le=100, description="Percentage of messages that fail")] = 5


def run(payload: MessagePayload, _: JobContext) -> JsonObject:
    """Handle the message; returns which it was.

    Raises:
        JobError: at random, with probability `failure_percent`.
    """
    if random.random() * 100 < payload.failure_percent:  # noqa: S311 - chance, not a secret
        raise JobError(f"message {payload.number} of epoch {payload.epoch} could not be handled")
    return {"epoch": payload.epoch, "number": payload.number}


TYPE = JobType(
    "MESSAGE", MessagePayload, run, "Handle a message of the generator; a share of them fails", runs_on="external"
)
