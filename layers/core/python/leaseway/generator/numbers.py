"""The numbers of nodes: each is handed out once."""

from leaseway.generator.model import COUNTER, NodeModel


def take_number() -> int:
    """The next number, from 1. One write unit, no read.

    Where the SDK repeats the call after a lost answer a number is left out; none is ever given twice.
    """
    anything = NodeModel.name.does_not_exist() | NodeModel.name.exists()
    item = NodeModel.change(COUNTER, [NodeModel.value.add(1)], anything)
    return int(item["value"]["N"])
