"""The rights that a role of the template grants, and those that calls of the code need."""

import base64
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from PIL import Image

from leaseway import aws
from leaseway.jobs.queue_names import Queue
from leaseway.settings import settings
from support.as_function import clear_caches

Right = tuple[str, str]
"""An action and the logical name of its resource, such as `dynamodb:Query` of `JobsTable/index/live`."""

PASSWORD = "orbit-lantern-mosaic"
OBJECTS = "Bucket/owners/*"
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
TRANSACTED = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


# ---- What the template grants ------------------------------------------------------------------------------------


def list_granted_rights(role: dict[str, Any]) -> set[Right]:
    """List every right of a role except that to write its own log."""
    return {
        (action, _name_resource(resource))
        for policy in role["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in _as_list(statement["Action"])
        if action not in LOGS
        for resource in _as_list(statement["Resource"])
    }


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _name_resource(value: dict[str, Any]) -> str:
    if "Fn::Sub" in value:
        return str(value["Fn::Sub"]).replace("${", "").replace(".Arn}", "")
    name, attribute = value["Fn::GetAtt"]
    return f"{name}/stream" if attribute == "StreamArn" else str(name)


# ---- What the code calls -----------------------------------------------------------------------------------------


class CallRecorder:
    """The rights that calls needed. `names` leads from the kind and name of a thing to its name in the template."""

    def __init__(self, names: dict[tuple[str, str], str]) -> None:
        self.rights: set[Right] = set()
        self._names = names
        self._listens = False

    @contextmanager
    def record(self) -> Iterator[None]:
        """Record the calls inside the block: those outside it are the test's own."""
        self._listens = True
        try:
            yield
        finally:
            self._listens = False

    def note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        """botocore's hook, before each call and each presigned link."""
        if self._listens:
            self.rights |= set(getattr(self, f"_{model.service_model.service_name}")(model.name, params))

    def _dynamodb(self, operation: str, params: dict[str, Any]) -> Iterator[Right]:
        if operation in ("BatchGetItem", "BatchWriteItem"):
            yield from ((f"dynamodb:{operation}", self._names["TABLE", table]) for table in params["RequestItems"])
        elif operation == "TransactWriteItems":
            parts = [part for item in params["TransactItems"] for part in item.items()]
            yield from ((f"dynamodb:{TRANSACTED[kind]}", self._names["TABLE", to["TableName"]]) for kind, to in parts)
        else:
            index = f"/index/{params['IndexName']}" if params.get("IndexName") else ""
            yield f"dynamodb:{operation}", self._names["TABLE", params["TableName"]] + index

    def _sqs(self, operation: str, params: dict[str, Any]) -> Iterator[Right]:
        yield f"sqs:{operation.removesuffix('Batch')}", self._names["URL", params["QueueUrl"]]

    def _s3(self, operation: str, params: dict[str, Any]) -> Iterator[Right]:
        if operation in ("ListObjectsV2", "HeadBucket"):
            yield "s3:ListBucket", "Bucket"
            return
        # A form to upload with is signed here, for a PutObject; making it looks CreateBucket up.
        names = {"HeadObject": "GetObject", "CreateBucket": "PutObject", "DeleteObjects": "DeleteObject"}
        yield f"s3:{names.get(operation, operation)}", OBJECTS

    def _secretsmanager(self, operation: str, params: dict[str, Any]) -> Iterator[Right]:
        yield f"secretsmanager:{operation}", self._names["SECRET", params["SecretId"]]


def listen_to_every_client(template: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> CallRecorder:
    """Record the calls of clients that are made from now on, by the names that the template gives their resources."""
    admin = json.dumps({"username": "admin", "password": PASSWORD})
    aws.client("secretsmanager").create_secret(Name="leaseway-admin", SecretString=admin)
    monkeypatch.setenv("ADMIN_SECRET", "leaseway-admin")
    clear_caches()
    names = {("SECRET", "leaseway-admin"): "AdminSecret"}
    for variable, source in template["Globals"]["Function"]["Environment"]["Variables"].items():
        kind = variable.rpartition("_")[2]
        if variable == "TYPE_QUEUE_URLS":
            queues_by_name = dict(pair.split("=") for pair in source["Fn::Sub"].split(","))
            names |= {("URL", Queue(name).url): queues_by_name[name].strip("${}") for name in queues_by_name}
        if kind in ("TABLE", "URL", "SECRET"):
            names[kind, getattr(settings(), variable.lower())] = source.get("Ref") or source["Fn::GetAtt"][0]
    recorder = CallRecorder(names)
    # Clients take the session's hooks along when they are made: none has been yet.
    aws.session().get_component("event_emitter").register("before-parameter-build", recorder.note)
    return recorder


# ---- Payloads that need the bucket, or fail ---------------------------------------------------------------------


def large_picture() -> dict[str, Any]:
    """A payload that lies in the bucket."""
    picture = io.BytesIO()
    Image.effect_noise((100, 100), 100).save(picture, "PNG")
    payload = {"source": {"base64": base64.b64encode(picture.getvalue()).decode()}, "width": 1, "height": 1}
    assert len(json.dumps(payload)) > settings().inline_bytes
    return payload


def no_picture() -> dict[str, Any]:
    return {"source": {"url": "http://no-such-host.invalid/"}, "width": 1, "height": 1}
