"""Clients of AWS services for a target: the local engine, LocalStack, or an AWS account.

Local targets take a service's address from localstack-client, for the variable LOCALSTACK_HOST (`host:port`).
`leaseway up` prints it, so that other programs that use localstack-client reach the same cloud.
"""

import os
import re
from enum import Enum
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal, overload

from botocore.config import Config

from leaseway_local.errors import LocalCloudError

if TYPE_CHECKING:  # the stubs are installed for mypy alone
    from types_boto3_apigateway import APIGatewayClient
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_lambda import LambdaClient
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_s3 import S3Client
    from types_boto3_secretsmanager import SecretsManagerClient
    from types_boto3_sqs import SQSClient
    from types_boto3_sts import STSClient

LOCAL_REGION = "us-east-1"

# localstack-client prefers AWS_ENDPOINT_URL to LOCALSTACK_HOST, and boto3 reads profiles and files: none of the
# user's AWS settings may redirect a local command.
_MISLEADING = (
    "AWS_ENDPOINT_URL",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "USE_SSL",
    "USE_LEGACY_PORTS",
)
_LAST_PORT = 65_535
_HOST = re.compile(r"[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*:[0-9]{1,5}")
_LOOPBACK = "127.0.0.1,localhost"


class Target(str, Enum):  # noqa: UP042 - typer shows the members' values
    """Where a command works."""

    LOCAL = "local"
    """The engine that `leaseway up` starts."""
    LOCALSTACK = "localstack"
    """A LocalStack (or compatible engine) at LOCALSTACK_HOST that `leaseway` does not manage."""
    AWS = "aws"
    """The account of the user's AWS settings."""


class Clients:
    """boto3 clients of one target, each created once."""

    def __init__(self, target: Target, host: str | None = None) -> None:
        self.target = target
        self.host = host
        self._clients: dict[str, Any] = {}
        if self.local:
            ignore_user_settings()
            self.host = host or _find_configured_host()

    @cached_property
    def _session(self) -> Any:
        return _local_session() if self.local else _create_session()

    @property
    def local(self) -> bool:
        """Whether the target is an engine rather than AWS."""
        return self.target is not Target.AWS

    @property
    def endpoint_url(self) -> str | None:
        """Where all services of a local target answer; None on AWS."""
        return f"http://{self.host}" if self.local else None

    @property
    def port(self) -> int:
        """The port of a local target."""
        return int((self.host or "").rpartition(":")[2] or 0)

    @property
    def region(self) -> str:
        """The region of the clients."""
        return str(self._session.region_name or LOCAL_REGION)

    @overload
    def get(self, service: Literal["apigateway"]) -> "APIGatewayClient": ...
    @overload
    def get(self, service: Literal["cloudformation"]) -> "CloudFormationClient": ...
    @overload
    def get(self, service: Literal["cloudwatch"]) -> "CloudWatchClient": ...
    @overload
    def get(self, service: Literal["lambda"]) -> "LambdaClient": ...
    @overload
    def get(self, service: Literal["logs"]) -> "CloudWatchLogsClient": ...
    @overload
    def get(self, service: Literal["s3"]) -> "S3Client": ...
    @overload
    def get(self, service: Literal["secretsmanager"]) -> "SecretsManagerClient": ...
    @overload
    def get(self, service: Literal["sqs"]) -> "SQSClient": ...
    @overload
    def get(self, service: Literal["sts"]) -> "STSClient": ...
    def get(self, service: str) -> Any:
        """The client of a service, such as `dynamodb`."""
        if service not in self._clients:
            self._clients[service] = self._create(service)
        return self._clients[service]

    def _create(self, service: str) -> Any:
        address: dict[str, Any] = {}
        if self.local:
            from localstack_client.config import get_service_endpoint

            address = {"endpoint_url": get_service_endpoint(service, self.host)}
        return self._session.client(service, config=_config(service), **address)


@cache
def _local_session() -> Any:
    """The session of all local targets: creating one takes longer than most calls."""
    # Local engines treat this key as the account owner's.
    return _create_session(aws_access_key_id="test", aws_secret_access_key="test", region_name=LOCAL_REGION)  # noqa: S106


def _create_session(**account: str) -> Any:
    """A boto3 session whose clients check what is answered."""
    import boto3
    import botocore.session

    from leaseway_local.connection.answer_parser import CheckingParserFactory

    session = botocore.session.get_session()
    session.register_component("response_parser_factory", CheckingParserFactory())
    return boto3.session.Session(botocore_session=session, **account)


def _find_configured_host() -> str:
    host = os.environ.get("LOCALSTACK_HOST") or "localhost:4566"
    if not _HOST.fullmatch(host) or int(host.rpartition(":")[2]) > _LAST_PORT:
        raise LocalCloudError(f"LOCALSTACK_HOST is {host!r}.", "Set it to host:port, such as localhost:4566.")
    return host


def ignore_user_settings() -> None:
    """Make this process ignore the user's AWS settings, and exempt the loopback address from proxies."""
    for name in _MISLEADING:
        os.environ.pop(name, None)
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), _LOOPBACK]))


def _config(service: str) -> Config:
    s3: dict[str, Any] = {"s3": {"addressing_style": "path"}} if service == "s3" else {}
    return Config(
        # A repeated PutMetricData counts twice; the forwarder checks what arrived instead.
        retries={"total_max_attempts": 1 if service == "cloudwatch" else 4, "mode": "standard"},
        connect_timeout=5,
        read_timeout=910
        if service == "lambda"
        else 60,  # an invocation may last as long as the longest function timeout
        max_pool_connections=25,
        **s3,
    )
