"""A deployment with scripted answers: AWS and the HTTP API, in this process and without a socket.

The requests of httpx and of botocore end here, in the thread that makes them, so that Hypothesis may draw the answers.
"""

import base64
import hashlib
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, NamedTuple
from unittest.mock import patch
from urllib.parse import parse_qs, unquote

import httpx
from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session
from botocore.retries.quota import RetryQuota

from leaseway_local.connection.api_client import ApiClient
from leaseway_local.connection.clients import Clients
from leaseway_local.deployment import template

API_PATH = "/_aws/execute-api/api/v1"
ADMIN = {"username": "admin", "password": "secret"}
TOKEN = {"access_token": "token", "expires_in": 3600}
STACK_XML = """<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult>
<Stacks><member><StackName>leaseway</StackName><StackStatus>CREATE_COMPLETE</StackStatus>
<CreationTime>2026-01-01T00:00:00Z</CreationTime><Outputs>{outputs}</Outputs></member></Stacks>
</DescribeStacksResult></DescribeStacksResponse>"""
IDENTITY_XML = """<GetCallerIdentityResponse><GetCallerIdentityResult><Account>000000000000</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""
UPDATE_XML = "<UpdateStackResponse><UpdateStackResult><StackId>id</StackId></UpdateStackResult></UpdateStackResponse>"
# As LocalStack describes a custom resource that it skipped.
RESOURCES_XML = """<DescribeStackResourcesResponse><DescribeStackResourcesResult><StackResources><member>
<StackName>leaseway</StackName><StackId>id</StackId><LogicalResourceId>FirstAdmin</LogicalResourceId>
<PhysicalResourceId>unknown</PhysicalResourceId><ResourceType>Custom::FirstAdmin</ResourceType>
</member></StackResources></DescribeStackResourcesResult></DescribeStackResourcesResponse>"""
CODE = b"zip"
"""What every function runs."""
OUTPUT_XML = "<member><OutputKey>{0}</OutputKey><OutputValue>{1}</OutputValue></member>"

# Creating a client takes a tenth of a second; those of all stubs are alike.
_CLIENTS: dict[str, Any] = {}


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes

    @classmethod
    def of(cls, document: Any, status: int = 200) -> "Answer":
        return cls(status, json.dumps(document).encode())


class ApiRequest(NamedTuple):
    """A request to the HTTP API, and the shape of the answer that the command will read."""

    method: str
    path: str
    shape: Any


class StubDeployment:
    """Answers AWS as a healthy deployment does; `answer_api` and `overrides` (by action) take precedence."""

    def __init__(self, answer_api: Callable[[ApiRequest], Answer]) -> None:
        self.answer_api = answer_api
        self.overrides: dict[str, Callable[[], Answer]] = {}
        self.outputs = dict(_healthy_outputs())
        self.requests: list[ApiRequest] = []
        self.actions: list[str] = []
        self._shape: Any = dict

    def respond(self, method: str, path: str) -> Answer:
        """Answer a request for the API."""
        if path.endswith("/connect/token"):
            self.actions.append("Token")
            return self.overrides.get("Token", lambda: Answer.of(TOKEN))()
        if not path.startswith(API_PATH):
            return Answer(404, b"")
        request = ApiRequest(method, path.removeprefix(API_PATH), self._shape)
        self._shape = dict
        self.requests.append(request)
        return self.answer_api(request)

    def respond_as_aws(self, action: str) -> Answer:
        """Answer a request for AWS."""
        self.actions.append(action)
        if action in self.overrides:
            return self.overrides[action]()
        if action == "DescribeStacks":
            outputs = "".join(OUTPUT_XML.format(name, value) for name, value in self.outputs.items())
            return Answer(200, STACK_XML.format(outputs=outputs).encode())
        return _healthy_answer(action)

    @contextmanager
    def install(self) -> Iterator[None]:
        """Answer every request of httpx and botocore while the block runs."""
        exchange = ApiClient._exchange
        create = Clients.get

        def note_shape(api: ApiClient, method: str, path: str, shape: Any, **options: Any) -> Any:
            self._shape = shape
            return exchange(api, method, path, shape, **options)

        def handle_http(transport: object, request: httpx.Request) -> httpx.Response:
            request.read()
            answer = self.respond(request.method, request.url.path)
            return httpx.Response(answer.status, content=answer.body)

        def send_to_aws(session: object, request: Any) -> AWSResponse:
            answer = self.respond_as_aws(_name_action(request))
            return AWSResponse(request.url, answer.status, {}, _Body(answer.body))

        def get_shared(owner: Clients, service: str) -> Any:
            if service not in _CLIENTS:
                _CLIENTS[service] = create(owner, service)  # type: ignore[call-overload]
            return _CLIENTS[service]

        with ExitStack() as patches:
            patches.enter_context(patch.object(ApiClient, "_exchange", note_shape))
            patches.enter_context(patch.object(httpx.HTTPTransport, "handle_request", handle_http))
            patches.enter_context(patch.object(URLLib3Session, "send", send_to_aws))
            patches.enter_context(patch.object(Clients, "get", get_shared))
            patches.enter_context(patch.object(ssl, "create_default_context", _create_context_once))
            # The shared clients' quota of retries would let one example change how often the next one asks.
            patches.enter_context(patch.object(RetryQuota, "acquire", lambda quota, amount: True))
            yield


class _Body:
    """What botocore reads of urllib3's responses."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, amt: int = 0, decode_content: bool = False) -> Iterator[bytes]:
        yield self._content

    def read(self, amt: int | None = None) -> bytes:
        content, self._content = self._content, b""
        return content


CREATE_CONTEXT = ssl.create_default_context


@cache
def _create_context_once(**options: Any) -> ssl.SSLContext:
    """What every client of httpx loads the certificates of all authorities for."""
    return CREATE_CONTEXT(**options)


@cache
def _healthy_outputs() -> tuple[tuple[str, str], ...]:
    names = template.read()["Outputs"]
    known = {"ApiId": "api", "ApiStage": "v1", "ApiUrl": f"https://api.example{API_PATH}"}
    urls = {name: f"http://localhost:4566/000000000000/{name}" for name in names if name.endswith("QueueUrl")}
    return tuple((name, known.get(name) or urls.get(name) or name.lower()) for name in names)


def _name_action(request: Any) -> str:
    target = request.headers.get("X-Amz-Target", b"")
    if target:
        text = target.decode() if isinstance(target, bytes) else str(target)
        return text.rpartition(".")[2]
    body = request.body.decode() if isinstance(request.body, bytes) else request.body
    if isinstance(body, str) and (actions := parse_qs(body).get("Action")):
        return actions[0]
    path = unquote(request.url.partition("//")[2].partition("/")[2].partition("?")[0])
    segments = path.split("/")
    known = next((each for each in segments if each in {"answers", "gatewayresponses"}), segments[-1])
    return f"{request.method} {known}"


def _healthy_answer(action: str) -> Answer:
    documents: dict[str, Any] = {
        "GetSecretValue": {"SecretString": json.dumps(ADMIN), "VersionStages": ["AWSCURRENT"]},
        "ListSecretVersionIds": {"Versions": [{"VersionStages": ["AWSCURRENT"], "CreatedDate": 1.7e9}]},
        "PutSecretValue": {"VersionId": "2"},
        "FilterLogEvents": {"events": [{"logStreamName": "s", "timestamp": 1_700_000_000_000, "message": "hello"}]},
        "GetQueueAttributes": {
            "Attributes": {"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "0"}
        },
        "GET configuration": {
            "State": "Active",
            "Environment": {"Variables": {"JOBS_TABLE": "jobs"}},
            "CodeSha256": base64.b64encode(hashlib.sha256(CODE).digest()).decode(),
        },
        "GET gatewayresponses": {"item": []},
        "GET answers": {"Status": "SUCCESS"},
        "POST deployments": {},
        "GET event-source-mappings": {"EventSourceMappings": []},
        "POST invocations": {
            "accounts": 1,
            "entries": 1,
            "behind": 0,
            "differences": 0,
            "clean": True,
            "listed": [],
            "repaired": [],
            "after": None,
        },
    }
    xml = {"GetCallerIdentity": IDENTITY_XML, "UpdateStack": UPDATE_XML, "DescribeStackResources": RESOURCES_XML}
    if action in xml:
        return Answer(200, xml[action].encode())
    if action.startswith(("HEAD", "PUT", "DELETE")):
        return Answer(200, b"")
    return Answer.of(documents[action]) if action in documents else Answer(400, b"{}")
