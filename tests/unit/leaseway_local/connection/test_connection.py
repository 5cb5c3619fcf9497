# ruff: noqa: N803 - boto3 names its arguments like this
"""Where clients and addresses point to."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from leaseway_local.answer_checks import UnexpectedAnswerError
from leaseway_local.connection import outputs
from leaseway_local.connection.api_client import ApiClient, ApiProblem
from leaseway_local.connection.clients import Clients, Target
from leaseway_local.connection.outputs import Outputs
from leaseway_local.deployment import gateway_responses
from leaseway_local.engine.paths import Home
from leaseway_local.errors import LocalCloudError

VALUES = {"ApiUrl": "https://abc.example/live", "ApiId": "abc", "ApiStage": "live", "JobsQueueUrl": "q"}


class Described:
    """CloudFormation of a target with one stack."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values

    def describe_stacks(self, StackName: str) -> dict[str, Any]:
        pairs = [{"OutputKey": name, "OutputValue": value} for name, value in self.values.items()]
        return {"Stacks": [{"StackStatus": "CREATE_COMPLETE", "Outputs": pairs}]}


@pytest.fixture
def other_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's settings that point elsewhere."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")


def test_local_clients_are_aimed_by_localstack_host(other_settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALSTACK_HOST", "127.0.0.1:4999")

    assert Clients(Target.LOCALSTACK).get("sqs").meta.endpoint_url == "http://127.0.0.1:4999"


def test_the_engines_own_address_goes_before_the_variable(
    other_settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCALSTACK_HOST", "127.0.0.1:9")

    clients = Clients(Target.LOCAL, "127.0.0.1:4710")

    assert clients.get("dynamodb").meta.endpoint_url == clients.endpoint_url == "http://127.0.0.1:4710"


def test_on_aws_the_users_own_settings_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")

    clients = Clients(Target.AWS)

    assert (clients.local, clients.endpoint_url, clients.region) == (False, None, "eu-north-1")
    assert clients.get("sqs").meta.endpoint_url == "https://sqs.eu-north-1.amazonaws.com"


@pytest.mark.parametrize(
    "url",
    [
        *("", "abc", "/live", "http://", "http://[::1", "ftp://a/", "http://a:b/", "\0", "http://xn--/"),
        *("https://a:65536", "http://a..b/", f"http://{'a' * 64}/"),
    ],
)
def test_an_api_without_an_address_is_named(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    clients = Clients(Target.AWS)
    clients._clients["cloudformation"] = Described(VALUES | {"ApiUrl": url})

    with pytest.raises(UnexpectedAnswerError, match=r"^the ApiUrl of 'leaseway' is no address: "):
        outputs.fetch(clients)


@pytest.mark.parametrize(
    ("target", "host", "url"),
    [
        (Target.LOCAL, "127.0.0.1:4710", "http://127.0.0.1:4710/_aws/execute-api/abc/live"),
        (Target.AWS, None, "https://abc.example/live"),
    ],
)
def test_an_api_has_the_address_of_its_target(
    other_settings: None, monkeypatch: pytest.MonkeyPatch, target: Target, host: str | None, url: str
) -> None:
    if target is Target.AWS:
        monkeypatch.delenv("AWS_PROFILE")
    clients = Clients(target, host)
    clients._clients["cloudformation"] = Described(VALUES)

    assert outputs.fetch(clients).api_url == url


def test_nothing_deployed_is_said_with_what_to_do(other_settings: None) -> None:
    clients = Clients(Target.LOCAL, "127.0.0.1:4710")
    clients._clients["cloudformation"] = Described({})

    with pytest.raises(LocalCloudError) as failure:
        outputs.fetch(clients)

    assert "leaseway up" in failure.value.todo


def test_outputs_are_written_for_this_user_only(tmp_path: Path) -> None:
    home, values = Home(tmp_path), Outputs(Target.LOCAL, "leaseway", "us-east-1", "http://127.0.0.1:1", VALUES)

    outputs.write(home, values)

    path = home.outputs("local", "leaseway")
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["jobs_queue_url"] == "q"


def answering(*answers: httpx.Response) -> ApiClient:
    waiting = list(answers)
    client = ApiClient("http://127.0.0.1:1/live/")
    client._http = httpx.Client(
        base_url="http://127.0.0.1:1/live/", transport=httpx.MockTransport(lambda _request: waiting.pop(0))
    )
    return client


def test_a_refusal_carries_its_problem_document() -> None:
    refused = httpx.Response(409, json={"code": "INSUFFICIENT_FUNDS", "detail": "too little", "balance": 1.5})

    with pytest.raises(ApiProblem) as failure:
        answering(refused).post("/api/users/update-balance", {})

    assert (failure.value.status, failure.value.code) == (409, "INSUFFICIENT_FUNDS")
    assert failure.value.document["balance"] == 1.5
    assert str(failure.value) == "409 INSUFFICIENT_FUNDS: too little"


def test_an_answer_that_is_no_json_is_still_told() -> None:
    with pytest.raises(ApiProblem, match="502: bad gateway"):
        answering(httpx.Response(502, text="bad gateway")).get("/health")


def test_nothing_that_answers_is_a_failure_with_what_to_do() -> None:
    with pytest.raises(LocalCloudError, match="nothing answers"):
        ApiClient("http://127.0.0.1:9").get("/health")


class Gateway:
    """An API Gateway that has the given responses and remembers what is put."""

    def __init__(self, responses: list[dict[str, Any]]) -> None:
        self.responses = responses
        self.put = {}
        self.deployed = 0

    def get_gateway_responses(self, restApiId: str, limit: int) -> dict[str, Any]:
        return {"items": self.responses}

    def put_gateway_response(self, restApiId: str, responseType: str, **answer: Any) -> None:
        self.put[responseType] = answer

    def create_deployment(self, restApiId: str, stageName: str) -> None:
        self.deployed += 1


def test_gateway_responses_that_an_engine_left_out_are_put_and_deployed(tmp_path: Path) -> None:
    document = tmp_path / "gateway.yaml"
    document.write_text(
        "x-amazon-apigateway-gateway-responses:\n"
        "  DEFAULT_4XX: {responseTemplates: {application/json: a}}\n"
        "  MISSING_AUTHENTICATION_TOKEN: {statusCode: 404, responseTemplates: {application/json: b}}\n"
    )
    stack_outputs = Outputs(Target.LOCAL, "leaseway", "us-east-1", None, VALUES)
    present = [
        {"responseType": "DEFAULT_4XX", "defaultResponse": False, "responseTemplates": {"application/json": "a"}}
    ]
    gateway = Gateway(present)

    assert gateway_responses.complete(gateway, stack_outputs, document) is True

    missing = {"statusCode": "404", "responseTemplates": {"application/json": "b"}}
    assert gateway.put == {"MISSING_AUTHENTICATION_TOKEN": missing}
    assert gateway.deployed == 1
    gateway.responses.append({"responseType": "MISSING_AUTHENTICATION_TOKEN", "defaultResponse": False, **missing})
    assert gateway_responses.complete(gateway, stack_outputs, document) is False
    assert gateway.deployed == 1
