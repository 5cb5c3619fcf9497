"""Keyed claims: a claim whose answer was lost is requested again under the same key, and gets the same job.

    claim, key K --transaction: job RUNNING with token T, record of K: (job, T)--> the answer is lost
    claim, key K --record of K--------------------------------------------------> the same job and token

The record is written in the very transaction that claims the job, so there is no moment at which a worker holds a job
that its key does not lead to.
"""

import msgspec

from leaseway import clock
from leaseway.dynamodb.table import Item, Part
from leaseway.idempotency import KeyedRequest, RecordModel


class EarlierClaim(msgspec.Struct, frozen=True):
    """The claim that a key made: its job, and the token that proves its lease."""

    job_id: str
    token: str


class ClaimRepeatedError(Exception):
    """The key of a claim has made one before, perhaps at this very moment; nothing was claimed now."""

    def __init__(self, earlier: EarlierClaim) -> None:
        super().__init__("the key has made a claim")
        self.earlier = earlier


def require_unused(keyed: KeyedRequest | None) -> None:
    """Raise ClaimRepeatedError if the key has made a claim. One consistent read; none without a key.

    Raises:
        ClaimRepeatedError: the key has made a claim, and its record has not expired.
        KeyReusedError: the key came with another request.
    """
    item = None if keyed is None else RecordModel.read(keyed.key.digest)
    if keyed is None or item is None or int(item["expires_at"]["N"]) <= clock.now_ms() // 1000:
        return
    raise ClaimRepeatedError(read_earlier_claim(keyed, item))


def read_earlier_claim(keyed: KeyedRequest, item: Item) -> EarlierClaim:
    """Read what a key claimed from its record.

    Raises:
        KeyReusedError: the key came with another request.
    """
    return msgspec.json.decode(keyed.replay(item), type=EarlierClaim)


def build_record(keyed: KeyedRequest, claim: EarlierClaim) -> Part:
    """Build the part of a transaction that records a claim, unless the key has a record."""
    return keyed.record(msgspec.json.encode(claim).decode())
