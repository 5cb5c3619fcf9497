"""Idempotency keys whose time has passed, as after `IDEMPOTENCY_HOURS`."""

from leaseway import aws
from leaseway.settings import require_setting


def expire_keys() -> None:
    """Move the expiry of every stored key into the past."""
    table, client = require_setting("idempotency_table"), aws.client("dynamodb")
    names = [key["AttributeName"] for key in client.describe_table(TableName=table)["Table"]["KeySchema"]]
    for record in client.scan(TableName=table)["Items"]:
        client.update_item(
            TableName=table,
            Key={name: record[name] for name in names},
            UpdateExpression="SET expires_at = :past",
            ExpressionAttributeValues={":past": {"N": "1"}},
        )
