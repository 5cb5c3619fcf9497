"""The custom resources, which make the first Admin and check parameters: CloudFormation always gets an answer."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from first_admin.app import handler
from leaseway import aws
from leaseway.identity import Role, UserNotFoundError, get_user, sign_in
from leaseway.settings import settings

PASSWORD = "generated-by-the-stack-1"
KNOWN = {"StackId": "stack", "RequestId": "request", "LogicalResourceId": "FirstAdmin"}


class CloudFormation:
    """What a custom resource answers to: it keeps the documents that are put to it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: list[Any] = []

    def tell(self, kind: str, resource: str = "Custom::FirstAdmin") -> Any:
        address = f"http://127.0.0.1:{self.port}/answer"
        handler({"RequestType": kind, "ResourceType": resource, "ResponseURL": address, **KNOWN}, None)
        assert KNOWN.items() <= self.answers[-1].items()
        return self.answers[-1]


@pytest.fixture
def cloudformation(cloud: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudFormation]:
    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            stack.answers.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    secret = json.dumps({"username": "admin", "password": PASSWORD})
    aws.client("secretsmanager").create_secret(Name="leaseway/admin", SecretString=secret)
    monkeypatch.setenv("ADMIN_SECRET", "leaseway/admin")
    settings.cache_clear()
    server = HTTPServer(("127.0.0.1", 0), Handler)
    stack = CloudFormation(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield stack
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_new_stack_gets_an_admin_with_the_generated_password(cloudformation: CloudFormation) -> None:
    assert cloudformation.tell("Create")["Status"] == "SUCCESS"
    assert sign_in("admin", PASSWORD).role is Role.ADMIN


def test_an_update_creates_no_user_twice(cloudformation: CloudFormation) -> None:
    first = cloudformation.tell("Create")
    admin = get_user("admin")
    again = cloudformation.tell("Update")
    assert get_user("admin") == admin
    assert again["PhysicalResourceId"] == first["PhysicalResourceId"]


def test_deleting_the_resource_deletes_and_creates_no_user(cloudformation: CloudFormation) -> None:
    assert cloudformation.tell("Delete")["Status"] == "SUCCESS"
    with pytest.raises(UserNotFoundError):
        get_user("admin")


def test_a_failure_is_answered_too_and_says_no_secret(
    cloudformation: CloudFormation, monkeypatch: pytest.MonkeyPatch, log_output: io.StringIO
) -> None:
    # Given a stack without its table
    monkeypatch.setenv("USERS_TABLE", "gone")
    settings.cache_clear()
    # When CloudFormation asks for the Admin
    answer = cloudformation.tell("Create")
    # Then it hears that it failed, at once, and neither the answer nor the log has the password
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("FAILED", "first-admin")
    assert PASSWORD not in json.dumps(answer) + log_output.getvalue()


@pytest.mark.parametrize(("retention_days", "object_days", "status"), [
    (None, None, "SUCCESS"),
    (90, 457, "SUCCESS"),
    (90, 456, "FAILED"),
    (3_283, 3_650, "SUCCESS"),
    (3_650, 3_650, "FAILED"),
])  # fmt: skip
def test_a_deployment_whose_objects_would_go_before_their_jobs_fails(
    cloudformation: CloudFormation,
    monkeypatch: pytest.MonkeyPatch,
    retention_days: int | None,
    object_days: int | None,
    status: str,
) -> None:
    if retention_days is not None:
        monkeypatch.setenv("RETENTION_DAYS", str(retention_days))
        monkeypatch.setenv("OBJECT_DAYS", str(object_days))
    settings.cache_clear()
    answer = cloudformation.tell("Update", "Custom::ParameterCheck")
    assert (answer["Status"], answer["PhysicalResourceId"]) == (status, "parameter-check")
    assert status == "SUCCESS" or answer["Reason"].startswith(f"ObjectDays is {object_days}; ")
    with pytest.raises(UserNotFoundError):
        get_user("admin")
