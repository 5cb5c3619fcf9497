"""The numbers of nodes: each is handed out once."""

from leaseway.generator.model import COUNTER, NodeModel


def take_number() -> int:
    """The next number, from 1. One write unit, no read.

    If the SDK repeats the call after a lost answer a number is skipped; none is handed out twice.
    """
    always = NodeModel.name.does_not_exist() | NodeModel.name.exists()
    item = NodeModel.change(COUNTER, [NodeModel.value.add(1)], always)
    return int(item["value"]["N"])
