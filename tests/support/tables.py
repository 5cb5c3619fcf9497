"""The tables as `template.yaml` declares them, for tests that make their own."""

from typing import Any

Spec = dict[str, Any]

_STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


def _keys(hash_key: str, range_key: str | None = None) -> list[dict[str, str]]:
    pairs = [(hash_key, "HASH")] + ([(range_key, "RANGE")] if range_key else [])
    return [{"AttributeName": name, "KeyType": kind} for name, kind in pairs]


def _types(**names: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in names.items()]


def _keys_only(name: str, hash_key: str, range_key: str) -> Spec:
    return {
        "IndexName": name,
        "KeySchema": _keys(hash_key, range_key),
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }


def accounts(name: str) -> Spec:
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": _types(user_id="S"),
        "KeySchema": _keys("user_id"),
        "StreamSpecification": _STREAM,
    }


def jobs(name: str) -> Spec:
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": _types(
            id="S",
            owner_key="S",
            created_key="S",
            live_key="S",
            look_at="N",
            owner_outcome_key="S",
            outcome_key="S",
            dead_letter_key="S",
            dead_lettered_at="N",
            ended_shard="S",
            ended_key="S",
        ),
        "KeySchema": _keys("id"),
        "GlobalSecondaryIndexes": [
            _keys_only("owner", "owner_key", "created_key"),
            _keys_only("live", "live_key", "look_at"),
            _keys_only("owner_outcome", "owner_outcome_key", "created_key"),
            _keys_only("outcome", "outcome_key", "created_key"),
            _keys_only("dead_letter", "dead_letter_key", "dead_lettered_at"),
            _keys_only("ended", "ended_shard", "ended_key"),
        ],
        "StreamSpecification": _STREAM,
    }


def totals(name: str) -> Spec:
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": _types(scope="S", shard="S"),
        "KeySchema": _keys("scope", "shard"),
    }


def users(name: str) -> Spec:
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": _types(username="S"),
        "KeySchema": _keys("username"),
    }


def ledger(name: str) -> Spec:
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": _types(user_id="S", version="N"),
        "KeySchema": _keys("user_id", "version"),
    }


def idempotency(name: str) -> Spec:
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": _types(key="S"),
        "KeySchema": _keys("key"),
    }


def tasks(name: str) -> Spec:
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": _types(id="S", due_key="S", next_run="N", list_key="S", name="S"),
        "KeySchema": _keys("id"),
        "GlobalSecondaryIndexes": [
            _keys_only("due", "due_key", "next_run"),
            _keys_only("listed", "list_key", "name"),
        ],
    }


def nodes(name: str) -> Spec:
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": _types(name="S"),
        "KeySchema": _keys("name"),
    }


def history(name: str) -> Spec:
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": _types(task_id="S", entry="S", recent_key="S"),
        "KeySchema": _keys("task_id", "entry"),
        "GlobalSecondaryIndexes": [
            _keys_only("recent", "recent_key", "entry") | {"Projection": {"ProjectionType": "ALL"}},
        ],
    }


def tags(name: str) -> Spec:
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": _types(tag_key="S", created_key="S"),
        "KeySchema": _keys("tag_key", "created_key"),
    }


EVERY = (accounts, jobs, totals, users, ledger, idempotency, tasks, history, tags, nodes)
"""Each makes the table whose name is the setting `<its name>_table`."""


def create_queue(client: Any, name: str) -> str:
    """Make a queue as the workers' are; returns its URL. One whose name ends with `.fifo` keeps the order."""
    fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    return str(client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "900"} | fifo)["QueueUrl"])
