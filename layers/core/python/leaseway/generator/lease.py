"""The generator's lease: one conditional write makes a node the generator for a time, and an epoch numbers its terms.

    node 1  --free, so granted: epoch 1-->  generates, renews after half of its lease ... is killed
    node 2  --held until T, so refused--->  handles messages, tries again
    node 2  --T has passed, so granted: epoch 2-->  generates
    node 1  --produces: its token is gone, so refused-->  deposed: handles messages

The epoch rises with each take-over and never falls. Clocks decide only how soon a node takes over, not whether two
produce at once: every message is written on condition that its generator's token is still in the item.
"""

import secrets

import msgspec
from botocore.exceptions import ClientError
from pynamodb.expressions.condition import Condition

from leaseway import clock
from leaseway.dynamodb.table import ConditionRefusedError, Item
from leaseway.generator.model import GENERATOR, NodeModel


class GeneratorLease(msgspec.Struct, frozen=True):
    """This node is the generator until `held_until` (ms since the epoch), and has been since it got `token`."""

    node: int
    epoch: int
    token: str
    held_until: int


class Held(msgspec.Struct, frozen=True):
    """Another node is the generator, until `until` (ms since the epoch) unless it renews."""

    until: int


class DeposedError(Exception):
    """Another node became the generator; this one can no longer write."""


def try_to_become(node: int, worker: str, lease_ms: int) -> GeneratorLease | Held:
    """Become the generator if there is none. One write unit, even if refused, and no read."""
    now = clock.now_ms()
    token = secrets.token_hex(8)
    is_vacant = NodeModel.held_until.does_not_exist() | (NodeModel.held_until < now)
    actions = [
        NodeModel.epoch.add(1),
        NodeModel.node.set(node),
        NodeModel.worker.set(worker),
        NodeModel.token.set(token),
        NodeModel.held_until.set(now + lease_ms),
    ]
    try:
        item = NodeModel.change(GENERATOR, actions, is_vacant)
    except ConditionRefusedError as refusal:
        current = refusal.item or {}
        if current["token"]["S"] != token:
            return Held(int(current["held_until"]["N"]))
        item = current  # the SDK repeated our own write after a lost answer
    except ClientError as failure:
        if failure.response["Error"]["Code"] != "TransactionConflictException":
            raise
        return Held(now)  # a generator is just producing
    return _lease(item)


def renew(lease: GeneratorLease, lease_ms: int) -> GeneratorLease:
    """Extend the lease by `lease_ms` from now. One write unit.

    Raises:
        DeposedError: another node took over after the lease had ended.
    """
    actions = [NodeModel.held_until.set(clock.now_ms() + lease_ms)]
    try:
        return _lease(NodeModel.change(GENERATOR, actions, is_still(lease)))
    except ConditionRefusedError:
        raise DeposedError from None


def give_up(lease: GeneratorLease) -> None:
    """Release the lease so that another node can take it immediately. One write unit."""
    try:
        NodeModel.change(GENERATOR, [NodeModel.held_until.set(0)], is_still(lease))
    except ConditionRefusedError:
        return  # another node has it already


def is_still(lease: GeneratorLease) -> Condition:
    """The condition that no other node has taken over: it fences what a generator writes."""
    still: Condition = NodeModel.token == lease.token
    return still


def _lease(item: Item) -> GeneratorLease:
    numbers = {name: int(item[name]["N"]) for name in ("node", "epoch", "held_until")}
    return GeneratorLease(token=item["token"]["S"], **numbers)
