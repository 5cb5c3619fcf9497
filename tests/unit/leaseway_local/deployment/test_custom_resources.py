# ruff: noqa: N803 - boto3 names its arguments like this
"""Custom resources that an engine reports as made without asking their function."""

import io
import json
from typing import Any

import pytest

from leaseway_local.connection.clients import Clients, Target
from leaseway_local.connection.outputs import Outputs
from leaseway_local.deployment import custom_resources
from leaseway_local.errors import LocalCloudError

TEMPLATE = {"Resources": {"FirstAdmin": {"Properties": {"ServiceToken": {"Fn::GetAtt": ["AdminFunction", "Arn"]}}}}}
OUTPUTS = Outputs(Target.LOCALSTACK, "leaseway", "us-east-1", "http://127.0.0.1:1", {"AdminFunction": "maker"})


class Engine:
    """An engine with one custom resource, and the function behind it."""

    def __init__(self, physical_id: str, status: str = "SUCCESS", error: bytes | None = None) -> None:
        self.physical_id, self.status, self.error = physical_id, status, error
        self.asked: list[tuple[str, Any]] = []
        self.answer: bytes | None = None
        self.exceptions = self
        self.NoSuchKey = KeyError

    def describe_stack_resources(self, StackName: str) -> dict[str, Any]:
        shared = {"StackName": StackName, "StackId": "id"}
        table = {"LogicalResourceId": "T", "ResourceType": "AWS::DynamoDB::Table", "PhysicalResourceId": "unknown"}
        admin = {"LogicalResourceId": "FirstAdmin", "ResourceType": "Custom::FirstAdmin"}
        admin["PhysicalResourceId"] = self.physical_id
        return {"StackResources": [shared | table, shared | admin]}

    def invoke(self, FunctionName: str, Payload: str) -> dict[str, Any]:
        self.asked.append((FunctionName, json.loads(Payload)))
        if self.error:
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(self.error)}
        self.answer = json.dumps({"Status": self.status, "Reason": "its reason"}).encode()
        return {"Payload": io.BytesIO(b"null")}

    def generate_presigned_url(self, operation: str, Params: dict[str, Any]) -> str:
        return f"http://signed/{operation}/{Params['Key']}"

    def delete_object(self, Bucket: str, Key: str) -> None:
        self.answer = None

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        if self.answer is None:
            raise KeyError(Key)
        return {"Body": io.BytesIO(self.answer)}


def complete(engine: Engine) -> list[str]:
    clients = Clients(Target.LOCALSTACK, "127.0.0.1:1")
    clients._clients = dict.fromkeys(("cloudformation", "s3", "lambda"), engine)
    return custom_resources.complete(clients, OUTPUTS, TEMPLATE, "bucket")


def test_a_resource_that_the_engine_passed_over_is_made_by_its_function() -> None:
    engine = Engine("unknown")

    assert complete(engine) == ["FirstAdmin"]

    [(function, event)] = engine.asked
    assert function == "maker"
    assert (event["RequestType"], event["LogicalResourceId"]) == ("Create", "FirstAdmin")
    assert event["ResponseURL"].startswith("http://signed/put_object/")


def test_a_resource_that_the_engine_made_is_left_alone() -> None:
    engine = Engine("first-admin")

    assert complete(engine) == []
    assert engine.asked == []


@pytest.mark.parametrize(
    ("engine", "reason"),
    [(Engine("unknown", status="FAILED"), "its reason"), (Engine("unknown", error=b"it died"), "it died")],
)
def test_a_function_that_did_not_make_it_fails_the_deployment_with_the_reason(engine: Engine, reason: str) -> None:
    with pytest.raises(LocalCloudError, match=reason):
        complete(engine)


def test_a_function_that_does_not_answer_fails_the_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custom_resources, "_ANSWER_SECONDS", 0.1)
    engine = Engine("unknown")
    engine.get_object = lambda Bucket, Key: (_ for _ in ()).throw(KeyError(Key))

    with pytest.raises(LocalCloudError, match="no answer"):
        complete(engine)
