"""Clients of AWS services for a target: the local engine, LocalStack, or an AWS account.

Local targets use localstack-client's session, which is aimed by the variable LOCALSTACK_HOST (`host:port`).
`leaseway up` prints it, so that any other program that uses localstack-client reaches the same cloud.
"""

import os
from enum import Enum
from typing import Any

from botocore.config import Config

LOCAL_REGION = "us-east-1"

# localstack-client prefers AWS_ENDPOINT_URL to LOCALSTACK_HOST, and boto3 reads profiles and files: none of a user's
# AWS settings may turn a local command towards another place.
_MISLEADING = (
    "AWS_ENDPOINT_URL",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "USE_SSL",
    "USE_LEGACY_PORTS",
)
_LOOPBACK = "127.0.0.1,localhost"


class Target(str, Enum):  # noqa: UP042 - typer shows the members' values
    """Where a command works."""

    LOCAL = "local"
    """The engine that `leaseway up` starts."""
    LOCALSTACK = "localstack"
    """A LocalStack (or other engine) that somebody else runs, at LOCALSTACK_HOST."""
    AWS = "aws"
    """The account of the usual AWS settings."""


class Clients:
    """boto3 clients of one target, each made once."""

    def __init__(self, target: Target, host: str | None = None) -> None:
        self.target = target
        self.host = host
        self._made: dict[str, Any] = {}
        self._session = self._aws_session() if target is Target.AWS else self._local_session(host)

    @property
    def local(self) -> bool:
        """Whether this is an engine on a machine rather than AWS."""
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
        """The region that the clients speak to."""
        return str(self._session.region_name or LOCAL_REGION)

    def get(self, service: str) -> Any:
        """The client of a service, such as `dynamodb`."""
        if service not in self._made:
            self._made[service] = self._session.client(service, config=_config(service))
        return self._made[service]

    def _local_session(self, host: str | None) -> Any:
        from localstack_client.session import Session

        isolate()
        self.host = host or os.environ.get("LOCALSTACK_HOST", "localhost:4566")
        return Session(
            aws_access_key_id="test",  # the key that local engines take for the account's owner
            aws_secret_access_key="test",  # noqa: S106
            localstack_host=self.host,
            region_name=LOCAL_REGION,
        )

    @staticmethod
    def _aws_session() -> Any:
        import boto3

        return boto3.session.Session()


def isolate() -> None:
    """Make this process deaf to the user's AWS settings; proxies are told to leave the loopback address alone."""
    for name in _MISLEADING:
        os.environ.pop(name, None)
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), _LOOPBACK]))


def _config(service: str) -> Config:
    s3 = {"s3": {"addressing_style": "path"}} if service == "s3" else {}
    return Config(
        # A repeated PutMetricData counts twice; who puts metrics asks what arrived.
        retries={"total_max_attempts": 1 if service == "cloudwatch" else 4, "mode": "standard"},
        connect_timeout=5,
        read_timeout=910 if service == "lambda" else 60,  # an invocation may last as long as a function may
        max_pool_connections=25,
        **s3,
    )
