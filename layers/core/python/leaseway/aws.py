"""AWS clients: one botocore session for all of them, shared with pynamodb, and a quick reader of its data.

Loading botocore's data once instead of twice saves about 100 ms of cold start, and reading it with msgspec, into plain
dictionaries, most of what is left: `make bench-cold`.
"""

import gzip
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, overload

import botocore.session
import msgspec
from botocore.client import BaseClient
from botocore.config import Config
from botocore.loaders import JSONFileLoader

if TYPE_CHECKING:  # the stubs are installed for mypy alone
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client
    from types_boto3_secretsmanager import SecretsManagerClient
    from types_boto3_sqs import SQSClient

# Fixed, because botocore otherwise builds this header for every call: a quarter of a call's CPU.
USER_AGENT = "leaseway"

_creation = Lock()  # botocore's client creation is not safe for threads; its clients are


class DataFiles(JSONFileLoader):
    """Reads botocore's descriptions of services and endpoints, a megabyte and a half of JSON, ten times as fast."""

    def load_file(self, file_path: str) -> Any:
        """The document in a file, which is named without its suffix; None if there is no such file."""
        readers: dict[str, Callable[..., Any]] = {".json": open, ".json.gz": gzip.open}
        for suffix, read in readers.items():
            try:
                with read(file_path + suffix, "rb") as file:
                    return msgspec.json.decode(file.read())
            except FileNotFoundError:
                continue
        return None


@lru_cache(maxsize=1)
def session() -> botocore.session.Session:
    """The process's botocore session."""
    shared = botocore.session.get_session()
    shared.get_component("data_loader").file_loader = DataFiles()
    return shared


@lru_cache(maxsize=16)
def _cached_client(service: str, attempts: int, timeout: int) -> BaseClient:
    return session().create_client(service, config=_config(service, attempts, timeout))


@overload
def client(service: Literal["dynamodb"], *, attempts: int = 3, timeout: int = 10) -> "DynamoDBClient": ...
@overload
def client(service: Literal["s3"], *, attempts: int = 3, timeout: int = 10) -> "S3Client": ...
@overload
def client(service: Literal["secretsmanager"], *, attempts: int = 3, timeout: int = 10) -> "SecretsManagerClient": ...
@overload
def client(service: Literal["sqs"], *, attempts: int = 3, timeout: int = 10) -> "SQSClient": ...
def client(service: str, *, attempts: int = 3, timeout: int = 10) -> Any:
    """A botocore client, created once per process. `attempts` counts the first call too; 1 means never repeat it.

    `timeout` is how many seconds each attempt waits for an answer.
    """
    with _creation:
        return _cached_client(service, attempts, timeout)


def _config(service: str, attempts: int, timeout: int) -> Config:
    # Path-style buckets and s3v4 work on every engine, presigned links included.
    s3: dict[str, Any] = {"signature_version": "s3v4", "s3": {"addressing_style": "path"}} if service == "s3" else {}
    return Config(
        user_agent=USER_AGENT,
        parameter_validation=False,
        connect_timeout=2,
        read_timeout=timeout,
        tcp_keepalive=True,
        max_pool_connections=25,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        **s3,
    )


def forget() -> None:
    """Drop the clients; the next use creates new ones. For tests that change the endpoint.

    The session stays: it holds the parsed service descriptions, which are most of a client's cost.
    """
    _cached_client.cache_clear()
