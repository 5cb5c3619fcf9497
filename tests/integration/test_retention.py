"""Retention on the deployed stack: a removed job takes its objects along, and is counted no more.

The engine never lets an item expire (docs/decisions/0013-expiry-on-the-local-engine.md), so the removal is a
DeleteItem: its REMOVE record is what DynamoDB's own expiry writes too.
"""

import base64
import io
import secrets
from datetime import datetime, timedelta
from typing import Any

import pytest
from PIL import Image

from leaseway_local.connection.api_client import ApiClient
from support.deployed_stacks import DeployedStack
from support.waiting import wait_until


def picture() -> dict[str, Any]:
    drawn = io.BytesIO()
    Image.effect_noise((100, 100), 100).save(drawn, "PNG")
    return {"source": {"base64": base64.b64encode(drawn.getvalue()).decode()}, "width": 16, "height": 16}


def wait_for_completion(api: ApiClient, job_id: str) -> dict[str, Any]:
    def read_end() -> dict[str, Any] | None:
        job = api.get(f"/api/v1/jobs/{job_id}")
        return job if job["status"] == "COMPLETED" else None

    return wait_until(read_end, seconds=60, what="the job's end")


def objects_of(stack: DeployedStack, job_id: str) -> list[str]:
    objects = stack.client("s3").list_objects_v2(Bucket=stack.outputs["Bucket"]).get("Contents", [])
    return sorted(one["Key"].rpartition("/")[2] for one in objects if job_id in one["Key"])


def remove(stack: DeployedStack, job_id: str) -> None:
    stack.client("dynamodb").delete_item(TableName=stack.outputs["JobsTable"], Key={"id": {"S": job_id}})


@pytest.mark.only_on(
    "ministack", because="DynamoDB Local tells the minute of a removal, and objects written in it stay"
)
def test_a_removed_job_takes_payload_and_picture_along_and_is_counted_no_more(stack: DeployedStack) -> None:
    # Given two pictures of a user
    api = stack.as_user(f"keeper-{secrets.token_hex(4)}")
    gone, stays = (api.post("/api/v1/jobs", {"type": "IMAGE_RESIZE", "payload": picture()})["id"] for _ in range(2))
    for job_id in (gone, stays):
        wait_for_completion(api, job_id)
        assert objects_of(stack, job_id) == ["image-1.png", "payload.json"]
    wait_until(lambda: api.get("/api/v1/jobs", size=1)["totalElements"] == 2, seconds=30, what="both counted")
    # When the table removes one
    remove(stack, gone)
    # Then its objects go, the other's stay, and the total follows
    wait_until(lambda: objects_of(stack, gone) == [], seconds=30, what="the objects' end")
    wait_until(lambda: api.get("/api/v1/jobs", size=1)["totalElements"] == 1, seconds=30, what="one counted")
    assert objects_of(stack, stays) == ["image-1.png", "payload.json"]
    assert api.request("GET", f"/api/v1/jobs/{gone}").status_code == 404


def test_a_job_says_when_it_goes_and_is_absent_from_then_on(stack: DeployedStack) -> None:
    # Given a job with a time of its own
    body = {"type": "SLEEP", "payload": {"duration_ms": 1}, "retention_days": 2}
    created = stack.api.post("/api/v1/jobs", body)
    assert created["expires_at"] is None
    job = wait_for_completion(stack.api, created["id"])
    lifetime = datetime.fromisoformat(job["expires_at"]) - datetime.fromisoformat(job["finished_at"])
    assert timedelta(days=2) <= lifetime < timedelta(days=2, seconds=1)
    # When that has passed, before the table has removed it
    stack.client("dynamodb").update_item(
        TableName=stack.outputs["JobsTable"],
        Key={"id": {"S": job["id"]}},
        UpdateExpression="SET expires_at = expires_at - :past",
        ExpressionAttributeValues={":past": {"N": str(3 * 86_400)}},
    )
    # Then it reads as absent, and it cannot be retried
    for method, path in (("GET", ""), ("GET", "/result"), ("POST", "/retry"), ("POST", "/cancel")):
        assert stack.api.request(method, f"/api/v1/jobs/{job['id']}{path}").status_code == 404


def test_a_day_is_the_least_and_what_the_bucket_keeps_the_most(stack: DeployedStack) -> None:
    for days in (0, 460):
        body = {"type": "SLEEP", "payload": {"duration_ms": 1}, "retention_days": days}
        refused = stack.api.request("POST", "/api/v1/jobs", json=body)
        assert (refused.status_code, refused.json()["field"]) == (400, "retention_days")
