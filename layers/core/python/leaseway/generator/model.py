"""The nodes table: what long-lived workers share."""

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from leaseway.dynamodb.table import Table

COUNTER = "taskId"
"""The item whose `value` is the last number that a node took."""

GENERATOR = "generator"
"""The item with the generator's lease."""


class NodeModel(Table):
    """Two items: the counter of numbers and the generator's lease."""

    table_setting = "nodes_table"

    class Meta:
        table_name = "set by Table"

    name = UnicodeAttribute(hash_key=True)
    value = NumberAttribute(null=True)
    node = NumberAttribute(null=True)
    worker = UnicodeAttribute(null=True)
    token = UnicodeAttribute(null=True)
    epoch = NumberAttribute(null=True)
    held_until = NumberAttribute(null=True)
