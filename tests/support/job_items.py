"""Items of the jobs table, read consistently from outside the deployment."""

from collections.abc import Callable, Sequence
from typing import Any


def read_job_item(client: Callable[[str], Any], table: str, job_id: str) -> dict[str, Any]:
    """Read a stored job consistently."""
    return to_plain(
        client("dynamodb").get_item(TableName=table, Key={"id": {"S": job_id}}, ConsistentRead=True)["Item"]
    )


def read_job_items(client: Callable[[str], Any], table: str, job_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Read up to 100 stored jobs in one consistent read; in no order."""
    keys = {"Keys": [{"id": {"S": job_id}} for job_id in job_ids], "ConsistentRead": True}
    return [
        to_plain(item) for item in client("dynamodb").batch_get_item(RequestItems={table: keys})["Responses"][table]
    ]


def scan_jobs(client: Callable[[str], Any], table: str) -> list[dict[str, Any]]:
    """Read every stored job consistently."""
    pages = client("dynamodb").get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [to_plain(item) for page in pages for item in page["Items"]]


def to_plain(image: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Convert an item of DynamoDB's JSON to plain values."""
    return {
        name: int(value) if kind == "N" else value
        for name, typed in image.items()
        for kind, value in [next(iter(typed.items()))]
    }
